"""The tables: every row of the paper has a command; the printed results are those of the predictions."""

import contextlib
import csv
import functools
import json
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

import ave.train
import jca
from avpipeline.files import locked
from avpipeline.results import papers
from jca import tables, train
from jca.config import AVE_ROWS, ROWS
from tests.helpers.commands import run_command

# Of JCA's models and of AVE's: a step costs next to nothing, the configuration has two epochs.
NARROW = {"video_size": 4, "audio_size": 4, "num_layers": 1, "recursions": 1}
NARROW_AVE = {"attention_units": 4, "lstm_units": 4, "hidden_units": 4, "tcn_filters": (4, 4)}
SHORT = {"batch_size": 10, "epochs": 1}
WORDS = ("--table", "Table 1|Table 2", "--epochs", 1)


def test_every_row_of_the_paper_has_a_command():
    places = {(figure.table, figure.row) for figure in papers.rows("jca")}
    assert len(places) == 16
    assert places == {*ROWS, *AVE_ROWS} and not ROWS.keys() & AVE_ROWS.keys()
    assert set(ROWS.values()) == set(jca.MODELS)


def test_rows_of_aves_models_have_aves_figures():
    """The paper took them over: those of the AVE paper's Table 1 and Section 6.3."""
    theirs = {figure.value for figure in papers.rows("ave") if figure.table in ("Table 1", "Section 6.3")}
    assert {papers.lookup("jca", *place).value for place in AVE_ROWS} <= theirs


command = functools.partial(run_command, tables)


def test_two_commands_do_not_write_one_folder(tmp_path, capsys):
    """Both would rewrite its result.json, and lose each other's rows."""
    with locked(tmp_path / "tables"):
        assert command(*WORDS, "--out", tmp_path) == 2
    assert "another process is working there" in capsys.readouterr().err


@pytest.fixture(scope="module")
def narrow(few_clips):
    """Narrow models; no graphs, whose tracing costs far more."""
    tf.config.run_functions_eagerly(True)
    with contextlib.ExitStack() as changed:
        for config, sizes in ((train.config, NARROW), (ave.train.config, NARROW_AVE)):
            changed.enter_context(mock.patch.dict(config.RENDERED_MODEL, sizes))
            changed.enter_context(mock.patch.dict(config.RENDERED_TRAINING, SHORT))
        yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def walked(narrow, tmp_path_factory):
    """Every row of both tables, trained; the folder, and the figures by row."""
    out = tmp_path_factory.mktemp("tables")
    assert command(*WORDS, "--out", out) == 0
    with open(out / "all.csv", newline="") as file:
        return out, list(csv.DictReader(file))


@pytest.mark.trained
def test_the_walk_has_every_row_in_the_papers_order(walked):
    out, records = walked
    assert [(record["table"], record["row"]) for record in records] == [
        (figure.table, figure.row) for figure in papers.rows("jca")
    ]
    text = (out / "all.md").read_text()
    for record in records:
        assert record["row"] in text and record["value"] in text and not record["unlike"]
        assert record["configuration"] in text and f"{int(record['parameters']):,}" in text
        assert record["predictions"] in text
        # One epoch is the configured number here.
        assert record["smoke"] == "False" and record["our_data"] == "synthetic clips, 4 in the test split"


@pytest.mark.trained
def test_figures_are_recomputed_from_the_saved_predictions(walked):
    out, records = walked
    for record in records:
        with np.load(out / record["predictions"]) as file:
            accuracy = 100 * np.mean(file["labels"].argmax(-1) == file["predictions"].argmax(-1))
        np.testing.assert_allclose(float(record["ours_mean"]), accuracy)
        assert record["selected_on"] == "val"
        assert float(record["best_on_test_mean"]) >= accuracy - 1e-9


@pytest.mark.trained
def test_each_row_is_the_model_that_the_paper_means(walked):
    out, records = walked
    kept = {(row["table"], row["row"]): row for row in json.loads((out / "result.json").read_text())["rows"]}
    hashes = {}
    for record in records:
        place = record["table"], record["row"]
        model, prefix = (AVE_ROWS[place], "ave-") if place in AVE_ROWS else (ROWS[place], "")
        assert record["model"] == model
        result = json.loads((out / f"{prefix}{model}-1-epochs" / "result.json").read_text())
        # A model of ave says which row of its own paper it is; the table's result says which of this one.
        assert result["paper"] == ("ave" if prefix else "jca") and (prefix or list(place) in result["reproduces"])
        assert (kept[place]["paper"], kept[place]["model"]) == ("jca", model)
        assert record["configuration"] == result["configuration"]
        hashes.setdefault(record["configuration"], []).append(place)
    assert [places for places in hashes.values() if len(places) > 1] == [
        [("Table 1", "JCA"), ("Table 2", "w/ Joint Co-Attention")]
    ]
    notes = {record["row"]: record["note"] for record in records}
    assert notes["w/ Joint Co-Attention"] == "the same system as Table 1, JCA: the full model"
    assert notes["ED-TCN"] == "a model of ave, with that paper's training hyperparameters"


@pytest.mark.trained
def test_finished_rows_are_kept(walked, capsys):
    out, _ = walked
    before = (out / "all.csv").read_text()
    assert command("--table", "Table 1", "--rows", "DAM", "Audio_Only", "--epochs", 1, "--out", out) == 0
    assert capsys.readouterr().out.count("already finished") == 2
    assert (out / "all.csv").read_text() == before
    with open(out / "table_1.csv", newline="") as file:
        assert [record["row"] for record in csv.DictReader(file)] == ["Audio_Only", "DAM"]


@pytest.mark.trained
def test_row_that_cannot_be_measured_does_not_stop_the_others(walked, tmp_path, capsys):
    (tmp_path / "gru-1-epochs").mkdir()
    (tmp_path / "gru-1-epochs" / "settings.json").write_text('{"paper": "jca"}')
    words = ("--table", "Table 2", "--rows", "w/ GRU", "w/ Max Pooling", "--epochs", 1, "--out", tmp_path)
    assert command(*words) == 2
    assert f"not run: {tmp_path}/gru-1-epochs: holds a run with other settings" in capsys.readouterr().out
    with open(tmp_path / "table_2.csv", newline="") as file:
        assert [bool(record["ours_mean"]) for record in csv.DictReader(file)] == [False, True]
