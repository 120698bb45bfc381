"""The tables: every row of the paper is ours or quoted; the printed results are those of the predictions."""

import csv
import dataclasses
import functools
import json
import shutil
from unittest import mock

import numpy as np
import pytest

import mafnet
from avpipeline.datasets import official
from avpipeline.errors import InputError
from avpipeline.results import papers
from avpipeline.results.tables import Line, NotRun
from avpipeline.training import strategy
from avpipeline.training.experiment import configuration_hash
from mafnet import config, tables, train
from mafnet.config import EXTERNAL, ROWS, TABLES
from tests.helpers.commands import run_command
from tests.helpers.mafnet_data import video_splits

FIGURES = papers.rows("mafnet")


command = functools.partial(run_command, tables)


def test_every_row_of_the_paper_is_ours_or_quoted():
    ours = [figure for figure in FIGURES if figure.table != EXTERNAL]
    assert (len(FIGURES), len(ours)) == (36, 25)
    assert {(figure.table, figure.row) for figure in ours} == set(ROWS)
    assert set(ROWS.values()) == set(mafnet.MODELS)
    assert {figure.dataset for figure in FIGURES} == set(config.DATASET_NAMES.values())


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    """Training is left out: what each row would train is collected, its result is made up."""
    asked = []

    def pretend(settings, splits=None, *, watch_test=False):
        asked.append(settings)
        read = {"ucf51": "ucf51-1"}.get(settings.dataset, settings.dataset)
        splits = {name: dataclasses.replace(split, dataset=read) for name, split in video_splits(train=64).items()}
        experiment = train.PAPER.experiment(settings, splits)
        seeds = [{"seed": seed, "test": 0.5 + 0.1 * seed, "parameters": 7, "best_on_test": 0.75} for seed in (0, 1)]
        made = {"preset": "code", "dataset": "rendered", "command": "", "date": "", "commit": None}
        made |= {"selected_on": "val", "configuration": "c0ffee"}
        result = {"model": settings.model, **made, "seeds": seeds}
        return train.PAPER.finished(settings, experiment, result, (tmp_path,))

    monkeypatch.setattr(train.MAFnet, "train", staticmethod(pretend))
    return asked


def test_the_whole_table_is_walked(recorded, tmp_path, capsys):
    """All 36 rows are printed; 25 are measured, by 16 runs; rows that differ in the dataset only share one."""
    assert command("--seeds", 2, "--out", tmp_path) == 0
    with open(tmp_path / "all.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["table"], line["row"], line["dataset"], line["value"]) for line in lines] == [
        (figure.table, figure.row, figure.dataset, figure.value) for figure in FIGURES
    ]
    measured = [line for line in lines if line["ours_mean"]]
    assert len(measured) == 25 and {line["table"] for line in measured} == set(TABLES)
    for line in measured:
        assert line["model"] == ROWS[line["table"], line["row"]] and line["configuration"] == "c0ffee"
        assert (float(line["ours_mean"]), line["smoke"], float(line["parameters"])) == (55.0, "False", 7.0)
        assert line["our_data"] == "synthetic clips, 8 in the test split"
        assert line["predictions"].endswith("predictions.npz")
        shares = "one run on synthetic clips for" in line["note"]
        assert shares == (sum((line["table"], line["row"]) == (other["table"], other["row"]) for other in lines) > 1)
    quoted = [line for line in lines if not line["ours_mean"]]
    assert {(line["table"], line["note"].split(":")[0]) for line in quoted} == {(EXTERNAL, "published result only")}
    assert {own.out for own in recorded} == {tmp_path / model for model in mafnet.MODELS}
    said = capsys.readouterr().out
    assert "MARS" in said and "97.83" in said and "90.86" in said
    # None of the quoted results is ours.
    assert (tmp_path / "all.md").read_text().count("Ours: selected on validation") == len(TABLES)


def test_other_settings_and_own_clips_stand_alone(recorded, tmp_path, capsys):
    """Fewer epochs, or clips of one's own: our results by the models' names, no row and no result of the paper."""
    for words, why in (
        (("--epochs", 3), "epochs 3 instead of 60"),
        (("--dataset", "csv", "--data", tmp_path), "the data are your own clips (64 train, 8 val, 8 test)"),
    ):
        assert command("--table", "Table 1", "--rows", "MAFnet", *words, "--out", tmp_path / "out") == 0
        text = (tmp_path / "out" / "table_1.md").read_text()
        assert text.startswith("## Models of Table 1\n") and f"| {why}" in text and "90.86" not in text
        with open(tmp_path / "out" / "table_1.csv", newline="") as file:
            lines = list(csv.DictReader(file))
        assert {line["value"] for line in lines} == {""}
        assert all(line["unlike"].startswith(why) for line in lines)
    # The paper has three results of MAFnet; one's own clips have one.
    assert len(lines) == 1 and lines[0]["our_data"] == "your own clips, 8 in the test split"
    result = json.loads((tmp_path / "out" / "result.json").read_text())["rows"]
    assert all(row["unlike"] for row in result)
    assert all(own.training.epochs == 3 for own in recorded[:3]) and len(recorded) == 4


def test_a_model_of_several_datasets_stands_alone_once(recorded, tmp_path):
    """The paper prints DMRN's results with two decimals or one (80.96, 82.93, 77.5); ours are of one run."""
    words = ("--table", "Table 1", "--rows", "DMRN (our feat.)", "--seeds", 2, "--epochs", 3, "--out", tmp_path)
    assert command(*words) == 0
    text = (tmp_path / "table_1.md").read_text()
    assert text.count("| dmrn ") == 2 and text.count("55.00 +- 7.07 (2 seeds)") == 1
    assert text.count("75.00 (2 seeds)") + text.count("75.00 +- 0.00 (2 seeds)") == 1


def test_a_real_dataset_measures_its_own_rows(recorded, tmp_path, monkeypatch):
    monkeypatch.setitem(official.OFFICIAL, "ucf51-1", official.Official("UCF51", {"test": (8,)}))
    settings = tables.Settings(dataset="ucf51", data=tmp_path / "d", vgg_data=tmp_path / "v")
    lines = {(f.row, f.dataset): tables.measure(settings, f) for f in papers.rows("mafnet", "Table 1")}
    assert {key for key, line in lines.items() if isinstance(line, Line)} == {
        (row, "UCF51") for row in ("Attention Cluster", "DMRN (our feat.)", "DMRN (their feat.)", "MAFnet")
    }
    assert "mean of the three official test splits" in lines["MAFnet", "UCF51"].measured.data
    assert "smoke" not in lines["MAFnet", "UCF51"].measured.data and not lines["MAFnet", "UCF51"].note
    other = lines["MAFnet", "Kinetics-Sounds"]
    assert isinstance(other, NotRun) and not other.is_failure
    assert other.measured == "not run: on Kinetics-Sounds, use --dataset kinetics_sounds"
    folders = {own.model: own.data for own in recorded}
    assert folders.pop("dmrn_vgg") == tmp_path / "v" and set(folders.values()) == {tmp_path / "d"}


def test_figures_are_recomputed_from_the_saved_predictions(few_clips, tmp_path, capsys):
    """One trained run, of few clips; the second command finds it finished."""
    words = ("--table", "Table 2", "--rows", "visual", "--epochs", 1, "--out", tmp_path)
    with mock.patch.dict(config.RENDERED_TRAINING, batch_size=5, epochs=4):
        assert command(*words) == 0
        first = capsys.readouterr().out
        assert command(*words) == 0
    assert "already finished" not in first and "already finished" in capsys.readouterr().out
    with open(tmp_path / "table_2.csv", newline="") as file:
        (record,) = csv.DictReader(file)
    with np.load(tmp_path / record["predictions"]) as file:
        accuracy = 100 * np.mean(file["labels"].argmax(-1) == file["predictions"].argmax(-1))
    np.testing.assert_allclose(float(record["ours_mean"]), accuracy)
    settings = json.loads((tmp_path / "visual-1-epochs" / "settings.json").read_text())
    assert record["configuration"] == configuration_hash(settings)
    text = (tmp_path / "table_2.md").read_text()
    assert f"{accuracy:.2f} (1 seed)" in text and "75.63" not in text and record["configuration"] in text
    assert "smoke: 1 of 4 epochs" in text and f"{int(record['parameters']):,}" in text


def test_figure_5_names_the_class_that_each_model_predicts(monkeypatch, tmp_path, capsys):
    """Three videos; the models of Table 1 agree about the first."""
    classes = np.eye(3)
    said = {"mafnet": [0, 1, 2], "dmrn": [0, 2, 2], "dmrn_vgg": [0, 1, 2], "attention_cluster": [0, 0, 1]}

    def pretend(settings, splits=None, *, watch_test=False):
        folder = tmp_path / settings.model
        (folder / "seed-0").mkdir(parents=True)
        arrays = {"ids": ["x", "y", "z"], "labels": classes, "predictions": classes[said[settings.model]]}
        np.savez(folder / "seed-0" / "predictions.npz", **arrays)
        result = {"seeds": [{"seed": 0, "test": 0.5}]}
        experiment = train.PAPER.experiment(settings, video_splits())
        return train.PAPER.finished(settings, experiment, result, (folder,))

    monkeypatch.setattr(train.MAFnet, "train", staticmethod(pretend))
    assert command("--table", "Figure 5", "--out", tmp_path / "out") == 0
    with open(tmp_path / "out" / "figure_5.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["label"] for line in lines] == ["bark", "bell", "engine"]
    assert [line["MAFnet"] for line in lines] == ["bark", "bell", "engine"]
    assert [line["DMRN (our feat.)"] for line in lines] == ["bark", "engine", "engine"]
    assert [line["Attention Cluster"] for line in lines] == ["bark", "bark", "bell"]
    printed = capsys.readouterr().out
    assert "| y " in printed and "| z " in printed and "| x " not in printed
    # The other workers of several machines train along and write nothing.
    with monkeypatch.context() as patch:
        patch.setattr(strategy, "join", lambda devices: strategy.Team("multiworker", None, 1, 2))
        for folder in ("mafnet", "dmrn", "dmrn_vgg", "attention_cluster"):
            shutil.rmtree(tmp_path / folder)
        assert command("--table", "Figure 5", "--out", tmp_path / "worker") == 0
    assert not (tmp_path / "worker").exists() and "| y " not in capsys.readouterr().out
    missing = ("--table", "Figure 5", "--data", tmp_path / "none", "--out", tmp_path / "none")
    monkeypatch.setattr(train.MAFnet, "train", staticmethod(refuse))
    assert command(*missing) == 2
    told = capsys.readouterr()
    assert "DMRN (their feat.): not run: no features here" in told.out
    assert "Figure 5: none of its models could be trained on AVE" in told.err
    words = ("--table", "Figure 5", "--dataset", "kinetics_sounds", "--data", tmp_path)
    assert command(*words, "--rows", "DMRN (their feat.)", "--out", tmp_path / "out") == 2
    assert "has no result on Kinetics-Sounds" in capsys.readouterr().err


def refuse(settings, splits=None, *, watch_test=False):
    raise InputError("no features here")


def test_missing_features_are_listed_as_not_run(capsys, tmp_path):
    words = ("--table", "Table 4", "--rows", "FiLM in audio path", "--out", tmp_path / "out")
    assert command(*words, "--data", tmp_path / "none") == 2
    assert "not run: " in capsys.readouterr().out
    assert "Annotations.txt: no such file" in (tmp_path / "out" / "table_4.md").read_text()
