"""Figure 6's sweep: each rate trains its own configuration; table and curve hold what the runs gave."""

import csv
import functools

import numpy as np
import pytest

from mafnet import pictures, sweep, train
from tests.helpers.commands import run_command
from tests.helpers.mafnet_data import video_splits

command = functools.partial(run_command, sweep)


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    """Training is left out: the settings of each run are collected, its scores are made up."""
    asked = []

    def pretend(settings, splits=None, *, watch_test=False):
        asked.append(settings)
        rate = 1 - settings.training.prob_all
        seeds = [
            {"seed": seed, "test": 0.8 - 0.1 * rate + 0.01 * seed, "parameters": 7} for seed in settings.all_seeds
        ]
        result = {"configuration": f"hash-{rate:.1f}", "seeds": seeds}
        experiment = train.PAPER.experiment(settings, video_splits())
        return train.PAPER.finished(settings, experiment, result, (tmp_path,))

    monkeypatch.setattr(train.MAFnet, "train", staticmethod(pretend))
    return asked


def test_rates_become_shares_of_steps(recorded, tmp_path):
    assert command("--rates", 0.0, 0.3, 1.0, "--seeds", 2, "--preset", "paper", "--out", tmp_path) == 0
    assert [own.training.prob_all for own in recorded] == [1.0, 0.7, 0.0]
    assert all(own.training.prob_image == 0 and own.training.left_out == "path" for own in recorded)
    assert [own.out.name for own in recorded] == ["rate-0", "rate-0.3", "rate-1"]
    assert {own.model for own in recorded} == {"mafnet"} and {own.seeds for own in recorded} == {2}


def test_table_and_curve_hold_what_the_runs_gave(recorded, tmp_path, monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr(pictures, "dropping_curve", lambda path, scores, *, title: drawn.append((path, scores, title)))
    assert command("--rates", 0.5, 0.1, "--seeds", 2, "--epochs", 3, "--out", tmp_path) == 0
    path, scores, title = drawn[-1]
    assert path == tmp_path / "dropping_rate.png"
    assert "smoke: 3 of" in title and "synthetic, 8 in the test split" in title
    np.testing.assert_allclose([scores[0.1], scores[0.5]], [[79, 80], [75, 76]])
    with open(tmp_path / "dropping_rate.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["dropping rate"]) for line in lines] == [0.5, 0.1]
    np.testing.assert_allclose([float(line["mean"]) for line in lines], [75.5, 79.5])
    np.testing.assert_allclose([float(line["std"]) for line in lines], np.sqrt(0.5))
    assert [line["configuration"] for line in lines] == ["hash-0.5", "hash-0.1"]
    said = capsys.readouterr().out
    assert "75.5 +- 0.7 (2 seeds)" in said and "Selected on validation" in said


def test_the_authors_rate_is_among_the_defaults():
    assert 0.1 in sweep.Settings().rates and train.PAPER.settings_for("mafnet").training.prob_all == 0.9
