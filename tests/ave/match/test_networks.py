"""AVDLN: against the authors' weights and NumPy, its loss, its gradients and files that are not its weights."""

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from ave.match.config import MatchModelConfig, match_train_config
from ave.match.networks import (
    ContrastiveLoss,
    PairDistances,
    build_avdln,
    compile_matcher,
    load_cross_modality_weights,
)
from avpipeline.errors import InputError
from tests.helpers.layer_checks import check_layer, check_round_trip

SMALL = MatchModelConfig(hidden_units=6, embedding_units=4)


@pytest.fixture
def videos():
    rng = np.random.default_rng(1)
    return {
        "audio": rng.standard_normal((3, 5, 128)).astype("float32"),
        "visual": rng.standard_normal((3, 5, 512)).astype("float32"),
    }


@pytest.mark.golden
def test_distances_are_those_of_the_authors_weights(golden, reference_dir):
    model = load_cross_modality_weights(reference_dir / "data" / "ave" / "cmm_model_weights.h5")
    distances = model({"audio": golden["avdln.npz", "audio"], "visual": golden["avdln.npz", "visual"]})
    golden.compare("avdln.npz", "distance", np.diagonal(distances, axis1=1, axis2=2), 1e-5)
    assert [layer.count_params() for layer in model.layers] == [
        layer.count_params() for layer in build_avdln().layers
    ]


def in_numpy(model, videos):
    """Distances between all visual and all audio segments, from the weights by name."""
    weights = {weight.path: np.asarray(weight, "float64") for weight in model.weights}

    def embedded(name):
        x = videos[name] @ weights[f"{name}_1/kernel"] + weights[f"{name}_1/bias"]
        x = np.where(x > 0, x, 0.3 * x)
        return x @ weights[f"{name}_2/kernel"] + weights[f"{name}_2/bias"]

    difference = embedded("visual")[:, :, None] - embedded("audio")[:, None]
    return np.sqrt(np.maximum((difference**2).sum(-1), 1e-7))


def test_network_equals_numpy(videos):
    model = build_avdln(SMALL)
    np.testing.assert_allclose(model(videos), in_numpy(model, videos), rtol=1e-5)


def test_published_sizes():
    assert build_avdln().count_params() == 512 * 128 + 128 + 128 * 128 + 128 + 2 * (128 * 64 + 64)


def test_videos_of_any_length_and_round_trip(videos, tmp_path):
    model = build_avdln(SMALL)
    assert model({"audio": videos["audio"][:, :2], "visual": videos["visual"]}).shape == (3, 5, 2)
    check_round_trip(model, videos, tmp_path)


def test_mixed_precision_gives_float32_distances(videos):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        distances = build_avdln(SMALL)(videos)
    finally:
        keras.config.set_dtype_policy("float32")
    assert distances.dtype == "float32" and np.isfinite(distances).all()


def test_pair_distances_are_a_layer():
    rng = np.random.default_rng(2)
    visual, audio = (rng.standard_normal((3, n, 4)).astype("float32") for n in (5, 2))
    check_layer(PairDistances(), visual, audio)


def test_equal_embeddings_have_the_floor_as_distance_and_no_gradient():
    x = tf.Variable(np.ones((1, 2, 3), "float32"))
    with tf.GradientTape() as tape:
        distances = PairDistances()(x, tf.ones((1, 2, 3)))
    np.testing.assert_allclose(distances, np.full((1, 2, 2), 1e-7**0.5), rtol=1e-6)
    np.testing.assert_array_equal(tape.gradient(distances, x), np.zeros((1, 2, 3)))


def test_contrastive_loss_by_hand():
    """Only pairs of the same time count: the others, here at distance 9, do not."""
    labels = np.array([[1.0, 0.0, 0.0]])
    distances = np.full((1, 3, 3), 9, "float32")
    distances[0].flat[::4] = 0.5, 0.5, 3.0
    # 0.5^2, (2 - 0.5)^2 and nothing beyond the margin.
    np.testing.assert_allclose(ContrastiveLoss()(labels, distances), (0.25 + 2.25 + 0) / 3, rtol=1e-6)
    np.testing.assert_allclose(ContrastiveLoss(margin=1.0)(labels, distances), (0.25 + 0.25 + 0) / 3, rtol=1e-6)


def test_contrastive_loss_of_single_pairs():
    loss = ContrastiveLoss()(np.array([[1.0], [0.0]]), np.array([[[0.5]], [[1.5]]], "float32"))
    np.testing.assert_allclose(loss, (0.25 + 0.25) / 2)


def test_recipe_is_that_of_the_code():
    model = compile_matcher(build_avdln(SMALL), match_train_config("avdln"), ContrastiveLoss())
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    assert (float(model.optimizer.learning_rate), model.optimizer.epsilon) == (pytest.approx(1e-3), 1e-7)
    assert model.loss.margin == 2.0
    recipe = match_train_config("avdln")
    assert (recipe.batch_size, recipe.epochs) == (8, 20)
    assert model.jit_compile is False


def test_fit_moves_every_weight_and_lowers_the_loss():
    rng = np.random.default_rng(3)
    model = compile_matcher(build_avdln(SMALL), match_train_config("avdln"), ContrastiveLoss())
    before = [np.array(weight) for weight in model.trainable_weights]
    pairs = {"audio": rng.random((64, 1, 128), "float32"), "visual": rng.random((64, 1, 512), "float32")}
    labels = (np.arange(64) % 2).astype("float32")[:, None]
    losses = model.fit(pairs, labels, batch_size=8, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert all(np.abs(old - new).max() > 0 for old, new in zip(before, model.trainable_weights, strict=True))


def test_unknown_model_is_refused():
    with pytest.raises(ValueError, match="models are avdln, dcca"):
        match_train_config("avdlm")


def write_author_file(path, **changes):
    """A file laid out as Keras 2 lays it out; `changes` replace arrays by name, None removes a layer's weights."""
    arrays = {
        "dense_1": (512, 8),
        "dense_2": (8, 3),
        "dense_3": (128, 8),
        "dense_4": (8, 3),
    } | changes
    with h5py.File(path, "w") as file:
        layers = [name.encode() for name in arrays]
        file.attrs["layer_names"] = layers
        for layer, shape in arrays.items():
            group = file.create_group(layer)
            names = [] if shape is None else [f"{layer}/kernel:0".encode(), f"{layer}/bias:0".encode()]
            group.attrs["weight_names"] = names
            if shape is not None:
                group[f"{layer}/kernel:0"] = np.full(shape, 0.5, "float32")
                group[f"{layer}/bias:0"] = np.zeros(shape[-1:], "float32")
    return path


def test_sizes_are_read_off_the_file(tmp_path):
    model = load_cross_modality_weights(write_author_file(tmp_path / "w.h5"))
    assert model.get_layer("visual_2").kernel.shape == (8, 3)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dense_3": None}, "lacks dense_3/bias"),
        ({"dense_5": (3, 3)}, "also has dense_5/bias"),
        ({"dense_1": (100, 8)}, r"dense_1/kernel of shape \(100, 8\)"),
        ({"dense_4": (8, 2)}, r"dense_4/kernel of shape \(8, 2\)"),
        ({"dense_2": (8,)}, "no matrix dense_2/kernel"),
    ],
)
def test_files_of_other_networks_are_refused(tmp_path, changes, says):
    path = write_author_file(tmp_path / "w.h5", **changes)
    with pytest.raises(InputError, match=says) as error:
        load_cross_modality_weights(path)
    assert str(path) in str(error.value)


def test_a_file_that_is_not_hdf5_is_refused(tmp_path):
    (tmp_path / "w.h5").write_text("no weights")
    with pytest.raises(InputError, match="w.h5"):
        load_cross_modality_weights(tmp_path / "w.h5")
