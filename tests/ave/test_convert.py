"""The authors' checkpoints as Keras models, on files that the tests write themselves."""

import numpy as np
import pytest

import ave
from ave import convert
from ave.author_checkpoints import load_with_config
from ave.config import CLASS_NAMES
from avpipeline.datasets.ave import class_names, read_annotations
from avpipeline.training.saved import load_model
from tests.helpers import torch_writing
from tests.helpers.author_files import AVE_SIZES as SIZES
from tests.helpers.author_files import ave_state, write_torch
from tests.helpers.commands import run_command


@pytest.fixture(scope="module")
def model():
    return ave.build_model("av_att", **SIZES)


@pytest.mark.parametrize("container", [torch_writing.write_legacy, torch_writing.write_zip])
def test_checkpoint_gives_the_model_it_was_written_from(model, tmp_path, container):
    loaded = ave.load_author_checkpoint(write_torch(tmp_path / "AV_att.pt", ave_state(model), container))
    rng = np.random.default_rng(0)
    batch = {
        "audio": rng.standard_normal((2, 10, 7)).astype("float32"),
        "visual": rng.random((2, 10, 2, 2, 9), "float32"),
    }
    np.testing.assert_allclose(loaded(batch), model(batch), atol=1e-6)


def test_convert_command_writes_a_model_that_knows_its_classes_and_features(model, tmp_path, capsys):
    checkpoint = write_torch(tmp_path / "AV_att.pt", ave_state(model))
    out = tmp_path / "out" / "av_att.keras"
    assert run_command(convert, str(checkpoint), str(out)) == 0
    assert "av_att" in capsys.readouterr().out
    loaded, info = load_model(out, paper="ave")
    assert info.class_names == CLASS_NAMES and len(CLASS_NAMES) == 29
    assert {feature.label for feature in info.features.values()} == {"vggish:embedding_relu", "vgg19:pool5"}
    for first, second in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_class_names_are_those_of_the_annotations(reference_dir):
    annotations = read_annotations(reference_dir / "data" / "ave" / "Annotations.txt")
    assert (*class_names(annotations)[:28], "background") == CLASS_NAMES


def test_sizes_are_read_off_the_tensors(model, tmp_path):
    _, config = load_with_config(write_torch(tmp_path / "AV_att.pt", ave_state(model)))
    assert config == ave.model_config("av_att", **SIZES)


def test_state_dict_of_dmrn_is_known_by_its_block(tmp_path):
    dmrn = ave.build_model("dmrn", **SIZES)
    loaded = ave.load_author_checkpoint(write_torch(tmp_path / "DMRN.pt", ave_state(dmrn)))
    assert loaded.name == "dmrn"
    for first, second in zip(loaded.get_weights(), dmrn.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
