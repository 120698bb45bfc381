"""The tables: every row of the paper is ours or quoted; the printed results are those of the predictions."""

import csv
import dataclasses
import functools
import json
from unittest import mock

import numpy as np
import pytest

import mafnet
from avpipeline.datasets import official
from avpipeline.results import papers
from avpipeline.results.tables import NotRun
from avpipeline.training.experiment import configuration_hash
from mafnet import config, tables, train
from mafnet.config import EXTERNAL, ROWS, TABLES
from tests.helpers.commands import run_command
from tests.helpers.finished_runs import finish_seeds
from tests.helpers.mafnet_data import video_splits
from tests.helpers.own_clips import write_own_clips

FIGURES = papers.rows("mafnet")


command = functools.partial(run_command, tables)


def test_every_row_of_the_paper_is_ours_or_quoted():
    ours = [figure for figure in FIGURES if figure.table != EXTERNAL]
    assert (len(FIGURES), len(ours)) == (36, 25)
    assert {(figure.table, figure.row) for figure in ours} == set(ROWS)
    assert set(ROWS.values()) == set(mafnet.MODELS)
    assert {figure.dataset for figure in FIGURES} == set(config.DATASET_NAMES.values())


def finish(folder):
    """Two finished seeds, so that nothing is trained."""
    finish_seeds(folder, {0: 0.5, 1: 0.6}, best_on_test=0.75)


@pytest.mark.slow
def test_the_whole_table_is_walked(few_clips, tmp_path, capsys):
    """All 36 rows are printed; 25 are measured, by 16 runs; rows that differ in the dataset only share one."""
    for model in mafnet.MODELS:
        finish(tmp_path / model)
    # A batch that the few clips fill.
    with mock.patch.dict(config.RENDERED_TRAINING, batch_size=5):
        assert command("--seeds", 2, "--out", tmp_path) == 0
    with open(tmp_path / "all.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["table"], line["row"], line["dataset"], line["value"]) for line in lines] == [
        (figure.table, figure.row, figure.dataset, figure.value) for figure in FIGURES
    ]
    measured = [line for line in lines if line["ours_mean"]]
    assert len(measured) == 25 and {line["table"] for line in measured} == set(TABLES)
    for line in measured:
        assert line["model"] == ROWS[line["table"], line["row"]]
        result = json.loads((tmp_path / line["model"] / "result.json").read_text())
        assert line["configuration"] == result["configuration"]
        assert (float(line["ours_mean"]), line["smoke"], float(line["parameters"])) == (55.0, "False", 7.0)
        assert line["our_data"] == "synthetic clips, 4 in the test split"
        assert line["predictions"].endswith("predictions.npz")
        shares = "one run on synthetic clips for" in line["note"]
        assert shares == (sum((line["table"], line["row"]) == (other["table"], other["row"]) for other in lines) > 1)
    quoted = [line for line in lines if not line["ours_mean"]]
    assert {(line["table"], line["note"].split(":")[0]) for line in quoted} == {(EXTERNAL, "published result only")}
    assert {path.parent.name for path in tmp_path.glob("*/settings.json")} == set(mafnet.MODELS)
    said = capsys.readouterr().out
    assert "MARS" in said and "97.83" in said and "90.86" in said
    # None of the quoted results is ours.
    assert (tmp_path / "all.md").read_text().count("Ours: selected on validation") == len(TABLES)


def test_other_settings_and_own_clips_stand_alone(few_clips, tmp_path, capsys):
    """Fewer epochs, or clips of one's own: our results by the models' names, no row and no result of the paper."""
    clips = write_own_clips(tmp_path / "clips", video_splits(train=64))
    for name in ("mafnet-3-epochs", "mafnet"):
        finish(tmp_path / "out" / name)
    for words, why in (
        (("--epochs", 3), "epochs 3 instead of 60"),
        (("--dataset", "csv", "--data", clips), "the data are your own clips (64 train, 8 val, 8 test)"),
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
    assert capsys.readouterr().out.count("seed 0: already finished") == 4
    short = json.loads((tmp_path / "out" / "mafnet-3-epochs" / "settings.json").read_text())
    assert short["training"]["epochs"] == 3


def test_a_model_of_several_datasets_stands_alone_once(few_clips, tmp_path):
    """The paper prints DMRN's results with two decimals or one (80.96, 82.93, 77.5); ours are of one run."""
    finish(tmp_path / "dmrn-3-epochs")
    words = ("--table", "Table 1", "--rows", "DMRN (our feat.)", "--seeds", 2, "--epochs", 3, "--out", tmp_path)
    assert command(*words) == 0
    text = (tmp_path / "table_1.md").read_text()
    assert text.count("| dmrn ") == 2 and text.count("55.00 +- 7.07 (2 seeds)") == 1
    assert text.count("75.00 (2 seeds)") + text.count("75.00 +- 0.00 (2 seeds)") == 1


def test_a_real_dataset_measures_its_own_rows(tmp_path, monkeypatch):
    settings = tables.Settings(dataset="ucf51", data=tmp_path / "d", vgg_data=tmp_path / "v")
    printed = {(figure.row, figure.dataset): figure for figure in papers.rows("mafnet", "Table 1")}
    own = {key: figure for key, figure in printed.items() if figure.dataset == "UCF51"}
    assert {row for row, _ in own} == {"Attention Cluster", "DMRN (our feat.)", "DMRN (their feat.)", "MAFnet"}
    for key, figure in printed.items():
        if key not in own:
            other = tables.measure(settings, figure)
            assert isinstance(other, NotRun) and not other.is_failure
    assert tables.measure(settings, printed["MAFnet", "Kinetics-Sounds"]).measured == (
        "not run: on Kinetics-Sounds, use --dataset kinetics_sounds"
    )
    runs = {key: tables.settings_of(settings, figure) for key, figure in own.items()}
    assert {run.model: run.data for run in runs.values()} == {
        **dict.fromkeys(("attention_cluster", "dmrn", "mafnet"), tmp_path / "d"),
        "dmrn_vgg": tmp_path / "v",
    }
    # As many test videos as there are here.
    monkeypatch.setitem(official.OFFICIAL, "ucf51-1", official.Official("UCF51", {"test": (8,)}))
    splits = {name: dataclasses.replace(s, dataset="ucf51-1") for name, s in video_splits(train=64).items()}
    experiment = train.PAPER.experiment(runs["MAFnet", "UCF51"], splits)
    assert train.PAPER.data_in_words(experiment) == "UCF51, mean of the three official test splits"
    assert not experiment.schedule.is_smoke and not tables.note(own["MAFnet", "UCF51"], "ucf51")


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


def test_figure_5_names_the_class_that_each_model_predicts(few_clips, tmp_path, capsys):
    """Three videos; the models of Table 1 agree about the first."""
    names = train.load_splits(train.PAPER.settings_for("mafnet"))["test"].class_names
    classes, (first, second, third) = np.eye(len(names)), names[:3]
    said = {"mafnet": [0, 1, 2], "dmrn": [0, 2, 2], "dmrn_vgg": [0, 1, 2], "attention_cluster": [0, 0, 1]}
    for model, given in said.items():
        arrays = {"ids": ["x", "y", "z"], "labels": classes[:3], "predictions": classes[given]}
        finish_seeds(tmp_path / "out" / model, {0: 0.5}, arrays)
    assert command("--table", "Figure 5", "--out", tmp_path / "out") == 0
    with open(tmp_path / "out" / "figure_5.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["label"] for line in lines] == [first, second, third]
    assert [line["MAFnet"] for line in lines] == [first, second, third]
    assert [line["DMRN (our feat.)"] for line in lines] == [first, third, third]
    assert [line["Attention Cluster"] for line in lines] == [first, first, second]
    printed = capsys.readouterr().out
    assert "| y " in printed and "| z " in printed and "| x " not in printed
    # The other workers of several machines train along and write nothing.
    (tmp_path / "out" / "figure_5.csv").unlink()
    assert tables.examples(tables.Settings(table="Figure 5", out=tmp_path / "out"), is_chief=False) == 0
    assert not (tmp_path / "out" / "figure_5.csv").exists() and "| y " not in capsys.readouterr().out
    missing = ("--table", "Figure 5", "--data", tmp_path / "none", "--out", tmp_path / "none")
    assert command(*missing) == 2
    told = capsys.readouterr()
    assert "DMRN (their feat.): not run: " in told.out and f"{tmp_path / 'none'}" in told.out
    assert "Figure 5: none of its models could be trained on AVE" in told.err
    words = ("--table", "Figure 5", "--dataset", "kinetics_sounds", "--data", tmp_path)
    assert command(*words, "--rows", "DMRN (their feat.)", "--out", tmp_path / "out") == 2
    assert "has no result on Kinetics-Sounds" in capsys.readouterr().err


def test_missing_features_are_listed_as_not_run(capsys, tmp_path):
    words = ("--table", "Table 4", "--rows", "FiLM in audio path", "--out", tmp_path / "out")
    assert command(*words, "--data", tmp_path / "none") == 2
    assert "not run: " in capsys.readouterr().out
    assert "Annotations.txt: no such file" in (tmp_path / "out" / "table_4.md").read_text()
