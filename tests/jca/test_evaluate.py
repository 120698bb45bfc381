"""`python -m jca.evaluate` on a small split: its figures are those of the model, and what does not fit is refused.

What the tables hold is tested with ave's command, whose code measures here too.
"""

import dataclasses
import json

import keras
import numpy as np
import pytest

import jca
from avpipeline.datasets.rendered import rendered_split
from avpipeline.training.saved import ModelInfo, save_model
from jca import evaluate
from tests.helpers.commands import refused, run_command
from tests.helpers.synthetic import FEATURES

NARROW = {"video_size": 4, "audio_size": 4, "num_layers": 1, "recursions": 1}


@pytest.fixture(scope="module")
def split(few_clips):
    return rendered_split("test")


def saved(tmp_path, split, **changes):
    keras.utils.set_random_seed(1)
    model = jca.build_model("jca", num_classes=len(split.class_names), **NARROW)
    info = ModelInfo("jca", "jca", "code", split.class_names, split.features, "synthetic")
    save_model(model, tmp_path / "model.keras", dataclasses.replace(info, **changes))
    return model


def words_for(tmp_path):
    return ["--weights", tmp_path / "model.keras", "--out", tmp_path / "out"]


def test_figures_are_those_of_the_model(tmp_path, split, capsys):
    model = saved(tmp_path, split)
    assert run_command(evaluate, *words_for(tmp_path)) == 0
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        "evaluation.json", "per_class.csv", "confusion.csv", "confusion.png", "predictions.npz"
    }  # fmt: skip
    expected = np.asarray(model({name: source.read(np.arange(4)) for name, source in split.inputs.items()}))
    with np.load(out / "predictions.npz") as file:
        np.testing.assert_allclose(file["predictions"], expected, atol=1e-6)
    accuracy = (split.labels.argmax(-1) == expected.argmax(-1)).mean()
    result = json.loads((out / "evaluation.json").read_text())
    assert result["segment_accuracy"] == pytest.approx(accuracy) and result["videos"] == 4
    assert result["model"]["paper"] == "jca"
    assert f"{100 * accuracy:.2f} % of 40 segments right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"paper": "ave"}, "holds the model 'jca' of ave, a model of jca is needed; use python -m ave commands"),
        ({"class_names": ("bell", "dog", "background")}, "was trained on the classes of synthetic (bell, dog"),
        ({"features": FEATURES}, "its audio features do not fit the model"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, split, capsys, changes, sentence):
    saved(tmp_path, split, **changes)
    refused(evaluate, words_for(tmp_path), sentence, capsys, tmp_path / "out")
