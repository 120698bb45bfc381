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
from jca.reading import author_reading
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
    assert result["author_reading"] == pytest.approx(accuracy)
    said = capsys.readouterr().out
    assert f"{100 * accuracy:.2f} % of 40 segments right" in said and f"{100 * accuracy:.2f} +- 0.00 %" in said


def test_the_authors_reading_of_fixed_predictions():
    """402 videos in shuffled batches of 64, the last of 18: each reading differs, by 0.6 to 0.9 points here."""
    rng = np.random.default_rng(4)
    labels = np.eye(2)[np.zeros((402, 10), int)]
    # Videos differ in how well they are recognised, as real ones do: 76 % right in the mean.
    right = rng.random((402, 10)) < rng.choice([0.3, 0.98], (402, 1), p=[0.32, 0.68])
    predictions = np.eye(2)[np.where(right, 0, 1)]
    reading = author_reading(labels, predictions)
    assert reading["author_reading"] == pytest.approx(right.mean(), abs=1e-3)
    assert 0.006 < reading["author_reading_std"] < 0.009
    # By hand: n draws of a finite population without replacement, with weights 1/7 a batch.
    shares = np.repeat([1 / (7 * 64), 1 / (7 * 18)], [384, 18])
    noise = right.mean(1).std(ddof=1) * np.sqrt(np.sum((shares - shares.mean()) ** 2))
    assert reading["author_reading_std"] == pytest.approx(noise, rel=0.1)


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
