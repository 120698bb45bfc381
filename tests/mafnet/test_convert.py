"""The authors' checkpoint as a Keras model, on files that the tests write themselves."""

import numpy as np
import pytest

import mafnet
from avpipeline.datasets.ave import class_names, read_annotations
from avpipeline.training.saved import load_model
from mafnet import convert
from mafnet.author_checkpoints import load_with_config
from mafnet.config import CLASS_NAMES
from tests.helpers.author_files import MAFNET_SIZES as SIZES
from tests.helpers.author_files import mafnet_state, write_saver
from tests.helpers.commands import run_command
from tests.helpers.mafnet_small import small_batch, small_model


@pytest.fixture
def model():
    return small_model("mafnet", **SIZES)


def test_checkpoint_gives_the_model_it_was_written_from(model, tmp_path):
    state = mafnet_state(model)
    loaded, config = load_with_config(write_saver(tmp_path / "MAFnet", state))
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
    for name, array in mafnet_state(model).items():
        layer, weight = name.split("/")
        renamed[f"{RENUMBERED.get(layer, layer)}/{weight}"] = array
    loaded = mafnet.load_author_checkpoint(write_saver(tmp_path / "MAFnet", renamed))
    for ours, theirs in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_layers_of_one_shape_are_told_apart_by_their_order(tmp_path):
    model = small_model("mafnet", **{**SIZES, "visual_shape": (5,)})
    loaded = mafnet.load_author_checkpoint(write_saver(tmp_path / "MAFnet", mafnet_state(model)))
    for ours, theirs in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("given", ["MAFnet", "MAFnet.index", "MAFnet.data-00000-of-00001"])
def test_convert_command_writes_a_model_that_knows_its_classes_and_features(model, tmp_path, capsys, given):
    write_saver(tmp_path / "MAFnet", mafnet_state(model))
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


def test_class_names_are_those_of_the_annotations_in_alphabetical_order(reference_dir):
    annotations = read_annotations(reference_dir / "data" / "ave" / "Annotations.txt")
    assert tuple(sorted(class_names(annotations)[:28])) == CLASS_NAMES
