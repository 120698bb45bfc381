"""`python -m ave.evaluate` on a small split: figures, tables and refusals."""

import dataclasses
import json

import keras
import numpy as np
import pandas as pd
import pytest

import ave
from ave import evaluate
from avpipeline.datasets import load_split
from avpipeline.features.store import read_manifest
from avpipeline.training.saved import ModelInfo, save_model
from tests.helpers.commands import refused, run_command
from tests.helpers.own_clips import write_own_clips
from tests.helpers.synthetic import FEATURES, synthetic_splits

SIZES = {"num_classes": 3, "num_segments": 4, "audio_channels": 6, "visual_shape": (2, 2, 5)}
NARROW = {"attention_units": 4, "lstm_units": 4, "hidden_units": 4}


# In the order of one's own clips.
CLASS_NAMES = ("bell", "dog", "background")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_own_clips(tmp_path_factory.mktemp("clips"), synthetic_splits(test=7))


@pytest.fixture(scope="module")
def split(folder):
    return load_split("csv", "test", folder)


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


def words_for(tmp_path, *words):
    return ["--weights", tmp_path / "model.keras", "--out", tmp_path / "out", *words]


def command(tmp_path, folder):
    return run_command(evaluate, *words_for(tmp_path, "--dataset", "csv", "--data", folder))


def test_figures_are_those_of_the_predictions(tmp_path, folder, split, saved, capsys):
    model = saved()
    assert command(tmp_path, folder) == 0
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


@pytest.mark.parametrize(("words", "name"), [((), "test"), (("--split", "val"), "val")])
def test_without_a_folder_it_is_a_split_of_the_synthetic_clips(few_clips, tmp_path, words, name):
    read = load_split("rendered", name, modalities=["audio"])
    model = ave.build_model("a", num_classes=len(read.class_names), **NARROW)
    info = ModelInfo("ave", "a", "code", read.class_names, read.features, "rendered")
    save_model(model, tmp_path / "model.keras", info)
    assert run_command(evaluate, *words_for(tmp_path, *words)) == 0
    told = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (told["dataset"], told["split"], told["videos"]) == ("rendered", name, 4)


def test_a_folder_is_aves(tmp_path, saved, capsys):
    saved()
    for words, sentence in (
        (("--data", tmp_path), "Annotations.txt: no such file"),
        (("--dataset", "ave"), "dataset 'ave': needs the folder"),
    ):
        refused(evaluate, words_for(tmp_path, *words), sentence, capsys, tmp_path / "out")


def test_a_weak_model_is_measured_by_its_segments(tmp_path, folder, split, saved):
    model = saved("w_av_att")
    assert command(tmp_path, folder) == 0
    inputs = {name: source.read(np.arange(7)) for name, source in split.inputs.items()}
    with np.load(tmp_path / "out" / "predictions.npz") as file:
        np.testing.assert_allclose(file["predictions"], model.predict(inputs, verbose=0)["segments"], atol=1e-6)


def test_an_audio_only_model_needs_no_visual_features(tmp_path, saved):
    saved("a")
    heard = {
        name: dataclasses.replace(split, features={"audio": FEATURES["audio"]})
        for name, split in synthetic_splits(test=7).items()
    }
    assert command(tmp_path, write_own_clips(tmp_path / "clips", heard)) == 0
    assert "visual" not in read_manifest(tmp_path / "clips").features


def test_other_features_are_refused(tmp_path, folder, saved, capsys):
    saved(features={**FEATURES, "visual": dataclasses.replace(FEATURES["visual"], sha256="c" * 64)})
    assert command(tmp_path, folder) == 2
    assert "its visual features do not fit the model (weight hash bbbb" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_other_classes_are_refused(tmp_path, folder, saved, capsys):
    saved(class_names=("dog", "bell", "background"))
    assert command(tmp_path, folder) == 2
    assert "was trained on the classes of synthetic (dog, bell, background)" in capsys.readouterr().err


def test_a_model_of_another_paper_is_refused(tmp_path, folder, saved, capsys):
    saved(paper="jca")
    assert command(tmp_path, folder) == 2
    assert "a model of ave is needed" in capsys.readouterr().err
