"""The authors' checkpoint as a Keras model, on files that the test writes itself."""

import numpy as np
import pytest
import tensorflow as tf

import mafnet
from avpipeline.datasets.ave import class_names, read_annotations
from avpipeline.errors import InputError
from avpipeline.training.saved import load_model
from mafnet import convert
from mafnet.author_checkpoints import load_with_config
from mafnet.config import CLASS_NAMES
from tests.helpers.commands import run_command
from tests.helpers.mafnet_small import small_batch, small_model

SIZES = {
    "units": 6,
    "filters": 5,
    "visual_shape": (7,),
    "audio_shape": (12, 8, 4),
    "num_segments": 10,
    "num_classes": 28,
}
# The authors' names of the layers, written out by hand.
LAYERS = {
    "audio_block/film/generator": "FILM_for_sound_fc",
    "audio_block/conv1": "FILMed_block_sound_conv1",
    "audio_block/conv2": "FILMed_block_sound_conv2",
    "audio_block/norm": "FILMed_block_sound_BN",
    "visual_dense": "time_distributed",
    "visual_norm": "image_BN_1",
    "audio_dense": "time_distributed_1",
    "audio_norm": "sound_BN_1",
    "attention/hidden": "dense",
    "attention/score": "dense_1",
    "classifier": "multimodal_fc_1",
    "classifier_norm": "multimodal_BN_1",
}
WEIGHTS = {"gamma": "scale", "moving_mean": "pop_mean", "moving_variance": "pop_var"}


def author_state(model) -> dict[str, np.ndarray]:
    """The model's weights, none of them as it began, under the authors' names."""
    rng = np.random.default_rng(4)
    state = {}
    for weight in model.weights:
        weight.assign(rng.random(weight.shape) + 0.1)
        layer, kind = weight.path.rsplit("/", 1)
        state[f"{LAYERS[layer]}/{WEIGHTS.get(kind, kind)}"] = np.asarray(weight)
    return state


def write_checkpoint(path, state):
    """A file as TensorFlow 1's Saver writes it, with what its Adams keep beside the variables."""
    slots = {f"{name}/Adam{number}": array for name, array in state.items() for number in ("", "_1", "_2", "_5")}
    every = {**state, **slots, "beta1_power": np.float32(0.5), "beta2_power_2": np.float32(0.5)}
    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=list(every),
        shape_and_slices=[""] * len(every),
        tensors=[tf.constant(array) for array in every.values()],
    )
    return path


@pytest.fixture
def model():
    return small_model("mafnet", **SIZES)


def test_checkpoint_gives_the_model_it_was_written_from(model, tmp_path):
    state = author_state(model)
    loaded, config = load_with_config(write_checkpoint(tmp_path / "MAFnet", state))
    assert config == mafnet.model_config("mafnet", **SIZES)
    inputs, _ = small_batch(model, 2)
    np.testing.assert_allclose(loaded(inputs), model(inputs), atol=1e-6)


RENUMBERED = {
    "time_distributed": "time_distributed_4",
    "time_distributed_1": "time_distributed_3",
    "dense": "dense_12",
    "dense_1": "dense_2",
    "image_BN_1": "image_BN",
    "sound_BN_1": "sound_BN_7",
    "multimodal_fc_1": "multimodal_fc",
    "multimodal_BN_1": "multimodal_BN_2",
    "FILM_for_sound_fc": "FILM_for_sound_fc_1",
    "FILMed_block_sound_conv1": "FILMed_block_sound_conv1_1",
}


def test_layers_with_other_numbers_are_found_by_their_shapes(model, tmp_path):
    """Even where the numbers are in the other order than the layers."""
    renamed = {}
    for name, array in author_state(model).items():
        layer, weight = name.split("/")
        renamed[f"{RENUMBERED.get(layer, layer)}/{weight}"] = array
    loaded = mafnet.load_author_checkpoint(write_checkpoint(tmp_path / "MAFnet", renamed))
    for ours, theirs in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_layers_of_one_shape_are_told_apart_by_their_order(tmp_path):
    model = small_model("mafnet", **{**SIZES, "visual_shape": (5,)})
    loaded = mafnet.load_author_checkpoint(write_checkpoint(tmp_path / "MAFnet", author_state(model)))
    for ours, theirs in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("given", ["MAFnet", "MAFnet.index", "MAFnet.data-00000-of-00001"])
def test_convert_command_writes_a_model_that_knows_its_classes_and_features(model, tmp_path, capsys, given):
    write_checkpoint(tmp_path / "MAFnet", author_state(model))
    out = tmp_path / "out" / "mafnet.keras"
    assert run_command(convert, str(tmp_path / given), str(out)) == 0
    assert f"{model.count_params():,} parameters" in capsys.readouterr().out
    loaded, info = load_model(out, paper="mafnet")
    assert info.class_names == CLASS_NAMES
    assert {name: feature.label for name, feature in info.features.items()} == {
        "visual": "densenet201:avg_pool",
        "audio": "vggish:conv4_2",
    }
    for ours, theirs in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def drop(state):
    del state["sound_BN_1/pop_var"]


def add(state):
    state["visual_lstm/kernel"] = np.zeros((3, 3), "float32")


def misshape(state):
    state["image_BN_1/beta"] = np.zeros(7, "float32")


def third_layer(state):
    state["dense_2/kernel"] = np.zeros((3, 3), "float32")


def other_network(state):
    state.clear()
    state["conv1/kernel"] = np.zeros((3, 3), "float32")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (drop, "nothing for audio_norm/moving_variance"),
        (add, "also has visual_lstm/kernel"),
        (misshape, r"image_BN_1/beta of shape \(7,\) does not fit mafnet, which needs \(6,\)"),
        (third_layer, "nothing for attention/score/bias"),
        (other_network, "is not a checkpoint of MAFnet"),
    ],
)
def test_checkpoint_of_another_model_is_refused(model, tmp_path, change, sentence):
    state = author_state(model)
    change(state)
    with pytest.raises(InputError, match=f"MAFnet: .*{sentence}"):
        mafnet.load_author_checkpoint(write_checkpoint(tmp_path / "MAFnet", state))


def test_command_leaves_nothing_behind_after_a_refusal(tmp_path, capsys):
    (tmp_path / "MAFnet.index").write_bytes(b"")
    out = tmp_path / "out.keras"
    assert run_command(convert, str(tmp_path / "MAFnet.index"), str(out)) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()


def test_classes_of_another_dataset_are_not_guessed(tmp_path, capsys):
    model = small_model("mafnet", **{**SIZES, "num_classes": 4})
    checkpoint = write_checkpoint(tmp_path / "MAFnet", author_state(model))
    assert run_command(convert, str(checkpoint), str(tmp_path / "out.keras")) == 2
    assert "has 4 classes and AVE has 28" in capsys.readouterr().err


def test_class_names_are_those_of_the_annotations_in_alphabetical_order(reference_dir):
    annotations = read_annotations(reference_dir / "data" / "ave" / "Annotations.txt")
    assert tuple(sorted(class_names(annotations)[:28])) == CLASS_NAMES
