"""`python -m ave.evaluate` on a small split: figures, tables and refusals."""

import dataclasses
import json

import keras
import numpy as np
import pandas as pd
import pytest

import ave
from ave import evaluate
from avpipeline.training.saved import ModelInfo, save_model
from tests.helpers.commands import run_command
from tests.helpers.synthetic import CLASS_NAMES, FEATURES, synthetic_split

SIZES = {"num_classes": 3, "num_segments": 4, "audio_channels": 6, "visual_shape": (2, 2, 5)}
NARROW = {"attention_units": 4, "lstm_units": 4, "hidden_units": 4}


@pytest.fixture(scope="module")
def split():
    return synthetic_split("test", 7)


@pytest.fixture
def loads(monkeypatch, split):
    """Hands out the small split instead of a dataset; returns what was asked for."""
    asked = []

    def load_split(dataset, name, data, *, modalities):
        asked.append((dataset, name, data, modalities))
        return split

    monkeypatch.setattr(evaluate, "load_split", load_split)
    return asked


@pytest.fixture
def saved(tmp_path):
    def save(name="av_att", **changes):
        keras.utils.set_random_seed(1)
        model = ave.build_model(name, **SIZES, **NARROW)
        fields = {
            "paper": "ave",
            "model": name,
            "preset": "code",
            "class_names": CLASS_NAMES,
            "features": {modality: FEATURES[modality] for modality in model.input},
            "dataset": "synthetic",
        }
        save_model(model, tmp_path / "model.keras", ModelInfo(**{**fields, **changes}))
        return model

    return save


def command(tmp_path, *words):
    arguments = ["--weights", str(tmp_path / "model.keras"), "--out", str(tmp_path / "out"), *words]
    return run_command(evaluate, *arguments)


def test_figures_are_those_of_the_predictions(tmp_path, split, loads, saved, capsys):
    model = saved()
    assert command(tmp_path) == 0
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        "evaluation.json", "per_class.csv", "confusion.csv", "confusion.png", "predictions.npz"
    }  # fmt: skip

    inputs = {name: source.read(np.arange(7)) for name, source in split.inputs.items()}
    expected = model.predict(inputs, verbose=0)
    with np.load(out / "predictions.npz") as file:
        np.testing.assert_allclose(file["predictions"], expected, atol=1e-6)
        np.testing.assert_array_equal(file["labels"], split.labels)
        assert tuple(file["ids"]) == split.ids

    truth, predicted = split.labels.argmax(-1).ravel(), expected.argmax(-1).ravel()
    assert pd.read_csv(out / "per_class.csv")["segments"].sum() == 28
    accuracy = (truth == predicted).mean()
    result = json.loads((out / "evaluation.json").read_text())
    assert result["segment_accuracy"] == pytest.approx(accuracy) and result["videos"] == 7
    assert f"{100 * accuracy:.2f} % of 28 segments right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ((), ("rendered", "test", None)),
        (("--split", "val"), ("rendered", "val", None)),
        (("--data", "."), ("ave", "test", "path")),
        (("--dataset", "ave"), ("ave", "test", None)),
    ],
)
def test_the_dataset_follows_from_the_flags(tmp_path, loads, saved, words, asked):
    saved()
    assert command(tmp_path, *words) == 0
    dataset, split, data, _ = loads[0]
    assert (dataset, split, data and "path") == asked


def test_a_weak_model_is_measured_by_its_segments(tmp_path, split, loads, saved):
    model = saved("w_av_att")
    assert command(tmp_path) == 0
    inputs = {name: source.read(np.arange(7)) for name, source in split.inputs.items()}
    with np.load(tmp_path / "out" / "predictions.npz") as file:
        np.testing.assert_allclose(file["predictions"], model.predict(inputs, verbose=0)["segments"], atol=1e-6)


def test_an_audio_only_model_needs_no_visual_features(tmp_path, loads, saved):
    saved("a")
    assert command(tmp_path) == 0
    assert loads[0][-1] == ["audio"]


def test_other_features_are_refused(tmp_path, loads, saved, capsys):
    saved(features={**FEATURES, "visual": dataclasses.replace(FEATURES["visual"], sha256="c" * 64)})
    assert command(tmp_path) == 2
    assert "its visual features do not fit the model (weight hash bbbb" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_other_classes_are_refused(tmp_path, loads, saved, capsys):
    saved(class_names=("bell", "dog", "background"))
    assert command(tmp_path) == 2
    assert "was trained on the classes of synthetic (bell, dog, background)" in capsys.readouterr().err


def test_a_model_of_another_paper_is_refused(tmp_path, loads, saved, capsys):
    saved(paper="jca")
    assert command(tmp_path) == 2
    assert "a model of ave is needed" in capsys.readouterr().err
