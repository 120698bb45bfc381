"""The layers against the paper's equations, and attention against Keras's own."""

import keras
import numpy as np
import pytest

from attendfusion import layers
from tests.helpers.layer_checks import check_layer
from tests.reference.ave import relu, sigmoid, softmax


@pytest.fixture
def tokens():
    return np.random.default_rng(0).standard_normal((3, 4, 6)).astype("float32")


def values(layer):
    """Weights by their path below the layer's name."""
    return {weight.path.split("/", 1)[1]: np.asarray(weight) for weight in layer.weights}


def dense(x, weights, name):
    return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


def test_fully_connected_is_a_dense_relu(tokens):
    layer = layers.FullyConnected(5)
    (ours,) = check_layer(layer, tokens)
    np.testing.assert_allclose(ours, relu(dense(tokens, values(layer), "dense")), atol=1e-5)


def test_dropout_leaves_out_its_share_in_training_only():
    layer = layers.FullyConnected(50, dropout=0.4)
    x = np.ones((200, 3), "float32")
    plain = np.asarray(layer(x))
    active = plain > 0
    trained = np.asarray(layer(x, training=True))[active]
    assert abs((trained == 0).mean() - 0.4) < 0.03
    np.testing.assert_allclose(trained[trained > 0], plain[active][trained > 0] / 0.6, rtol=1e-5)


@pytest.mark.parametrize("depth", [1, 2])
def test_residual_block_follows_equation_1(tokens, depth):
    layer = layers.ResidualBlock(depth)
    (ours,) = check_layer(layer, tokens)
    y = tokens
    for index in range(depth):
        y = relu(dense(y, values(layer), f"fc_{index}/dense"))
    np.testing.assert_allclose(ours, y + tokens, atol=1e-5)


def test_gated_block_follows_equations_2_and_3(tokens):
    layer = layers.GatedResidualBlock()
    (ours,) = check_layer(layer, tokens)
    g = sigmoid(dense(tokens, values(layer), "gate"))
    y = g * relu(dense(tokens, values(layer), "mapping/dense")) + (1 - g) * tokens
    np.testing.assert_allclose(ours, y, atol=1e-5)


def attended(queries, context, weights, units):
    """Eq. 6 and 7 for one video, then output layer and normalisation."""
    scores = dense(queries, weights, "query") @ dense(context, weights, "key").T / units**0.5
    y = dense(softmax(scores) @ dense(context, weights, "value"), weights, "output")
    y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-5)
    return y * weights["norm/gamma"] + weights["norm/beta"]


def test_attention_follows_equations_4_to_9(tokens):
    """Another number of context tokens and channels than of those that ask."""
    context = np.random.default_rng(1).standard_normal((3, 5, 7)).astype("float32")
    layer = layers.Attention(8)
    layer.build(tokens.shape, context.shape)
    # Normalisation weights of their own, so that they count.
    layer.norm.set_weights(np.random.default_rng(2).standard_normal((2, 6)).astype("float32"))
    ours = np.asarray(layer(tokens, context))
    for video in range(3):
        expected = attended(tokens[video], context[video], values(layer), 8)
        np.testing.assert_allclose(ours[video], expected, atol=1e-4)


def test_attention_passes_the_generic_check(tokens):
    layer = layers.Attention(8)
    layer.build(tokens.shape, tokens.shape)
    # The sum of squares of normalised channels is constant: gradients need other weights than ones.
    layer.norm.set_weights(np.random.default_rng(2).standard_normal((2, 6)).astype("float32"))
    check_layer(layer, tokens, tokens[:, :3].copy())


def test_attention_has_the_weights_and_outputs_of_keras_multi_head_attention(tokens):
    ours, theirs, norm = layers.Attention(8), keras.layers.MultiHeadAttention(1, 8), keras.layers.LayerNormalization()
    norm.epsilon = 1e-5
    ours(tokens, tokens), theirs(tokens, tokens), norm(tokens)
    assert ours.count_params() == theirs.count_params() + norm.count_params()
    weights = values(ours)
    # Keras keeps a dimension for the heads; its order is query, key, value, output, kernel before bias.
    names = ("query/kernel", "query/bias", "key/kernel", "key/bias", "value/kernel", "value/bias",
             "output/kernel", "output/bias")  # fmt: skip
    theirs.set_weights([weights[n].reshape(w.shape) for n, w in zip(names, theirs.weights, strict=True)])
    np.testing.assert_allclose(ours(tokens, tokens), norm(theirs(tokens, tokens)), atol=1e-5)


def test_published_size_of_one_attention():
    layer = layers.Attention(1024)
    layer.build((None, 2, 2048), (None, 2, 2048))
    assert layer.count_params() == 8_397_824


def test_one_token_makes_attention_a_linear_map(tokens):
    one = tokens[:, :1]
    layer = layers.Attention(8)
    ours = np.asarray(layer(one, one))
    weights = values(layer)
    y = dense(dense(one, weights, "value"), weights, "output")
    y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(ours, y, atol=1e-4)


def test_padded_frames_do_not_count(tokens):
    """Whatever the padding holds, a video's own frames give what they give alone."""
    layer = layers.Attention(8)
    alone = np.asarray(layer(tokens[:, :3], tokens[:, :3]))
    real = layers.RealFrames()(tokens, np.array([3, 3, 3]))
    padded = tokens.copy()
    padded[:, 3] = 100
    np.testing.assert_allclose(np.asarray(layer(padded, padded, real))[:, :3], alone, atol=1e-5)
    np.testing.assert_allclose(layers.TokenMean()(padded, real), tokens[:, :3].mean(1), atol=1e-5)


def test_real_frames_by_hand():
    features = np.zeros((3, 4, 2), "float32")
    real = np.asarray(layers.RealFrames()(features, np.array([4, 2, 0])))
    # A video without frames counts as having one, so that its mean exists.
    assert real.tolist() == [[True] * 4, [True, True, False, False], [True, False, False, False]]


def test_token_mean(tokens):
    (ours,) = check_layer(layers.TokenMean(), tokens)
    np.testing.assert_allclose(ours, tokens.mean(1), atol=1e-6)
