"""Loss and optimizer by hand."""

import keras
import numpy as np

import attendfusion
from attendfusion.recipe import MultiLabelCrossEntropy


def test_loss_is_equation_10():
    labels = np.array([[1, 0, 1], [0, 0, 0]], "float32")
    probabilities = np.array([[0.8, 0.1, 0.5], [0.3, 0.0, 0.2]], "float32")
    first = -(np.log(0.8) + np.log(0.9) + np.log(0.5))
    second = -(np.log(0.7) + np.log(0.8))
    np.testing.assert_allclose(MultiLabelCrossEntropy()(labels, probabilities), (first + second) / 2, rtol=1e-5)


def test_probabilities_of_exactly_0_and_1_have_a_finite_loss_and_gradient():
    labels = np.array([[1, 0]], "float32")
    loss = float(MultiLabelCrossEntropy()(labels, np.array([[0.0, 1.0]], "float32")))
    # 1 - 1e-7 is rounded to the float32 nearest to it.
    np.testing.assert_allclose(loss, -2 * np.log(1e-7), rtol=0.02)
    assert float(MultiLabelCrossEntropy()(labels, labels)) < 1e-6


def test_optimizer_is_torchs_adamw_on_every_parameter():
    """Three steps of one Dense layer with its bias, written out: first the decay, then Adam's step."""
    layer = keras.layers.Dense(1)
    model = keras.Sequential([keras.Input((2,)), layer])
    config = attendfusion.train_config(learning_rate=0.1, weight_decay=0.2)
    attendfusion.compile_model(model, config)
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(shape) for shape in ((2, 1), (1,))]
    layer.set_weights(values)
    moments = [(np.zeros_like(value), np.zeros_like(value)) for value in values]
    for step in range(1, 4):
        gradients = [1e-7 * rng.standard_normal(value.shape) for value in values]
        model.optimizer.apply(
            [keras.ops.convert_to_tensor(gradient, "float32") for gradient in gradients], model.trainable_variables
        )
        for index, gradient in enumerate(gradients):
            m, v = moments[index]
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
            moments[index] = m, v
            values[index] = values[index] * (1 - 0.1 * 0.2)
            values[index] -= 0.1 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    for ours, expected in zip(layer.get_weights(), values, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_the_papers_recipe():
    config = attendfusion.train_config()
    assert (config.learning_rate, config.weight_decay, config.epochs) == (1e-4, 0.01, 20)
