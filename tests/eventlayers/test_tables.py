"""The tables: every row of the paper is read off a run of its model; the printed figures are those of the scores."""

import csv
import functools
import json

import numpy as np
import pytest

import eventlayers
from avpipeline.results import papers
from eventlayers import config, readings, tables, train
from eventlayers.data import DATASETS
from tests.helpers.commands import run_command
from tests.helpers.graphs import without_graphs
from tests.helpers.synthetic_time_steps import time_step_splits
from tests.reference import eventlayers as reference

ROWS = 71


def test_every_row_of_the_paper_has_a_reading():
    figures = papers.rows("eventlayers")
    assert len(figures) == ROWS
    assert {(figure.table, figure.row) for figure in figures} == set(config.ROWS)
    assert {figure.dataset for figure in figures} == {*config.DATASETS, config.ANNOTATED}
    assert {readings.model_of(figure) for figure in figures} == set(eventlayers.MODELS)
    assert set(config.DATASETS.values()) < set(DATASETS)
    stood_for = [paper for papers in config.STANDS_FOR.values() for paper in papers]
    assert sorted(stood_for) == sorted([*config.DATASETS, config.ANNOTATED])


def test_each_model_has_its_own_configuration():
    settings = [train.PAPER.settings_for(model, dataset="vggsound") for model in eventlayers.MODELS]
    hashes = {json.dumps(str(own.network)) for own in settings}
    assert len(hashes) == len(eventlayers.MODELS)


def test_figures_beside_a_training_run_are_those_of_its_model_and_dataset():
    def found(model, dataset):
        return [(figure.table, figure.row, figure.dataset) for figure in readings.published_of(model, dataset)]

    assert found("naive_av", "ave") == [("Table 1", "Naive AV", "AVE")]
    assert found("event_layers", "llp-drawn") == [("Table 2", "Event-specific layers", "LLP")]
    assert len(found("naive_av", "rendered_pairs")) == 5 and len(found("audio_only", "rendered")) == 4
    assert found("event_layers", "csv") == []


@pytest.fixture(scope="module")
def synthetic():
    """Splits in memory in the place of the rendered clips; two labels a video where those have two events.

    No graphs: tracing them costs far more than these steps.
    """

    def load(settings):
        return time_step_splits(2 if settings.dataset == "rendered_pairs" else 1)

    with without_graphs(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "splits_of", load)
        for name, value in {"epochs": 2, "batch_size": 4}.items():
            patch.setitem(config.RENDERED_TRAINING["features"], name, value)
        yield


command = functools.partial(run_command, tables)


@pytest.fixture(scope="module")
def walked(synthetic, tmp_path_factory):
    """The whole of the four tables, for one epoch."""
    out = tmp_path_factory.mktemp("tables")
    assert command("--seeds", 1, "--epochs", 1, "--out", out) == 0
    return out


def records(out, name="all"):
    with open(out / f"{name}.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_all_rows_are_measured_by_six_runs(walked):
    found = records(walked)
    assert len(found) == ROWS and all(record["ours_mean"] for record in found)
    assert len({record["predictions"] for record in found}) == 6
    for record in found:
        assert record["smoke"] == "True" and "smoke: 1 of 2 epochs" in record["our_data"]
        on_pairs = record["dataset"] in ("LLP", config.ANNOTATED)
        assert "synthetic" in record["our_data"] and "8 in the test split" in record["our_data"]
        assert ("one run for VGGSound, Kinetics-Sounds, AVE, Kinetics-400" in record["note"]) == (not on_pairs)
        assert ("one run for LLP, Multi-labeled VGGSound" in record["note"]) == on_pairs


def naive_measure(table, row, labels, scores):
    """The rows once more, video by video."""
    given = [[int(head.argmax()) for head in video] for video in scores]
    if table == "Table 1":
        return 100 * np.mean([labels[video][reference.vote(scores[video])] for video in range(len(labels))])
    if table == "Table 2":
        sets = [set(own) for own in given]
        if "top-" in row:
            sets = [set(np.argsort(-video[0], kind="stable")[: int(row[-1])]) for video in scores]
        truth = [set(np.flatnonzero(video)) for video in labels]
        return np.mean([2 * len(a & b) / (len(a) + len(b)) for a, b in zip(sets, truth, strict=True)])
    right = [[labels[video][label] > 0 for label in own] for video, own in enumerate(given)]
    if table == "Table 3":
        if row.startswith("("):
            return sum((own[1] or own[2]) and not own[0] for own in right)
        place = ("Continuous only", "Instant only", "Onset only").index(row)
        return sum(own[:3].count(True) == 1 and own[place] for own in right)
    if row in ("Labels a video", "Matched labels", "Matched labels a video"):
        sizes = [len(set(own)) for own in given]
        matched = [sum(labels[video][label] > 0 for label in set(own)) for video, own in enumerate(given)]
        results = {"Labels a video": np.mean(sizes), "Matched labels a video": np.mean(matched)}
        return results.get(row, 100 * sum(matched) / sum(sizes))
    if table == "Section 4.2":
        counts = [naive_measure("Table 4", layer.capitalize(), labels, scores) for layer in eventlayers.LAYERS]
        return 100 * sum(counts[:3]) / sum(counts)
    count = 0
    for category in range(labels.shape[1]):
        mine = [video for video in range(len(labels)) if labels[video][category]]
        votes = [int(scores[video][:, category].argmax()) for video in mine]
        best = max((votes.count(layer) for layer in votes), default=0)
        tied = [layer for layer in dict.fromkeys(votes) if votes.count(layer) == best]
        tied.sort(key=lambda layer, own=mine, c=category: -np.mean([scores[video][layer, c] for video in own]))
        count += bool(tied) and eventlayers.LAYERS[tied[0]].capitalize() == row
    return count


def test_figures_are_recomputed_from_the_saved_scores(walked):
    for record in records(walked):
        with np.load(walked / record["predictions"]) as file:
            expected = naive_measure(record["table"], record["row"], file["labels"], file["predictions"])
        assert float(record["ours_mean"]) == pytest.approx(expected), record


def test_table_1_names_the_best_on_test_apart(walked):
    for record in records(walked):
        assert bool(record["best_on_test_mean"]) == (record["table"] == "Table 1")
        if record["best_on_test_mean"]:
            assert float(record["best_on_test_mean"]) >= float(record["ours_mean"]) - 1e-9


def test_finished_runs_are_kept_and_one_table_can_be_asked_for(walked, capsys):
    assert command("--table", "Table 3", "--rows", "Onset only", "--epochs", 1, "--out", walked) == 0
    said = capsys.readouterr().out
    assert "already finished" in said and "[5 of 5] Table 3, Onset only, Kinetics-400" in said
    assert [record["row"] for record in records(walked, "table_3")] == ["Onset only"] * 5


def test_with_a_dataset_the_other_datasets_rows_say_what_they_need(tmp_path):
    assert command("--table", "Table 2", "--dataset", "ave", "--data", tmp_path, "--out", tmp_path / "ave") == 0
    notes = {record["note"] for record in records(tmp_path / "ave", "table_2")}
    assert notes == {"not run: needs --dataset llp-drawn with its --data"}
    for figure in papers.rows("eventlayers"):
        for dataset in config.DATASETS.values():
            chosen = tables.measured_on(tables.Settings(dataset=dataset), figure)
            assert chosen == (dataset if config.DATASETS.get(figure.dataset) == dataset else None)
    annotated = papers.lookup("eventlayers", "Section 4.2", "Matched labels")
    told = tables.measure(tables.Settings(dataset="vggsound"), None, annotated).measured
    assert told.startswith("not run: needs annotators' labels") and "python -m eventlayers.evaluate" in told


def test_on_real_data_models_are_trained_on_clips_and_share_their_backbones(tmp_path):
    table = tables.Settings(dataset="vggsound", data=tmp_path, out=tmp_path)
    own = {model: tables.run_settings(table, model, "vggsound") for model in eventlayers.MODELS}
    assert {settings.network.inputs for settings in own.values()} == {"clips"}
    # The first stage of the joint models is the run of Table 1's uni-modal rows.
    for model in ("naive_av", "event_layers"):
        for modality, backbone in (("visual", "vision_only"), ("audio", "audio_only")):
            assert train.PAPER.first_stage(own[model], modality) == own[backbone]


def test_backbones_are_those_asked_for(tmp_path):
    own = tables.Settings(dataset="csv", data=tmp_path, backbones="small", video_weights="none", out=tmp_path)
    for model in eventlayers.MODELS:
        settings = tables.run_settings(own, model, "csv")
        assert (settings.network.backbones, settings.video_weights) == ("small", "none")
    for dataset, kind in (("csv", "published"), ("rendered", "small")):
        settings = tables.run_settings(tables.Settings(dataset=dataset), "event_layers", dataset)
        assert (settings.network.backbones, settings.video_weights) == (kind, "default")


def test_on_real_data_features_need_trained_backbones(tmp_path, capsys):
    words = ("--dataset", "ave", "--data", tmp_path, "--out", tmp_path / "out")
    for given in ((), ("--from-backbones", tmp_path)):
        assert command(*words, "--inputs", "features", *given) == 2
        assert "--inputs features: the audio network has no published weights" in capsys.readouterr().err
    assert command(*words, "--from-backbones", tmp_path) == 2
    assert "--from-backbones: only serves --inputs features" in capsys.readouterr().err
    own = tables.Settings(dataset="ave", data=tmp_path, inputs="features", from_backbones=tmp_path, out=tmp_path)
    for model in eventlayers.MODELS:
        settings = tables.run_settings(own, model, "ave")
        assert (settings.from_backbones, settings.network.inputs) == (tmp_path, "features")
