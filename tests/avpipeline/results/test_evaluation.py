"""What the evaluation commands share: tables count what the predictions say, and a split must fit the model."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avpipeline.errors import InputError
from avpipeline.results.evaluation import report_classes, require_fit, stored, subject, write_classes, write_scores
from avpipeline.training.saved import ModelInfo
from tests.helpers.errors import one_sentence
from tests.helpers.synthetic import CLASS_NAMES, FEATURES, synthetic_split

INFO = ModelInfo("ave", "av", "code", CLASS_NAMES, FEATURES, "synthetic")


@pytest.mark.parametrize(("unit", "shape"), [("segment", (7, 4)), ("video", (30,))])
def test_classes_are_counted_one_by_one(tmp_path, unit, shape):
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 2, shape), rng.integers(0, 3, shape)
    returned, draw = write_classes(
        tmp_path / "out", CLASS_NAMES, np.eye(3)[truth], np.eye(3)[predicted], unit=unit, title="a title"
    )
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"per_class.csv", "confusion.csv"}
    draw()
    assert (tmp_path / "out" / "confusion.png").stat().st_size > 5000
    confusion = pd.read_csv(tmp_path / "out" / "confusion.csv", index_col=0)
    assert list(confusion.index) == list(confusion.columns) == list(CLASS_NAMES)
    for row in range(3):
        for column in range(3):
            assert confusion.iloc[row, column] == np.sum((truth == row) & (predicted == column))
    table = pd.read_csv(tmp_path / "out" / "per_class.csv")
    pd.testing.assert_frame_equal(table, returned)
    assert list(table.columns) == ["class", f"{unit}s", "right", "accuracy"]
    for index in (0, 1):
        mine = truth == index
        right = (predicted[mine] == index).sum()
        assert list(table.iloc[index, 1:3]) == [mine.sum(), right]
        assert table.loc[index, "accuracy"] == pytest.approx(right / mine.sum())
    # The last class has nothing to be right about.
    assert table.loc[2, f"{unit}s"] == 0 and np.isnan(table.loc[2, "accuracy"])


def test_the_accuracy_is_stored_and_printed_where_the_picture_cannot_be_drawn(tmp_path, capsys):
    split, also = synthetic_split("test", 7), "the authors' reading\n"
    (tmp_path / "confusion.png").mkdir()
    with one_sentence("confusion.png: "):
        report_classes(tmp_path, Path("w.keras"), INFO, split, split.labels, also=also)
    text = capsys.readouterr().out
    assert text.endswith(f": 100.00 % of {7 * split.labels.shape[1]} segments right\nthe authors' reading\n")
    files = {path.name for path in tmp_path.iterdir()} - {"confusion.png"}
    assert files == {"per_class.csv", "confusion.csv", "predictions.npz", "evaluation.json"}
    (tmp_path / "confusion.png").rmdir()
    report_classes(tmp_path, Path("w.keras"), INFO, split, split.labels, also=also)
    assert capsys.readouterr().out.removeprefix(text).startswith("Tables, confusion matrix")


def test_figures_stand_beside_the_arrays_that_they_come_from(tmp_path):
    split = synthetic_split("test", 7)
    predictions = np.random.default_rng(1).random(split.labels.shape)
    write_scores(tmp_path, Path("w.keras"), INFO, split, stored(split, predictions), {"score": 0.5})
    with np.load(tmp_path / "predictions.npz") as file:
        np.testing.assert_array_equal(file["predictions"], predictions)
        np.testing.assert_array_equal(file["labels"], split.labels)
        assert tuple(file["ids"]) == split.ids
    told = json.loads((tmp_path / "evaluation.json").read_text())
    assert told == {
        "weights": "w.keras",
        "model": json.loads(json.dumps(INFO.to_json())),
        "dataset": split.dataset,
        "split": "test",
        "videos": 7,
        "score": 0.5,
    }
    assert subject(INFO, split) == f"av (trained on synthetic) on {split.dataset}, test"


def test_a_split_must_have_the_models_classes_and_features():
    split = synthetic_split("test", 2)
    require_fit(Path("w.keras"), INFO, split)
    other = {**FEATURES, "visual": dataclasses.replace(FEATURES["visual"], sha256="c" * 64)}
    many = tuple(f"class {number}" for number in range(9))
    for changes, sentence in (
        ({"class_names": CLASS_NAMES[::-1]}, rf"w\.keras: was trained on the classes of \w+ \({CLASS_NAMES[2]}, "),
        ({"class_names": many}, r"\(class 0, class 1, class 2, class 3, class 4 \.\.\. 9 in all\)"),
        ({"features": other}, "its visual features do not fit the model"),
    ):
        with pytest.raises(InputError, match=sentence):
            require_fit(Path("w.keras"), dataclasses.replace(INFO, **changes), split)
