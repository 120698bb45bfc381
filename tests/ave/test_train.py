"""The training command: an end-to-end run on few synthetic clips, scores, configurations."""

import csv
import functools
import json

import numpy as np
import pytest

import ave
from ave import train
from avpipeline import metrics
from tests.helpers.commands import run_command

command = functools.partial(run_command, train)


def test_command_writes_result_weights_logs_and_pictures(few_clips, tmp_path, capsys):
    assert command("--epochs", 2, "--batch-size", 5, "--out", tmp_path) == 0
    said = capsys.readouterr().out
    assert "first test video with both an event and background; " in said
    # Other settings than the preset's: each is named, and no row of the paper is.
    assert "A+V-att" not in said and "72.7" not in said and "Table 1" not in said
    assert "no row of the paper: batch_size 5 instead of 16; epochs 2 instead of 40." in said
    assert "synthetic clips, 4 in the test split (smoke: 2 of 40 epochs)" in said

    result = json.loads((tmp_path / "result.json").read_text())
    assert result["settings"]["training"]["epochs"] == 2 and result["reproduces"] == []
    assert result["differences"]["epochs"] == {"ours": 2, "preset": 40}
    assert set(result["code"]) >= {"avpipeline", "ave"}
    assert f"{100 * result['test_mean']:.1f} % (1 seed)" in said
    for name in ("best.keras", "log.csv", "curves.png", "predictions.npz"):
        assert (tmp_path / "seed-0" / name).exists()
    example = {path.suffix for path in (tmp_path / "example").iterdir()}
    assert example == {".txt", ".json", ".png", ".mp4"}
    assert len(list((tmp_path / "example").glob("*.png"))) == 2


@pytest.mark.slow
def test_reported_score_is_that_of_the_stored_predictions(few_clips, tmp_path):
    command("--model", "a", "--epochs", 1, "--batch-size", 5, "--out", tmp_path, "--seeds", 2, "--seed", 3)
    result = json.loads((tmp_path / "result.json").read_text())
    assert [seed["seed"] for seed in result["seeds"]] == [3, 4]
    for seed in result["seeds"]:
        with np.load(tmp_path / f"seed-{seed['seed']}" / "predictions.npz") as file:
            assert seed["test"] == metrics.segment_accuracy(file["labels"], file["predictions"])


@pytest.mark.parametrize(
    ("words", "selected", "validated"),
    [
        ((), "last validated epoch", [1]),
        pytest.param(("--select", "best", "--first-validation", 2), "val", [2], marks=pytest.mark.slow),
    ],
)
def test_weak_models_keep_the_last_validated_weights_unless_told(words, selected, validated, few_clips, tmp_path):
    command("--model", "w_a", "--epochs", 2, "--batch-size", 5, "--out", tmp_path, *words)
    assert json.loads((tmp_path / "result.json").read_text())["selected_on"] == selected
    with open(tmp_path / "seed-0" / "log.csv", newline="") as file:
        scores = [row["val_segment_accuracy"] for row in csv.DictReader(file)]
    assert [epoch for epoch, score in enumerate(scores, 1) if score] == validated


def test_configurations_differ_by_hash(few_clips):
    hashes, splits = set(), {}
    for name in ave.MODELS:
        settings = train.PAPER.settings_for(name)
        # Models with the same inputs and labels share what was read.
        kind = settings.network.modalities, settings.network.weak
        if kind not in splits:
            splits[kind] = train.load_splits(settings)
        hashes.add(train.PAPER.experiment(settings, splits[kind]).hash)
    assert len(hashes) == len(ave.MODELS)
