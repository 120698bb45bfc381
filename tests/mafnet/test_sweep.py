"""Figure 6's sweep: each rate trains its own configuration; table and curve hold what the runs gave."""

import csv
import functools
import json

import numpy as np

from mafnet import sweep, train
from tests.helpers.commands import run_command
from tests.helpers.finished_runs import finish_seeds
from tests.helpers.pictures import figures_of

command = functools.partial(run_command, sweep)


def settings_of(folder):
    return json.loads((folder / "settings.json").read_text())


def test_rates_become_shares_of_steps(few_clips, tmp_path):
    """Two seeds of each, which are finished already."""
    folders = [tmp_path / name for name in ("rate-0", "rate-0.3", "rate-1")]
    for folder in folders:
        finish_seeds(folder, {0: 0.8, 1: 0.7})
    assert command("--rates", 0.0, 0.3, 1.0, "--seeds", 2, "--preset", "paper", "--out", tmp_path) == 0
    training = [settings_of(folder)["training"] for folder in folders]
    assert [own["prob_all"] for own in training] == [1.0, 0.7, 0.0]
    assert all(own["prob_image"] == 0 and own["left_out"] == "path" for own in training)
    assert {settings_of(folder)["model"] for folder in folders} == {"mafnet"}
    assert {path.parent for path in tmp_path.glob("*/result.json")} == {*folders}


def test_table_and_curve_hold_what_the_runs_gave(few_clips, tmp_path, capsys):
    finish_seeds(tmp_path / "rate-0.5-3-epochs", {0: 0.75, 1: 0.76})
    finish_seeds(tmp_path / "rate-0.1-3-epochs", {0: 0.79, 1: 0.80})
    words = ("--rates", 0.5, 0.1, "--seeds", 2, "--epochs", 3, "--out", tmp_path)
    figures = figures_of(lambda: command(*words))
    # Drawn again after each rate.
    (axis,) = figures[-1].axes
    assert len(figures) == 2 and (tmp_path / "dropping_rate.png").exists()
    assert "smoke: 3 of" in axis.get_title() and "synthetic clips, 4 in the test split" in axis.get_title()
    np.testing.assert_allclose(axis.containers[0].lines[0].get_xydata(), [(0.1, 79.5), (0.5, 75.5)])
    with open(tmp_path / "dropping_rate.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["dropping rate"]) for line in lines] == [0.5, 0.1]
    np.testing.assert_allclose([float(line["mean"]) for line in lines], [75.5, 79.5])
    np.testing.assert_allclose([float(line["std"]) for line in lines], np.sqrt(0.5))
    configurations = [
        json.loads((tmp_path / f"rate-{rate}-3-epochs" / "result.json").read_text())["configuration"]
        for rate in (0.5, 0.1)
    ]
    assert [line["configuration"] for line in lines] == configurations and len(set(configurations)) == 2
    said = capsys.readouterr().out
    assert "75.5 +- 0.7 (2 seeds)" in said and "Selected on validation" in said


def test_the_authors_rate_is_among_the_defaults():
    assert 0.1 in sweep.Settings().rates and train.PAPER.settings_for("mafnet").training.prob_all == 0.9
