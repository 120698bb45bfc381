"""Loss and optimizer by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import attendfusion
from attendfusion.layers import Attention, GatedScores, RealFrames, TokenMean
from attendfusion.recipe import MultiLabelCrossEntropy
from tests.helpers.extreme_gradients import EXTREMES, check_extreme_gradients, check_steps, sigmoid
from tests.helpers.layer_checks import check_layer


def test_loss_is_equation_10():
    labels = np.array([[1, 0, 1], [0, 0, 0]], "float32")
    probabilities = np.array([[0.8, 0.1, 0.5], [0.3, 0.0, 0.2]], "float32")
    first = -(np.log(0.8) + np.log(0.9) + np.log(0.5))
    second = -(np.log(0.7) + np.log(0.8))
    np.testing.assert_allclose(MultiLabelCrossEntropy()(labels, probabilities), (first + second) / 2, rtol=1e-5)


def test_bare_probabilities_of_exactly_0_and_1_have_a_finite_loss():
    labels = np.array([[1, 0]], "float32")
    loss = float(MultiLabelCrossEntropy()(labels, np.array([[0.0, 1.0]], "float32")))
    # 1 - 1e-7 is rounded to the float32 nearest to it.
    np.testing.assert_allclose(loss, -2 * np.log(1e-7), rtol=0.02)
    assert float(MultiLabelCrossEntropy()(labels, labels)) < 1e-6


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_gradient_of_a_networks_loss_is_that_of_equation_10_at_every_score(label):
    """Probability minus label, divided by the number of videos by Keras's mean; -1 for a label at logit -17."""
    sizes = {"width": 8, "num_classes": len(EXTREMES), "audio_channels": 4, "visual_channels": 6}
    model = attendfusion.compile_model(attendfusion.build_model("attend_fusion", **sizes))
    inputs = {"audio": np.zeros((2, 2, 4), "float32"), "visual": np.zeros((2, 2, 6), "float32")}
    labels = np.full((2, len(EXTREMES)), label, "float32")
    check_steps(model, inputs, labels, {"classifier": EXTREMES}, {"classifier": sigmoid(EXTREMES) - label})


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_gradient_of_a_gated_networks_loss_is_that_of_equation_10(label):
    """Of log sigmoid(a) + log sigmoid(b) and of log(1 - sigmoid(a) sigmoid(b)), for every pair of extreme scores."""
    a, b = (each.ravel() for each in np.meshgrid(EXTREMES, EXTREMES))
    sizes = {"width": 8, "num_classes": len(a), "audio_channels": 4, "visual_channels": 6}
    model = attendfusion.compile_model(attendfusion.build_model("fcrgn_late", **sizes))
    inputs = {"audio": np.zeros((2, 2, 4), "float32"), "visual": np.zeros((2, 2, 6), "float32")}
    # 1 - sigmoid(a) sigmoid(b), without cancellation
    rest = sigmoid(-a) + sigmoid(a) * sigmoid(-b)
    of_no_label = sigmoid(a) * sigmoid(b) / rest
    expected = {
        "classifier": -sigmoid(-a) if label else of_no_label * sigmoid(-a),
        "output_gate": -sigmoid(-b) if label else of_no_label * sigmoid(-b),
    }
    check_steps(model, inputs, np.full((2, len(a)), label, "float32"), {"classifier": a, "output_gate": b}, expected)


def test_gated_scores_are_those_of_the_product():
    a, b = (each.ravel() for each in np.meshgrid(EXTREMES, EXTREMES))
    scores = GatedScores()(a.astype("float32"), b.astype("float32"))
    np.testing.assert_allclose(keras.ops.sigmoid(scores), sigmoid(a) * sigmoid(b), rtol=1e-4, atol=1e-37)
    layer, rng = GatedScores(), np.random.default_rng(0)
    check_layer(layer, *rng.standard_normal((2, 3, 5)).astype("float32"))


def test_half_precision_keeps_the_gradient():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        sizes = {"width": 8, "num_classes": len(EXTREMES), "audio_channels": 4, "visual_channels": 6}
        model = attendfusion.compile_model(attendfusion.build_model("fc_early", **sizes))
    finally:
        keras.config.set_dtype_policy("float32")
    inputs = {"audio": np.zeros((2, 2, 4), "float32"), "visual": np.zeros((2, 2, 6), "float32")}
    labels = np.ones((2, len(EXTREMES)), "float32")
    expected = {"classifier": sigmoid(EXTREMES) - 1}
    check_steps(model, inputs, labels, {"classifier": EXTREMES}, expected)


def test_padding_has_no_gradient_whatever_it_holds():
    """The guards of padded frames: the large negative score, at least one frame, and the mean over real frames."""
    rng = np.random.default_rng(0)
    tokens, counts = rng.standard_normal((3, 4, 6)).astype("float32"), np.array([0, 2, 4])
    tokens[:, 2:] *= 100
    layer = Attention(8)
    layer.build(tokens.shape, tokens.shape)
    layer.norm.set_weights(rng.standard_normal((2, 6)).astype("float32"))

    def pooled(x):
        real = RealFrames()(x, counts)
        return TokenMean()(layer(x, x, real), real)

    for way in (lambda f: f, tf.function):
        x = tf.constant(tokens)
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(way(pooled)(x))
        gradient = np.asarray(tape.gradient(total, x))
        assert np.isfinite(gradient).all() and not gradient[0, 1:].any() and not gradient[1, 2:].any()
        assert np.abs(gradient[1, :2]).max() > 0 and np.abs(gradient[2]).max() > 0
    # The mean's own: one over the number of real frames.
    real = RealFrames()(tokens, counts)
    expected = np.zeros((3, 4, 6))
    expected[0, :1], expected[1, :2], expected[2] = 1, 1 / 2, 1 / 4
    check_extreme_gradients(lambda x: TokenMean()(x, real), [tokens], [expected])


def test_normalisation_of_attention_at_every_spread():
    """(x - mean) / sqrt(variance + 1e-5), from channels that hardly differ to differences of 100."""
    direction, upstream = np.array([1.0, -2.0, 0.5, 0.5]), np.array([1.0, 3.0, -2.0, 0.0])
    layer = Attention(2)
    layer.build((1, 1, 4), (1, 1, 4))
    for spread in (0.0, 1e-6, 1e-2, 1.0, 100.0):
        x = 5 + spread * direction
        deviation = np.sqrt(x.var() + 1e-5)
        unit = (x - x.mean()) / deviation
        expected = (upstream - upstream.mean() - unit * (unit @ upstream) / 4) / deviation
        check_extreme_gradients(
            lambda x: layer.norm(x) * upstream.astype("float32"),
            [x[None, None]],
            [expected[None, None]],
            rtol=2e-3,
            atol=1e-3 * np.abs(expected).max(),
        )


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
