"""Adam's two epsilon forms against the formulas by hand, with an epsilon large enough to tell them apart."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from avpipeline.nn.optimizers import EPSILON_FORMS, Adam

GRADIENTS = ([0.5, -2.0], [0.1, 1.0], [-0.3, 0.0])


def adam_by_hand(form, gradients, rate=0.1, beta_1=0.9, beta_2=0.999, epsilon=0.5):
    x, m, v = np.array([1.0, 1.0]), np.zeros(2), np.zeros(2)
    for step, gradient in enumerate(np.array(gradients), start=1):
        m = beta_1 * m + (1 - beta_1) * gradient
        v = beta_2 * v + (1 - beta_2) * gradient**2
        correction_1, correction_2 = 1 - beta_1**step, 1 - beta_2**step
        if form == "torch":
            x = x - rate * (m / correction_1) / (np.sqrt(v / correction_2) + epsilon)
        else:
            x = x - rate * np.sqrt(correction_2) / correction_1 * m / (np.sqrt(v) + epsilon)
    return x


@pytest.mark.parametrize("form", ["torch", "torch_legacy"])
def test_steps_equal_the_formula(form):
    variable = keras.Variable([1.0, 1.0])
    optimizer = Adam(0.1, epsilon=0.5, epsilon_form=form)
    for gradient in GRADIENTS:
        optimizer.apply([np.array(gradient, "float32")], [variable])
    np.testing.assert_allclose(variable, adam_by_hand(form, GRADIENTS), rtol=1e-5)


def test_the_forms_differ():
    assert np.abs(adam_by_hand("torch", GRADIENTS) - adam_by_hand("torch_legacy", GRADIENTS)).max() > 0.01


def test_the_legacy_form_is_keras_own():
    ours, theirs = keras.Variable([1.0, 1.0]), keras.Variable([1.0, 1.0])
    first, second = Adam(0.1), keras.optimizers.Adam(0.1, epsilon=1e-8)
    for gradient in GRADIENTS:
        first.apply([np.array(gradient, "float32")], [ours])
        second.apply([np.array(gradient, "float32")], [theirs])
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_configuration_round_trip():
    optimizer = Adam(0.01, epsilon=1e-6, epsilon_form="torch")
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert (copy.epsilon, copy.epsilon_form) == (1e-6, "torch")


def test_unknown_form_is_refused():
    with pytest.raises(ValueError, match="epsilon_form must be one of"):
        Adam(epsilon_form="keras")


@pytest.mark.parametrize("form", EPSILON_FORMS)
def test_powers_are_computed_once_a_step(form):
    """Two powers of the betas, whatever the number of variables."""
    variables = [keras.Variable(np.ones(size, np.float32)) for size in (1, 2, 3)]
    optimizer = Adam(1e-3, epsilon_form=form)
    optimizer.build(variables)
    step = tf.function(lambda: optimizer.apply([tf.ones(variable.shape) for variable in variables], variables))
    operations = [operation.type for operation in step.get_concrete_function().graph.get_operations()]
    assert operations.count("Pow") == 2 and operations.count("ResourceApplyAdam") == 3
