"""MAFnet's layers against the paper's equations written out in NumPy."""

import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import mafnet
from mafnet import layers
from mafnet.fusion import CompactBilinear, _unit_roots
from tests.helpers.layer_checks import check_layer
from tests.reference import mafnet as numpy_mafnet

ATTENTIONS = {
    "temporal": layers.TemporalAttention,
    "modality": layers.ModalityAttention,
    "modality_temporal": layers.ModalityTemporalAttention,
}


def values(layer):
    """Weights by path, after giving population statistics and biases random values that matter."""
    rng = np.random.default_rng(2)
    for weight in layer.weights:
        if weight.path.endswith(("bias", "beta", "mean")):
            weight.assign(rng.standard_normal(weight.shape))
        elif weight.path.endswith("variance"):
            weight.assign(rng.random(weight.shape) + 0.5)
    return {weight.path: np.asarray(weight, "float64") for weight in layer.weights}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def cells(rng):
    return rng.standard_normal((3, 4, 2, 5)).astype("float32")


@pytest.fixture
def maps(rng):
    return rng.standard_normal((2, 3, 4, 2, 5)).astype("float32")


@pytest.mark.parametrize("score", ["hidden", "relu"])
@pytest.mark.parametrize("over", [*ATTENTIONS, "separate"])
def test_attention_follows_the_equations(cells, over, score):
    separate, over = over == "separate", "temporal" if over == "separate" else over
    layer = ATTENTIONS[over](score, 16, separate, name="attention")
    # Where all scores of a video are cut off by the paper's ReLU, no gradient comes back: begin above zero.
    layer.build(cells.shape)
    for scorer in layer.scorer:
        if scorer.name.startswith("score"):
            scorer.bias.assign([2.0])
    features, weights = check_layer(layer, cells, no_gradient=("score/bias", "score_0/bias", "score_1/bias"))
    assert len(layer.weights) == (4 if score == "hidden" else 2) * (1 + separate)
    numbers = {weight.path: np.asarray(weight) for weight in layer.weights}
    for video in range(len(cells)):
        expected = numpy_mafnet.attention_weights(cells[video], numbers, over, score)
        np.testing.assert_allclose(weights[video], expected, atol=1e-6)
        for modality in range(2):
            weighed = expected[:, modality, None] * cells[video, :, modality]
            pooled = weighed.mean(0) if over == "modality" else weighed.sum(0)
            np.testing.assert_allclose(features[video, modality], pooled, atol=1e-6)
    axes = {"temporal": 1, "modality": 2, "modality_temporal": (1, 2)}[over]
    np.testing.assert_allclose(weights.sum(axes), 1, atol=1e-6)


def test_attention_of_equal_scores_is_even_by_hand():
    """With scorer weights of zero, all 2 x 2 clips and modalities of a video have the weight 1/4."""
    layer = layers.ModalityTemporalAttention("relu")
    x = np.arange(8, dtype="float32").reshape(1, 2, 2, 2)
    layer(x)
    layer.set_weights([np.zeros((2, 1)), np.zeros(1)])
    features, weights = layer(x)
    np.testing.assert_allclose(weights, np.full((1, 2, 2), 0.25))
    np.testing.assert_allclose(features, [[[1.0, 1.5], [2.0, 2.5]]])


def test_film_scales_and_shifts_by_hand():
    maps = np.array([[[[[1.0, 2.0]]], [[[3.0, 4.0]]]]], "float32")
    condition = np.array([[[1.0], [2.0]]], "float32")
    for scale, expected in (("one_plus", [[2.5, 0], [9.5, -2]]), ("plain", [[1.5, -2], [6.5, -6]])):
        film = layers.FiLM(scale)
        film(maps, condition)
        # gamma = (x, -x / 2 - 1/2), beta = (1/2, 0) with x the condition.
        film.set_weights([np.array([[1.0, -0.5, 0.0, 0.0]]), np.array([0.0, -0.5, 0.5, 0.0])])
        ours = np.asarray(film(maps, condition))[0, :, 0, 0]
        np.testing.assert_allclose(ours, expected, err_msg=scale)


@pytest.mark.parametrize("scale", ["one_plus", "plain"])
def test_film_and_its_block_follow_figure_4(rng, maps, scale):
    condition = rng.standard_normal((2, 3, 7)).astype("float32")
    check_layer(layers.FiLM(scale), maps, condition)
    layer = layers.FiLMedResidualBlock(6, scale, name="block")
    layer.build(maps.shape, condition.shape)
    weights = values(layer)
    output, before, after = check_layer(layer, maps, condition)
    for video, second in np.ndindex(2, 3):
        expected = numpy_mafnet.residual_block(maps[video, second], weights, "block", condition[video, second], scale)
        np.testing.assert_allclose(output[video, second], expected, atol=1e-4)
    film = np.asarray(layer.film.generator(condition))
    gamma = film[..., :6] + (scale == "one_plus")
    np.testing.assert_allclose(after, gamma * before + film[..., 6:], atol=1e-4)


def test_residual_block_without_film(maps):
    layer = layers.ResidualBlock(6, name="block")
    layer.build(maps.shape)
    weights = values(layer)
    (output,) = check_layer(layer, maps)
    for video, second in np.ndindex(2, 3):
        expected = numpy_mafnet.residual_block(maps[video, second], weights, "block")
        np.testing.assert_allclose(output[video, second], expected, atol=1e-4)


def test_blocks_normalize_over_clips_and_places_by_the_biased_variance(maps):
    layer = layers.ResidualBlock(6, norm_decay=0.9)
    layer(maps, training=True)
    residual, _ = layer.residual(maps, False)
    x = np.asarray(layer.conv2(np.asarray(residual).reshape(-1, 4, 2, 6))).reshape(-1, 6)
    np.testing.assert_allclose(layer.norm.moving_mean, 0.1 * x.mean(0), atol=1e-5)
    np.testing.assert_allclose(layer.norm.moving_variance, 0.9 + 0.1 * x.var(0), atol=1e-5)


def test_batch_norm_is_the_authors_in_training():
    norm = layers.batch_norm(0.999)
    x = np.random.default_rng(1).standard_normal((5, 3, 4)).astype("float32")
    ours = np.asarray(norm(x, training=True))
    flat = x.reshape(-1, 4)
    np.testing.assert_allclose(ours.reshape(-1, 4), (flat - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-3), atol=1e-5)
    assert norm.get_config()["synchronized"] is True


def test_map_mean(maps):
    (ours,) = check_layer(layers.MapMean(), maps)
    np.testing.assert_allclose(ours, maps.mean((2, 3)), atol=1e-6)


def test_compact_bilinear_is_the_sketch_of_the_outer_product(rng):
    """Pham and Pagh: the sketches' circular convolution is the outer product's sketch, summed term by term."""
    visual, audio = (rng.standard_normal((3, size)).astype("float32") for size in (5, 6))
    for channels in (8, 9):
        layer = CompactBilinear(channels, seed=3)
        (ours,) = check_layer(layer, visual, audio)
        for video in range(3):
            expected = numpy_mafnet.compact_bilinear(visual[video], audio[video], layer.sketches, channels)
            np.testing.assert_allclose(ours[video], expected, atol=1e-5)


def test_compact_bilinear_ends_with_signed_roots_of_unit_length(rng):
    visual, audio = (rng.standard_normal((3, size)).astype("float32") for size in (5, 6))
    layer = CompactBilinear(9, seed=3, normalized=True)
    (ours,) = check_layer(layer, visual, audio)
    plain = np.asarray(CompactBilinear(9, seed=3)(visual, audio), "float64")
    roots = np.sign(plain) * np.sqrt(np.abs(plain))
    np.testing.assert_allclose(ours, roots / np.linalg.norm(roots, axis=-1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=-1), 1, atol=1e-6)


def test_roots_have_their_gradient_but_at_zero(rng):
    """That of the formula in float64 for values from 1e-8 to 100; at zero, of silence, zero instead of infinity."""
    values = rng.choice([-1, 1], (2, 6)) * 10.0 ** rng.uniform(-8, 2, (2, 6))
    upstream = rng.standard_normal((2, 6))

    def gradient(function, dtype, rows):
        x = tf.constant(rows, dtype)
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(tf.constant(upstream, dtype) * function(x))
        return tape.gradient(total, x)

    def formula(x):
        roots = tf.sign(x) * tf.sqrt(tf.abs(x))
        return roots / tf.norm(roots, axis=-1, keepdims=True)

    expected = gradient(formula, "float64", values)
    for ours in (_unit_roots, tf.function(_unit_roots)):
        np.testing.assert_allclose(gradient(ours, "float32", values), expected, rtol=2e-4, atol=1e-6)
        np.testing.assert_array_equal(gradient(ours, "float32", np.zeros((2, 6))), 0)


def test_compact_bilinear_keeps_inner_products_in_the_mean():
    """Over many seeds <mcb(v, a), mcb(w, b)> is <v, w> <a, b>: what makes it bilinear pooling."""
    rng = np.random.default_rng(5)
    v, w, a, b = rng.standard_normal((4, 6)).astype("float32")
    products = []
    for seed in range(150):
        layer = CompactBilinear(64, seed=seed)
        x, y = np.asarray(layer(np.stack([v, w]), np.stack([a, b])))
        products.append(x @ y)
    error = np.std(products) / np.sqrt(len(products))
    assert abs(np.mean(products) - (v @ w) * (a @ b)) < 4 * error


def test_sketches_are_made_again_from_the_seed_and_depend_on_it(rng):
    x = rng.standard_normal((2, 5)).astype("float32")
    first, again, other = (CompactBilinear(8, seed=seed)(x, x) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(np.asarray(first) - np.asarray(other)).max() > 0.1


def test_attention_cluster_shifts_by_its_equation(rng):
    x = rng.standard_normal((3, 4, 5)).astype("float32")
    layer = layers.AttentionCluster(6, name="cluster")
    layer.build(x.shape)
    layer.alpha.assign(rng.random((6, 1)) + 0.5)
    layer.beta.assign(rng.standard_normal((6, 1)))
    (ours,) = check_layer(layer, x)
    weights = {weight.path: np.asarray(weight) for weight in layer.weights}
    for video in range(3):
        np.testing.assert_allclose(ours[video], numpy_mafnet.attention_cluster(x[video], weights, "cluster"), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=-1), 1, atol=1e-6)


def test_attention_clusters_begin_as_their_authors():
    """alpha and beta with the standard deviation N^(-1/4): 0.1 for 10,000 units."""
    layer = layers.AttentionCluster(10_000)
    layer.build((None, 3, 4))
    for weight in (layer.alpha, layer.beta):
        assert np.std(weight) == pytest.approx(0.1, rel=0.03) and abs(np.mean(weight)) < 0.005


def test_attention_cluster_survives_a_video_of_zeros():
    layer = layers.AttentionCluster(2)
    x = tf.zeros((1, 3, 4))
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(layer(x))
    gradients = tape.gradient(total, [x, *(weight.value for weight in layer.trainable_weights)])
    assert all(np.isfinite(np.asarray(gradient)).all() for gradient in (total, *gradients))


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="score must be one of"):
        layers.TemporalAttention("linear")
    with pytest.raises(ValueError, match="scale must be one of"):
        layers.FiLM("one")


@pytest.mark.parametrize("number", range(1, 13))
def test_every_equation_stands_at_its_code(number):
    source = "".join(path.read_text(encoding="utf-8") for path in Path(mafnet.__file__).parent.rglob("*.py"))
    # In a comment; the index and the formulas are in docstrings.
    assert re.search(rf"# .*Eq\. {number}\b", source)
