"""The layers against the paper's formulas and the authors' code written out in NumPy; dropout and its gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from jca import attending
from jca.attending import attend
from jca.dense_co_attention import DenseCoAttention
from jca.layers import AffinityAttended, JointCoAttention, L2Normalization, QueryAttended, Rerepresentation
from tests.helpers.layer_checks import check_layer
from tests.reference import jca as numpy_jca


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def weights_of(layer):
    return {weight.path: np.asarray(weight) for weight in layer.weights}


def test_l2_normalization_is_torchs_with_a_gradient_at_zero():
    x = normal(2, 3, 4)
    x[0, 1] = 0
    x[1, 2] = [1e-14, 0, 0, 0]
    (ours,) = check_layer(L2Normalization(), x)
    np.testing.assert_allclose(ours, x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12), atol=1e-6)
    assert not ours[0, 1].any() and ours[1, 2, 0] == pytest.approx(0.01, rel=1e-3)


def test_gradient_of_l2_normalization():
    """That of the formula where there is a length, zero where there is none."""
    x, upstream = tf.constant(normal(2, 4)), tf.constant(normal(2, 4, seed=1))
    rows = tf.concat([x, tf.zeros((1, 4))], 0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, rows])
        plain = tf.reduce_sum(upstream * x / tf.norm(x, axis=-1, keepdims=True))
        ours = tf.reduce_sum(tf.concat([upstream, tf.ones((1, 4))], 0) * L2Normalization()(rows))
    np.testing.assert_allclose(tape.gradient(ours, rows)[:2], tape.gradient(plain, x), atol=1e-6)
    np.testing.assert_array_equal(tape.gradient(ours, rows)[2], 0)


def test_l2_normalization_of_large_halves():
    """Squares of 300 do not fit into float16."""
    ours = L2Normalization(dtype="mixed_float16")(np.full((1, 4), 300, "float16"))
    assert ours.dtype == "float16"
    np.testing.assert_allclose(ours, 0.5, atol=1e-3)


@pytest.mark.parametrize(
    ("num_layers", "cell", "residual"), [(2, "lstm", True), (1, "lstm", False), (2, "gru", True), (0, "lstm", True)]
)
def test_rerepresentation_equals_numpy(num_layers, cell, residual):
    layer = Rerepresentation(6, num_layers, cell, residual, dropout=0.5, name="block")
    x = normal(2, 4, 5)
    (ours,) = check_layer(layer, x)
    weights = weights_of(layer)
    for video in range(2):
        options = {"num_layers": num_layers, "cell": cell, "residual": residual}
        theirs = numpy_jca.rerepresentation(x[video], weights, "block", **options)
        np.testing.assert_allclose(ours[video], theirs, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=-1), 1, atol=1e-5)


def test_dropout_of_rerepresentation_acts_between_layers_and_before_the_dense():
    keras.utils.set_random_seed(0)
    x = normal(2, 4, 5)
    for num_layers in (0, 2):
        layer = Rerepresentation(6, num_layers, dropout=0.5)
        assert np.abs(layer(x) - layer(x)).max() == 0
        assert np.abs(layer(x, training=True) - layer(x, training=True)).max() > 1e-3


@pytest.mark.parametrize("attended_by", ["joint", "other"])
@pytest.mark.parametrize("form", ["qkv", "affinity"])
def test_co_attention_equals_numpy(form, attended_by):
    layer = JointCoAttention(form, attended_by, affinity_units=7, dropout=0.4, name="coattn")
    video, audio = normal(2, 3, 6), normal(2, 3, 4, seed=1)
    ours = check_layer(layer, video, audio)
    weights = weights_of(layer)
    for index in range(2):
        theirs = numpy_jca.co_attention(
            video[index], audio[index], weights, "coattn", form=form, attended_by=attended_by
        )
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine[index], other, atol=1e-5)


def test_dense_co_attention_equals_numpy():
    layer = DenseCoAttention(2, memory=3, dropout=0.4, name="coattn")
    video, audio = normal(2, 3, 6), normal(2, 5, 4, seed=1)
    ours = check_layer(layer, video, audio)
    weights = weights_of(layer)
    assert weights["coattn/video_memory"].shape == (3, 6) and weights["coattn/audio_memory"].shape == (3, 4)
    for index in range(2):
        theirs = numpy_jca.dense_co_attention(video[index], audio[index], weights, "coattn", heads=2)
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine[index], other, atol=1e-5)


def test_seconds_may_attend_to_nothing():
    """An affinity with the memory rows alone: what is attended to is their mean, whatever the other modality is."""
    layer = DenseCoAttention(2, memory=3)
    video, audio = normal(1, 3, 4), normal(1, 3, 4, seed=1)
    layer(video, audio)
    layer.projections["video"].kernel.assign(100 * np.eye(4))
    layer.projections["audio"].kernel.assign(100 * np.eye(4))
    layer.rows["audio"].assign(np.full((3, 4), 50.0))
    ones, changed = np.ones((1, 3, 4), "f4"), -np.abs(audio)
    np.testing.assert_array_equal(layer(ones, -np.abs(video))[0], layer(ones, changed)[0])
    assert np.abs(layer(ones, audio)[1] - layer(ones, changed)[1]).max() > 1e-3


def test_what_dense_co_attention_drops_is_a_state_of_the_model():
    """A resumed run puts every variable back: then the same values are dropped again."""
    layer = DenseCoAttention(2, dropout=0.5)
    given = normal(2, 3, 4), normal(2, 3, 4, seed=1)
    layer(*given)
    before = [np.array(variable) for variable in layer.variables]
    first = [np.asarray(output) for output in layer(*given, training=True)]
    second = [np.asarray(output) for output in layer(*given, training=True)]
    for variable, value in zip(layer.variables, before, strict=True):
        variable.assign(value)
    for old, new, again in zip(first, second, layer(*given, training=True), strict=True):
        assert np.abs(old - new).max() > 1e-3
        np.testing.assert_array_equal(old, again)


def test_heads_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(ValueError, match="4 heads do not divide 6 channels"):
        DenseCoAttention()(normal(1, 3, 6), normal(1, 3, 8))


def test_dual_co_attention_does_not_see_its_own_modality():
    """Attended by the other alone, a modality's scores have that one's width; jointly they have both widths'."""
    video, audio = normal(1, 3, 6), normal(1, 3, 4)
    joint, dual = JointCoAttention("affinity"), JointCoAttention("affinity", "other")
    joint(video, audio), dual(video, audio)
    assert joint.video.W_c.shape == joint.audio.W_c.shape == (32, 10)
    assert (dual.video.W_c.shape, dual.audio.W_c.shape) == ((32, 4), (32, 6))


@pytest.mark.parametrize("kind", [QueryAttended, AffinityAttended])
def test_dropout_of_scores_in_training(kind):
    x, query = normal(2, 3, 4), normal(2, 3, 6)
    layer = kind(dropout=0.5, seed=3)
    still = layer(x, query)
    np.testing.assert_array_equal(still, layer(x, query, training=False))
    first, second = layer(x, query, training=True), layer(x, query, training=True)
    assert np.abs(first - second).max() > 1e-3
    # The state of what is dropped is a variable: put back, the same values are dropped again.
    again = kind(dropout=0.5, seed=3)
    again(x, query)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(x, query, training=True), first)


def test_without_dropout_training_is_evaluation():
    x, query = normal(2, 3, 4), normal(2, 3, 6)
    layer = QueryAttended()
    np.testing.assert_array_equal(layer(x, query, training=True), layer(x, query))
    assert not layer.non_trainable_variables


def test_modalities_drop_different_scores():
    layer = JointCoAttention(dropout=0.5, seed=1)
    x = normal(1, 3, 4)
    layer(x, x)
    layer.audio.set_weights(layer.video.get_weights())
    video, audio = layer(x, x, training=True)
    assert np.abs(video - audio).max() > 1e-3


@pytest.mark.parametrize("arguments", [{"form": "both"}, {"attended_by": "none"}])
def test_unknown_form_is_refused(arguments):
    with pytest.raises(ValueError, match="must be one of"):
        JointCoAttention(**arguments)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="cell must be one of"):
        Rerepresentation(4, cell="rnn")
    with pytest.raises(ValueError, match="dropout must be at least 0 and below 1"):
        QueryAttended(dropout=1.0)


# attend: value @ dropout(tanh(key @ query))


def triple(batch=2, rows=3, inner=5, steps=4, columns=6):
    shapes = (batch, rows, inner), (batch, inner, steps), (batch, steps, columns)
    return [tf.constant(normal(*shape, seed=index)) for index, shape in enumerate(shapes)]


def test_attend_without_dropout():
    value, key, query = triple()
    np.testing.assert_allclose(attend(value, key, query), value @ np.tanh(key @ query), atol=1e-5)
    np.testing.assert_array_equal(attend(value, key, query), attend(value, key, query, rate=0.0, seed=[1, 2]))


def dropped(rate, seed, shape):
    """Factors of the scores: 0 where dropped, else 1 / the kept share, seen through an identity as value."""
    batch, inner, columns = shape
    value = tf.eye(inner, batch_shape=[batch])
    key, query = tf.ones((batch, inner, 1)), tf.ones((batch, 1, columns))
    return np.asarray(attend(value, key, query, rate=rate, seed=seed)) / np.tanh(1)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.9, 0.999])
def test_dropped_share_is_the_rate(rate):
    """One level of 1/256 away in a call at most, and exactly the rate in the mean over calls."""
    factors = [dropped(rate, [seed, 7], (4, 50, 61)) for seed in range(40)]
    shares = np.array([(factor == 0).mean() for factor in factors])
    assert np.abs(shares - rate).max() < 1 / 256 + 0.015
    # 488,000 values and 40 levels: the standard deviation of the mean is below 0.0009.
    assert abs(shares.mean() - rate) < 0.003
    for factor in factors:
        kept = np.unique(factor[factor > 0].round(4))
        assert len(kept) <= 1 or np.ptp(kept) <= 2e-4 * kept.max()
    # What is kept is enlarged, so that the sum stays what it was.
    assert np.mean(factors) == pytest.approx(1, abs=0.15 if rate > 0.99 else 0.02)


def test_dropped_scores_are_independent():
    """No row, column or neighbour tells of another: as many pairs are both dropped as chance makes."""
    zeros = dropped(0.3, [5, 6], (16, 64, 128)) == 0
    for first, second in (
        (zeros[:, :, 1:], zeros[:, :, :-1]),
        (zeros[:, 1:], zeros[:, :-1]),
        (zeros[1:], zeros[:-1]),
        (zeros[:, :, 8:], zeros[:, :, :-8]),
    ):
        assert (first & second).mean() == pytest.approx(zeros.mean() ** 2, abs=0.004)


def test_bytes_of_one_draw_do_not_tell_of_each_other():
    """Neither one nor two of the 32 bytes that are made of a drawn word say whether a third one is below the level."""
    made = np.asarray(attending._random_bytes((64, 512, 128), tf.constant([3, 4])))
    # A row has four drawn words; those made of them stand behind each other.
    below = (made.reshape(-1, 4, 4, 8).swapaxes(1, 2).reshape(-1, 32) < 77).astype("float32")
    below = (below - below.mean(0)) / below.std(0)
    # Of all pairs and triples the largest mean by chance is 0.012.
    for first in range(32):
        for second in range(first):
            with_third = (below[:, first] * below[:, second]) @ below / len(below)
            others = np.delete(with_third, [first, second])
            assert abs(np.mean(below[:, first] * below[:, second])) < 0.016 and np.abs(others).max() < 0.016


@pytest.mark.parametrize("batch", [0, 1, 5])
@pytest.mark.parametrize("in_graph", [True, False])
def test_pieces_give_what_the_whole_batch_gives(batch, in_graph):
    """Outputs and gradients, also where the batch is open and its last piece has fewer samples, or none."""
    tensors, columns = triple(batch, inner=512, columns=1024), 1024
    # With as many scores as the published sizes have, two samples are a piece.
    assert int(attending._samples_a_piece(*tensors[1:])) == 2
    factors = dropped(0.5, [3, 4], (batch, 512, columns)).astype("float32")

    def both(product, tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            attended = product(*tensors)
        return attended, *tape.gradient(attended, tensors)

    def in_pieces(*tensors):
        return both(lambda *factors: attend(*factors, rate=0.5, seed=tf.constant([3, 4])), tensors)

    if in_graph:
        open_batch = [tf.TensorSpec((None, *tensor.shape[1:])) for tensor in tensors]
        in_pieces = tf.function(in_pieces, input_signature=open_batch, jit_compile=False)
    whole = both(lambda value, key, query: tf.matmul(value, factors * tf.tanh(tf.matmul(key, query))), tensors)
    for pieces, at_once in zip(in_pieces(*tensors), whole, strict=True):
        np.testing.assert_allclose(pieces, at_once, rtol=1e-5, atol=1e-4)


def test_a_gpu_takes_the_whole_batch_at_once(monkeypatch):
    _, key, query = triple(7, inner=512, columns=4096)
    assert attending._samples_a_piece(key, query) == 1
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["a GPU"])
    assert attending._samples_a_piece(key, query) == 7


def test_one_seed_drops_the_same_in_graph_and_out_of_it():
    shape = (2, 5, 13)  # 13 columns: no whole number of 64-bit draws
    in_graph = tf.function(lambda seed: attend(*triple(2, 3, 5, 4, 13), rate=0.5, seed=seed), jit_compile=False)
    outside = attend(*triple(2, 3, 5, 4, 13), rate=0.5, seed=[3, 4])
    np.testing.assert_allclose(in_graph(tf.constant([3, 4])), outside, atol=1e-6)
    assert (dropped(0.5, [3, 4], shape) != dropped(0.5, [3, 5], shape)).any()


def test_gradients_are_those_of_the_plain_form():
    """The custom gradient against automatic differentiation, with the mask read off the forward pass."""
    batch, rows, inner, steps, columns = sizes = 2, 3, 5, 4, 6
    factors = dropped(0.4, [8, 9], (batch, inner, columns)).astype("float32")
    assert 0 < (factors == 0).mean() < 1
    tensors, upstream = triple(*sizes), tf.constant(normal(batch, rows, columns, seed=9))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(tensors)
        value, key, query = tensors
        ours = tf.reduce_sum(upstream * attend(value, key, query, rate=0.4, seed=[8, 9]))
        plain = tf.reduce_sum(upstream * tf.matmul(value, factors * tf.tanh(tf.matmul(key, query))))
    np.testing.assert_allclose(ours, plain, rtol=1e-5)
    for mine, theirs in zip(tape.gradient(ours, tensors), tape.gradient(plain, tensors), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_gradient_reaches_a_kept_score_of_zero():
    """A score that happens to be zero is not taken for a dropped one."""
    value, query = tf.ones((1, 1, 8)), tf.ones((1, 1, 8))
    key = tf.zeros((1, 8, 1))
    kept = (dropped(0.5, [1, 1], (1, 8, 8)) > 0).sum()
    with tf.GradientTape() as tape:
        tape.watch(key)
        total = tf.reduce_sum(attend(value, key, query, rate=0.5, seed=[1, 1]))
    assert float(tf.reduce_sum(tape.gradient(total, key))) == pytest.approx(kept * 2, rel=0.02)
