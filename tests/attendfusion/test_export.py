"""The exports are as large as the weights; the command line as before ONNX."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import attendfusion
from attendfusion import export as command_module
from attendfusion.export import PAPER
from avpipeline.features.info import FeatureInfo
from avpipeline.results import export
from avpipeline.training.saved import ModelInfo, save_model
from tests.helpers.commands import run_command

SMALL = {"width": 32, "num_classes": 5, "audio_channels": 4, "visual_channels": 6}


def save(path, name, tokens="mean_std"):
    keras.utils.set_random_seed(1)
    model = attendfusion.build_model(name, **SMALL, tokens=tokens)
    features = {"audio": FeatureInfo("vggish", "embedding", "none", "", (4,))}
    save_model(model, path, ModelInfo("attendfusion", name, "paper", tuple("abcde"), features, "synthetic"))
    return model


def command(folder):
    words = ["--weights", str(folder / "model.keras"), "--out", str(folder / "out")]
    return run_command(command_module, *words)


@pytest.mark.parametrize(
    ("name", "tokens"),
    [("fcrgn_late", "mean_std"), pytest.param("attend_fusion_audio", "frames", marks=pytest.mark.slow)],
)
def test_both_forms_agree_with_the_network(tmp_path, capsys, name, tokens):
    model = save(tmp_path / "model.keras", name, tokens)
    assert command(tmp_path) == 0
    said = capsys.readouterr().out
    files = json.loads((tmp_path / "out" / "export.json").read_text())["files"]
    weights = 4 * model.count_params()
    for path, call in (("saved_model", export.saved_model), ("model.tflite", export.tflite)):
        found = files[path]
        assert found["bytes"] == export.size_of(tmp_path / "out" / path) and f"{found['bytes'] / 1e6:.2f} MB" in said
        assert found["largest_difference"] <= export.TOLERANCE
        # Another number of videos than were checked on.
        inputs = PAPER.example_inputs(model, 2)
        found = call(tmp_path / "out" / path)(inputs)["probabilities"]
        np.testing.assert_allclose(found, model(inputs), atol=export.TOLERANCE)
    assert weights < files["model.tflite"]["bytes"] < weights + 100_000
    variables = sum(path.stat().st_size for path in (tmp_path / "out" / "saved_model").rglob("*.data*"))
    assert weights <= variables < weights + 50_000


def test_a_folder_that_is_there_is_kept(tmp_path, capsys):
    save(tmp_path / "model.keras", "fc_early")
    (tmp_path / "out").mkdir()
    assert command(tmp_path) == 2
    assert "out: exists already" in capsys.readouterr().err
    assert not any((tmp_path / "out").iterdir())


def test_what_cannot_be_converted_leaves_nothing_behind(tmp_path, monkeypatch, capsys):
    save(tmp_path / "model.keras", "fc_early")

    def fail(inputs, saved, path):
        raise tf.errors.InternalError(None, None, "no")

    monkeypatch.setitem(export.FORMS, "tflite", export.FORMS["tflite"]._replace(convert=fail))
    assert command(tmp_path) == 2
    assert "fc_early: cannot be written as tflite (no); choose another --format." in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
