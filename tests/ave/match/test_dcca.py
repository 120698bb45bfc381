"""DCCA: its objective against NumPy and finite differences, what must not give NaN, the shared space."""

import keras
import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf

from ave.match.config import MatchModelConfig, match_train_config
from ave.match.dcca import (
    CanonicalProjection,
    FitProjection,
    build_dcca,
    canonical_projections,
    correlation,
    fit_projection,
)
from ave.match.networks import compile_matcher
from ave.match.pairs import CLASS_NAMES
from avpipeline.datasets.base import ArraySource, Split
from tests.helpers.layer_checks import check_round_trip

R = 1e-4


def related(rng, samples=200, units=(6, 4), shared=3, noise=0.5):
    """Two sets of samples that have `shared` directions in common."""
    common = rng.standard_normal((samples, shared))
    sides = []
    for size in units:
        mixed = common @ rng.standard_normal((shared, size))
        sides.append(mixed + noise * rng.standard_normal((samples, size)) + rng.standard_normal(size))
    return sides


def generalised_eigenvalues(first, second, regularisation):
    """Canonical correlations by another way: S12 S22^-1 S21 w = rho^2 S11 w, solved by SciPy."""
    units = first.shape[1]
    joint = np.cov(first.T, second.T)
    joint += regularisation * np.eye(len(joint))
    s11, s12, s22 = joint[:units, :units], joint[:units, units:], joint[units:, units:]
    squares = scipy.linalg.eigh(s12 @ np.linalg.solve(s22, s12.T), s11, eigvals_only=True)[::-1]
    return np.sqrt(squares.clip(0))[: min(units, len(s22))]


def gradients(first, second, regularisation=R):
    first, second = tf.Variable(first), tf.Variable(second)
    with tf.GradientTape() as tape:
        value = correlation(first, second, regularisation)
    return float(value), [np.asarray(gradient) for gradient in tape.gradient(value, [first, second])]


@pytest.mark.parametrize("units", [(6, 4), (4, 6), (5, 5)])
def test_value_is_the_sum_of_canonical_correlations(units):
    first, second = related(np.random.default_rng(1), units=units)
    expected = generalised_eigenvalues(first, second, R)
    value = correlation(tf.constant(first), tf.constant(second), R)
    np.testing.assert_allclose(float(value), expected.sum(), rtol=1e-9)
    _, projections, correlations = canonical_projections(first, second, R)
    np.testing.assert_allclose(correlations, expected, rtol=1e-9)
    assert [projection.shape for projection in projections] == [(size, min(units)) for size in units]


def test_gradient_equals_finite_differences():
    first, second = related(np.random.default_rng(2), samples=30, units=(4, 3), shared=2)
    _, analytic = gradients(first, second)
    step = 1e-5
    for side, gradient in enumerate(analytic):
        for row, column in np.random.default_rng(3).integers(0, (30, (4, 3)[side]), (12, 2)):
            values = []
            for sign in (1, -1):
                moved = [first.copy(), second.copy()]
                moved[side][row, column] += sign * step
                values.append(float(correlation(*map(tf.constant, moved), R)))
            numeric = (values[0] - values[1]) / (2 * step)
            assert gradient[row, column] == pytest.approx(numeric, rel=1e-5, abs=1e-8)


def test_identical_sides_are_fully_correlated():
    x = np.random.default_rng(4).standard_normal((500, 5))
    assert gradients(x, x @ np.random.default_rng(5).standard_normal((5, 5)), 1e-9)[0] == pytest.approx(5, abs=1e-5)


def test_independent_sides_are_hardly_correlated():
    rng = np.random.default_rng(6)
    value, _ = gradients(rng.standard_normal((20000, 3)), rng.standard_normal((20000, 3)))
    assert 0 < value < 0.1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "case",
    ["one sample", "two samples", "fewer samples than units", "zeros", "constants", "equal units", "dead units",
     "equal eigenvalues", "identical sides", "huge", "tiny"],
)  # fmt: skip
def test_degenerate_batches_give_finite_values_and_gradients(case, dtype):
    rng = np.random.default_rng(7)
    first, second = rng.standard_normal((40, 6)), rng.standard_normal((40, 6))
    if case in ("one sample", "two samples", "fewer samples than units"):
        count = {"one sample": 1, "two samples": 2}.get(case, 4)
        first, second = first[:count], second[:count]
    elif case == "zeros":
        first, second = 0 * first, 0 * second
    elif case == "constants":
        first = 0 * first + 3
    elif case == "equal units":
        first, second = first[:, :1].repeat(6, 1), second[:, :2].repeat(3, 1)
    elif case == "dead units":
        first[:, 2:] = 0
    elif case == "equal eigenvalues":
        first = np.linalg.qr(first - first.mean(0))[0]
        second = first.copy()
    elif case == "identical sides":
        second = first.copy()
    else:
        scale = {"huge": 1e6, "tiny": 1e-8}[case]
        first, second = scale * first, scale * second
    value, found = gradients(first.astype(dtype), second.astype(dtype))
    assert np.isfinite(value) and -1e-6 <= value <= 6 + 1e-6
    assert all(np.isfinite(gradient).all() for gradient in found)
    if case in ("one sample", "zeros"):
        assert value == 0 and not any(gradient.any() for gradient in found)


def test_ascent_raises_the_correlation():
    first, second = related(np.random.default_rng(8), samples=60)
    value, found = gradients(first, second)
    moved, _ = gradients(first + 0.1 * found[0], second + 0.1 * found[1])
    assert moved > value


def test_projected_training_pairs_are_white_and_correlated_as_said():
    first, second = related(np.random.default_rng(9), samples=400)
    means, projections, correlations = canonical_projections(first, second, 1e-9)
    projected = [
        ((side - mean) @ matrix)[:, :3]
        for side, mean, matrix in zip((first, second), means, projections, strict=True)
    ]
    joint = np.cov(*(side.T for side in projected))
    np.testing.assert_allclose(joint[:3, :3], np.eye(3), atol=1e-6)
    np.testing.assert_allclose(joint[3:, 3:], np.eye(3), atol=1e-6)
    np.testing.assert_allclose(joint[:3, 3:], np.diag(correlations[:3]), atol=1e-6)
    assert (np.diff(correlations) <= 0).all()


def test_projections_of_rank_deficient_sides_are_finite():
    first = np.random.default_rng(10).standard_normal((5, 8))
    means, projections, correlations = canonical_projections(first, 0 * first)
    assert all(np.isfinite(array).all() for array in (*means, *projections, correlations))


SMALL = MatchModelConfig(hidden_units=8, embedding_units=3)


def pairs_in_common(count=256, seed=11):
    """Audio and visual segments that have four latent numbers in common, in 128 and 512 channels of noise."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((count, 1, 4))
    mixing = np.random.default_rng(12)
    inputs = {}
    for name, channels in (("audio", 128), ("visual", 512)):
        values = common @ mixing.standard_normal((4, channels)) + rng.standard_normal((count, 1, channels))
        inputs[name] = ArraySource(values.astype("float32"))
    ids = tuple(map(str, range(count)))
    return Split("synthetic", "train", ids, CLASS_NAMES, inputs, np.ones((count, 1), "float32"), {})


def test_training_correlates_and_brings_matching_pairs_together():
    keras.utils.set_random_seed(1)
    pairs = pairs_in_common()
    model = compile_matcher(build_dcca(SMALL), match_train_config("dcca", learning_rate=1e-2))
    inputs = {name: source.array for name, source in pairs.inputs.items()}
    before = fit_projection(model, pairs)
    unseen = pairs_in_common(50, seed=13)
    as_videos = {name: source.array.reshape(5, 10, -1) for name, source in unseen.inputs.items()}
    history = model.fit(
        inputs,
        pairs.labels,
        batch_size=128,
        epochs=15,
        validation_data=(as_videos, np.ones((5, 10), "float32")),
        callbacks=[FitProjection(pairs)],
        verbose=0,
    ).history
    assert history["loss"][-1] < history["loss"][0]
    layer = model.get_layer("projection")
    after = layer.fit(*embeddings(model, inputs))
    assert after.sum() > before.sum()
    # Same seconds are nearer to each other than other seconds.
    distances = model.predict(as_videos, verbose=0)
    same = np.eye(10, dtype=bool)
    assert distances[:, same].mean() < 0.6 * distances[:, ~same].mean()


def embeddings(model, inputs):
    outputs = keras.Model(model.input, [model.get_layer(f"{name}_2").output for name in ("visual", "audio")])(inputs)
    return [np.asarray(output)[:, 0] for output in outputs]


def test_projections_are_saved_with_the_model(tmp_path):
    pairs = pairs_in_common(64)
    model = build_dcca(SMALL)
    fit_projection(model, pairs)
    videos = {name: source.array.reshape(8, 8, -1) for name, source in pairs.inputs.items()}
    assert np.ptp(np.asarray(model(videos))) > 0.1
    check_round_trip(model, videos, tmp_path)


def test_layer_round_trips_and_shapes_are_said():
    rng = np.random.default_rng(14)
    sides = [rng.standard_normal((3, segments, 4)).astype("float32") for segments in (5, 3)]
    layer = CanonicalProjection(regularisation=1e-3)
    layer(*sides)
    same_time = [side[:, :3].reshape(-1, 4) for side in sides]
    np.testing.assert_allclose(layer.losses[0], -correlation(*map(tf.constant, same_time), 1e-3), rtol=1e-5)
    layer.fit(*same_time)
    outputs = layer(*sides)
    assert layer.compute_output_shape(*(side.shape for side in sides)) == tuple(output.shape for output in outputs)
    copy = CanonicalProjection.from_config(layer.get_config())
    copy(*sides)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(*sides)[0], outputs[0])
    assert copy.regularisation == 1e-3 and not layer.trainable_weights


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="above 0"):
        CanonicalProjection(regularisation=0.0)
    with pytest.raises(ValueError, match="as many units"):
        CanonicalProjection().build((None, None, 8), (None, None, 9))
