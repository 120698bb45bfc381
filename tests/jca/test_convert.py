"""The authors' checkpoints as Keras models, on files that the tests write themselves."""

import json

import numpy as np
import pytest

import jca
from ave.config import CLASS_NAMES
from avpipeline.training.saved import load_model
from jca import convert
from tests.helpers import torch_writing
from tests.helpers.author_files import JCA_SIZES as SIZES
from tests.helpers.author_files import jca_state, write_torch
from tests.helpers.commands import run_command


@pytest.fixture(scope="module")
def model():
    """All weights random: biases that are zero would hide a mix-up."""
    model = jca.build_model("jca", **SIZES)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "seed" not in weight.path:
            weight.assign(rng.standard_normal(weight.shape))
    return model


@pytest.fixture(scope="module")
def checkpoint(model, tmp_path_factory):
    return write_torch(tmp_path_factory.mktemp("torch") / "jca.pt", jca_state(model))


def command(checkpoint, out):
    return run_command(convert, str(checkpoint), str(out))


def test_command_writes_the_model_with_its_classes_and_features(model, checkpoint, tmp_path, capsys):
    out = tmp_path / "out" / "jca.keras"
    assert command(checkpoint, out) == 0
    assert f"jca, {model.count_params():,} parameters, written to {out}" in capsys.readouterr().out
    loaded, info = load_model(out, paper="jca")
    assert info.class_names == CLASS_NAMES and info.dataset == "ave" and info.preset == "code"
    assert {feature.label for feature in info.features.values()} == {"vggish:embedding_relu", "vgg19:pool5"}
    # What the tensors tell: also that there are three recursions, not four.
    assert {name: info.config[name] for name in SIZES} == json.loads(json.dumps(SIZES))
    rng = np.random.default_rng(1)
    batch = {
        "audio": rng.standard_normal((2, 5, 7)).astype("float32"),
        "visual": rng.random((2, 5, 2, 2, 9), "float32"),
    }
    np.testing.assert_array_equal(loaded(batch), model(batch))


def test_zip_container_of_newer_torch_is_read_too(model, tmp_path):
    path = write_torch(tmp_path / "jca.pt", jca_state(model), torch_writing.write_zip)
    loaded = jca.load_author_checkpoint(path)
    weights = [[np.asarray(w) for w in m.weights if "seed" not in w.path] for m in (loaded, model)]
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)


def test_authors_form_of_file_converts(reference_dir, tmp_path):
    """A whole-module pickle; its 29 classes are AVE's."""
    assert command(reference_dir / "golden" / "jca.pt", tmp_path / "jca.keras") == 0
    with np.load(reference_dir / "golden" / "jca.npz") as file:
        sizes = json.loads(str(file["hparams"]))
    _, info = load_model(tmp_path / "jca.keras", paper="jca")
    assert info.config["video_size"] == sizes["video_size"] and info.config["audio_size"] == sizes["audio_size"]
