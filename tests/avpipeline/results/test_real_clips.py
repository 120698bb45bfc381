"""The section "Real clips": recomputed from its predictions, with data, licence, seeds and command."""

import json
from pathlib import Path

import numpy as np
import pytest

from avpipeline.errors import InputError
from avpipeline.results.real_clips import Row, fold_accuracies, read_rows, section, write_rows

FOLDER = Path(__file__).resolve().parents[3] / "results" / "real_clips"
ADDRESS = "<https://github.com/karolpiczak/ESC-50>"
RECORD = {"command": "python -m x.real_clips ESC10", "date": "2026-01-02T03:04:05"}


def written(folder) -> Path:
    rows = {
        "head": Row("yamnet:embedding", "yamnet.tflite", np.array([[0, 1, 1, 1]]), commit="0123456789abc"),
        "model": Row("yamnet:embedding", "yamnet.tflite", np.array([[0, 0, 1, 0], [1, 1, 1, 0]]), seeds=(3, 4)),
    }
    record = {"notes": ["What is trained."], **RECORD}
    write_rows(folder, rows, ("1-a", "1-b", "2-a", "2-b"), np.array([0, 1, 1, 0]), np.array([1, 1, 2, 2]), record)
    return folder


def test_accuracy_on_each_fold():
    assert fold_accuracies(np.array([[0, 1, 1], [0, 1, 0]]), np.array([0, 1, 0]), np.array([1, 1, 2])) == [100, 50]


def test_the_section_has_what_a_reader_needs(tmp_path):
    text = section(written(tmp_path))
    # Folds of 100 and 50 %: mean 75, sample deviation 35.4; 50 and 100 % with each of two seeds: the same.
    assert "| head  | `yamnet:embedding` | yamnet.tflite | 75.0 +- 35.4 |       | 0123456 |" in text
    assert "| model | `yamnet:embedding` | yamnet.tflite | 75.0 +- 35.4 | 3, 4  | unknown |" in text
    assert "\n\nWhat is trained.\n\n" in text
    licence = "Creative\nCommons Attribution (CC BY)"
    for words in ("No paper reports these", "ESC-10", ADDRESS, licence, RECORD["command"], "2026-01-02."):
        assert words in text
    assert section(tmp_path / "none") is None


def test_a_run_goes_on_with_the_rows_that_are_there(tmp_path):
    rows = read_rows(written(tmp_path))
    assert {name: (row.predicted.tolist(), row.seeds, row.commit) for name, row in rows.items()} == {
        "head": ([[0, 1, 1, 1]], (), "0123456789abc"),
        "model": ([[0, 0, 1, 0], [1, 1, 1, 0]], (3, 4), None),
    }
    assert read_rows(tmp_path / "none") == {}


def test_a_damaged_file_is_refused(tmp_path):
    (written(tmp_path) / "result.json").write_text('{"rows": [{}]}')
    with pytest.raises(InputError, match="is no result of avfusion_benchmarks.real_clips"):
        section(tmp_path)


def test_the_stored_results_are_those_of_the_stored_predictions():
    rows = json.loads((FOLDER / "result.json").read_text(encoding="utf-8"))["rows"]
    with np.load(FOLDER / "predictions.npz") as file:
        assert len(file["ids"]) == 400
        labels, folds = file["labels"], file["folds"]
    for (name, row), told in zip(read_rows(FOLDER).items(), rows, strict=True):
        assert (name, told["folds"]) == (told["row"], fold_accuracies(row.predicted, labels, folds))


@pytest.mark.parametrize("text", ["", "[1]", '{"rows": [{}]}'])
def test_damaged_rows_are_refused(tmp_path, text):
    (written(tmp_path) / "result.json").write_text(text)
    with pytest.raises(InputError, match="damaged.*; (remove it|run avfusion_benchmarks.real_clips into)"):
        read_rows(tmp_path)
