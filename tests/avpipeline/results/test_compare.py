"""Runs side by side: the paired test by hand, what differs, and what cannot be compared."""

import json

import numpy as np
import pytest

import ave.compare
from avpipeline.plots import charts
from avpipeline.results import compare
from avpipeline.results.finished import read_run
from tests.helpers.commands import refused, run_command
from tests.helpers.finished_runs import write_run
from tests.helpers.pictures import figures_of


@pytest.fixture
def runs(tmp_path):
    first = write_run(tmp_path / "first", {0: 0.70, 1: 0.72, 2: 0.74})
    slow = {"paper": "ave", "model": "av_att", "training": {"epochs": 2, "learning_rate": 0.0001, "nesterov": True}}
    other = write_run(tmp_path / "other", {2: 0.77, 0: 0.71, 1: 0.74, 7: 0.10}, settings=slow, smoke=True)
    return first, other


def test_the_paired_test_is_the_one_by_hand(runs):
    test = compare.paired(*(read_run(run, "ave") for run in runs))
    # Differences 1, 2 and 3: mean 2, deviation 1, t = 2 sqrt(3) with 2 degrees of freedom, of which the distribution
    # is known in closed form: p = 1 - t / sqrt(2 + t^2).
    t = 2 * 3**0.5
    assert test.seeds == (0, 1, 2)
    half = 4.30265 / 3**0.5
    np.testing.assert_allclose(test[1:], [2, 2 - half, 2 + half, 1 - t / (2 + t**2) ** 0.5], 1e-5)


def test_the_command_prints_and_writes_everything(runs, tmp_path, capsys):
    assert run_command(ave.compare, *runs, "--out", tmp_path / "out") == 0
    said, text = capsys.readouterr().out, (tmp_path / "out" / "comparison.md").read_text()
    assert text in said
    assert "72.00 +- 2.00 (3 seeds)" in text and "58.00 +- 32.09 (4 seeds)" in text and "smoke" in text
    assert "| 0, 1, 2      | +2.00      | -0.48 to +4.48 | 0.074 |" in text
    # 4.303 / sqrt(3)
    assert "With 3 seeds p falls below 0.05 only where the mean difference is more than 2.48 times" in text
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert found["different_settings"] == {
        "training.learning_rate": ["0.001", "0.0001"],
        "training.nesterov": ["-", "true"],
    }
    assert found["runs"]["first"]["std"] == pytest.approx(2)
    assert (tmp_path / "out" / "comparison.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("scores", "told"),
    [({7: 0.5}, "no common seeds"), ({1: 0.5}, "one seed: no test"), ({0: 0.71, 1: 0.73}, "differs by the same")],
)
def test_what_no_test_can_be_made_of_is_said(runs, tmp_path, capsys, scores, told):
    other = write_run(tmp_path / "few", scores)
    assert run_command(ave.compare, runs[0], other, "--out", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert told in said and "With" not in said and "nan" not in said


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"paper": "jca"}, "other: holds a run of jca, not of ave; use python -m jca commands"),
        ({"dataset": "ave"}, "first (dataset ave, there rendered); compare runs on the same data"),
        ({"metric": "video_accuracy"}, "(metric video_accuracy, there segment_accuracy)"),
        ({"clips": {"test": 4}}, "(clips {'test': 4}, there {'train': 8"),
        ({"ids": "abce"}, "(other test clips)"),
        ({"seeds": []}, "result.json: has no seeds, or one twice"),
        ({"settings": {"training": 3}}, "result.json: is not the result of a training command"),
        ({"seeds": "abc"}, "result.json: is not the result of a training command"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(tmp_path, capsys, changes, sentence):
    runs = write_run(tmp_path / "first", {0: 0.7}), write_run(tmp_path / "other", {0: 0.7}, **changes)
    refused(ave.compare, [*runs, "--out", tmp_path / "out"], sentence, capsys, tmp_path / "out")


def test_other_labels_of_the_same_clips_are_other_data(runs, tmp_path, capsys):
    np.savez(runs[1] / "seed-0" / "predictions.npz", ids=np.array(list("abcd")), labels=np.ones((4, 4)))
    out = tmp_path / "out"
    refused(ave.compare, [*runs, "--out", out], "(other labels of the test clips)", capsys, out)


def test_one_run_none_and_one_twice_are_one_sentence(runs, tmp_path, capsys):
    out = tmp_path / "out"
    refused(ave.compare, [runs[0], "--out", out], "name two folders of runs at least; 1 given", capsys, out)
    refused(ave.compare, [runs[0], runs[0], "--out", out], "first: is named twice", capsys, out)
    refused(ave.compare, [runs[0], tmp_path, "--out", out], "holds no run; name the folder that python -m", capsys, out)
    (tmp_path / "settings.json").write_text("{}")
    refused(ave.compare, [runs[0], tmp_path, "--out", out], "holds an unfinished run", capsys, out)


def test_the_picture_draws_the_mean_and_each_seed(tmp_path):
    one = [{"epoch": 1, "loss": 4.0}, {"epoch": 2, "loss": 2.0, "val": 0.5}, {"epoch": 3, "loss": 1.0}]
    two = [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0, "val": 0.7}]
    runs = {"first": [one, two], "other": [one], "no log": [[]]}
    (figure,) = figures_of(lambda: charts.runs_together(tmp_path / "a.png", runs, ("loss", "val")))
    loss, val = ([line.get_xydata().tolist() for line in axis.lines] for axis in figure.axes)
    each = [[1, 4], [2, 2], [3, 1]]
    # Two seeds, their mean as far as both go; one seed; none.
    assert loss == [each, [[1, 2], [2, 1]], [[1, 3], [2, 1.5]], each, []]
    assert val == [[[2, 0.5]], [[2, 0.7]], [[2, pytest.approx(0.6)]], [[2, 0.5]], []]
    assert [text.get_text() for text in figure.axes[1].get_legend().get_texts()] == ["first", "other", "no log"]
