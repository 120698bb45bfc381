"""Every paper's headline network is exported, and the export computes what the network computes."""

import importlib
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from avpipeline.results import export
from avpipeline.training.saved import load_model
from tests.helpers.commands import refused, run_command
from tests.helpers.small_networks import HEADLINES, saved_small

FORMS = {"saved_model": export.saved_model, "model.tflite": export.tflite, "model.onnx": export.onnx}


@pytest.fixture
def converter():
    for name in ("tf2onnx", "onnxruntime"):
        pytest.importorskip(name, reason='ONNX needs pip install "audio-visual-fusion[onnx]"', exc_type=ImportError)


OTHERS = [paper for paper in HEADLINES if paper != "mafnet"]


@pytest.mark.parametrize("paper", ["mafnet", *(pytest.param(paper, marks=pytest.mark.slow) for paper in OTHERS)])
def test_all_forms_compute_what_the_network_computes(converter, tmp_path, capsys, paper):
    model = saved_small(tmp_path / "run" / "seed-0" / "best.keras", paper)
    module = importlib.import_module(f"{paper}.export")
    words = ["--format", "savedmodel", "tflite", "onnx", "--out", tmp_path / "out"]
    assert run_command(module, tmp_path / "run", *words) == 0
    said, about = capsys.readouterr().out, json.loads((tmp_path / "out" / "export.json").read_text())
    assert set(about["files"]) == set(FORMS) and about["parameters"] == model.count_params()
    # Another number of videos than was checked on.
    inputs = module.PAPER.example_inputs(model, 3)
    for name, opened in FORMS.items():
        assert about["files"][name]["largest_difference"] <= 1e-5 and name in said
        (found,) = opened(tmp_path / "out" / name)(inputs).items()
        assert found[0] == ("scores" if paper == "eventlayers" else "probabilities")
        np.testing.assert_allclose(found[1], model(inputs), atol=1e-5, rtol=1e-5)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*FORMS, "export.json"])


def test_several_outputs_keep_their_names(converter, tmp_path):
    model = saved_small(tmp_path / "weak.keras", "ave", "w_av_att")
    module = importlib.import_module("ave.export")
    assert run_command(module, "--weights", tmp_path / "weak.keras", "--format", "onnx", "--out", tmp_path / "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["export.json", "model.onnx"]
    inputs = module.PAPER.example_inputs(model, 2)
    found, wanted = export.onnx(tmp_path / "out" / "model.onnx")(inputs), model(inputs)
    assert set(found) == {"video", "segments"}
    for name, values in found.items():
        np.testing.assert_allclose(values, wanted[name], atol=1e-5)


def test_what_a_form_has_no_operation_for_is_one_sentence(converter, tmp_path, capsys):
    """Compact bilinear pooling multiplies complex spectra."""
    saved_small(tmp_path / "mcb.keras", "mafnet", "mcb")
    module, out = importlib.import_module("mafnet.export"), tmp_path / "out"
    words = [tmp_path / "mcb.keras", "--format", "onnx", "--out", out]
    refused(module, words, "mcb: cannot be written as onnx (it lacks the operations ", capsys, out)
    words[2] = "tflite"
    refused(module, words, "mcb: cannot be written as tflite (it lacks the operations ", capsys, out)
    assert [path.name for path in tmp_path.iterdir()] == ["mcb.keras"]


@pytest.mark.parametrize(
    "python, advice",
    [
        ((3, 12), 'needs tf2onnx; run pip install "audio-visual-fusion[onnx]".'),
        ((3, 13), "needs tf2onnx, which is not supported on Python 3.13; choose another --format, or Python 3.12."),
    ],
)
def test_without_the_converter_it_is_one_sentence(tmp_path, monkeypatch, capsys, python, advice):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    monkeypatch.setattr(export, "sys", SimpleNamespace(version_info=python))
    module, out = importlib.import_module("jca.export"), tmp_path / "out"
    words = [tmp_path / "any.keras", "--format", "onnx", "--out", out]
    refused(module, words, advice, capsys, out)


def test_what_computes_something_else_is_refused(tmp_path):
    model = saved_small(tmp_path / "model.keras", "attendfusion")
    inputs = importlib.import_module("attendfusion.export").PAPER.example_inputs(model, 2)
    wrong = lambda given: {"probabilities": np.asarray(model(given)) + 1e-3}  # noqa: E731
    with pytest.raises(ValueError, match="outputs differ by 1.0e-03"):
        export.largest_difference(model, wrong, inputs)


def test_no_model_and_two_are_one_sentence(tmp_path, capsys):
    module, out = importlib.import_module("ave.export"), tmp_path / "out"
    for words in ([], [tmp_path / "a", "--weights", tmp_path / "b"]):
        refused(module, [*words, "--out", out], "name one model", capsys, out)
    refused(module, [tmp_path, "--out", out], "is a folder that holds no model", capsys, out)
    refused(module, ["hf://user", "--out", out], "names no model on the Hugging Face Hub", capsys, out)
    saved_small(tmp_path / "model.keras", "jca")
    refused(module, [tmp_path / "model.keras", "--out", out], "a model of ave is needed", capsys, out)
    assert load_model(tmp_path / "model.keras")[1].paper == "jca"
