"""Figures from records: equal to those of the dense predictions, kept small, refused where they would be wrong."""

import dataclasses
import json

import keras
import numpy as np
import pandas as pd
import pytest

import attendfusion
from attendfusion import evaluate
from attendfusion.evaluation import Evaluation, predictions
from avpipeline.datasets.youtube8m.splits import write_vocabulary
from avpipeline.datasets.youtube8m.writing import Description, write_description, write_shards
from avpipeline.metrics.ranking import F1, GAP, MeanAveragePrecision
from avpipeline.training.saved import ModelInfo, save_model
from tests.helpers.attendfusion_records import CLASS_NAMES, FEATURES, SCALE, recomputed, records, videos, write_folder
from tests.helpers.commands import run_command
from tests.helpers.environment import slow_clock
from tests.helpers.whole_arrays import measure

CONFIG = {"width": 4, "num_classes": 5, "audio_channels": 4, "visual_channels": 6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("records"))


@pytest.fixture
def saved(tmp_path):
    def save(name="fc_early", **changes):
        keras.utils.set_random_seed(1)
        model = attendfusion.build_model(name, **CONFIG)
        config = dataclasses.asdict(attendfusion.model_config(name, **CONFIG))
        fields = {
            "paper": "attendfusion",
            "model": name,
            "preset": "paper",
            "class_names": CLASS_NAMES,
            "features": FEATURES,
            "dataset": "synthetic",
            "config": {**config, "scale": SCALE},
        }
        save_model(model, tmp_path / "model.keras", ModelInfo(**{**fields, **changes}))
        return model

    return save


def command(tmp_path, *words):
    arguments = ["--weights", tmp_path / "model.keras", "--out", tmp_path / "out", *words]
    return run_command(evaluate, *arguments)


def test_tables_say_what_the_predictions_say(tmp_path, folder, saved, capsys):
    model = saved()
    assert command(tmp_path, "--data", folder, "--threshold", 0.5) == 0
    out = tmp_path / "out"
    batches = list(predictions(model, records(folder).stream("test"), 3))
    labels, probabilities = (np.concatenate([batch[part] for batch in batches]) for part in (1, 2))
    assert labels.shape == probabilities.shape == (7, 5)

    figures = json.loads((out / "evaluation.json").read_text())["figures"]
    for name, metric in (("gap", GAP()), ("f1", F1(0.5)), ("mean_ap_uncapped", MeanAveragePrecision(capped=False))):
        np.testing.assert_allclose(figures[name], measure(metric, labels, probabilities), atol=1e-6)
    assert f"{100 * figures['gap']:.2f}" in capsys.readouterr().out

    table = pd.read_csv(out / "per_label.csv").set_index("label")
    predicted = probabilities >= 0.5
    for index, name in enumerate(CLASS_NAMES):
        mine = labels[:, index] > 0
        assert table.loc[name, "videos"] == mine.sum()
        right = (predicted[:, index] & mine).sum()
        if mine.any():
            assert table.loc[name, "recall"] == pytest.approx(right / mine.sum())
        if predicted[:, index].any():
            assert table.loc[name, "precision"] == pytest.approx(right / predicted[:, index].sum())
        if mine.any() or predicted[:, index].any():
            assert table.loc[name, "f1"] == pytest.approx(2 * right / (mine.sum() + predicted[:, index].sum()))


def test_stored_predictions_are_the_labels_and_the_twenty_best(tmp_path):
    """Of 30 classes twenty are kept, with the scores they had; the figures come out again."""
    rng = np.random.default_rng(0)
    probabilities = rng.random((50, 30)).astype("float32")
    labels = (rng.random((50, 30)) < 0.1).astype("float32")
    evaluation = Evaluation(0.5)
    for start in range(0, 50, 8):
        here = slice(start, start + 8)
        evaluation.add(np.arange(50)[here], labels[here], probabilities[here])
    outcome = evaluation.outcome()
    kept = outcome.arrays
    assert kept["top_labels"].shape == kept["top_scores"].shape == (50, 20)
    assert kept["top_scores"].dtype == np.float32 and kept["label_counts"].sum() == len(kept["labels"]) == labels.sum()
    best = np.sort(probabilities, 1)[:, :-21:-1]
    np.testing.assert_array_equal(kept["top_scores"], best)
    np.testing.assert_array_equal(np.take_along_axis(probabilities, kept["top_labels"], 1), best)
    np.savez(tmp_path / "predictions.npz", **kept)
    again = recomputed(tmp_path / "predictions.npz", batch_size=7)
    for name, value in again.items():
        np.testing.assert_allclose(value, outcome.figures[name], atol=1e-6)
    np.testing.assert_allclose(again["gap"], measure(GAP(), labels, probabilities), atol=1e-6)
    average_precisions = evaluation.metrics["mean_ap_uncapped"].per_class()
    np.testing.assert_allclose(np.nanmean(average_precisions), outcome.figures["mean_ap_uncapped"], atol=1e-6)


def test_the_threshold_is_looked_for_on_validation(tmp_path, folder, saved):
    model = saved()
    assert command(tmp_path, "--data", folder) == 0
    figures = json.loads((tmp_path / "out" / "evaluation.json").read_text())["figures"]
    batches = list(predictions(model, records(folder).stream("val"), 6))
    labels, probabilities = (np.concatenate([batch[part] for batch in batches]) for part in (1, 2))
    reached = measure(F1(figures["threshold"]), labels, probabilities)
    others = [measure(F1(float(score)), labels, probabilities) for score in np.unique(probabilities)]
    # Thresholds are the edges of histogram bins.
    assert reached >= max(others) - 0.02


def refused(tmp_path, capsys, *words):
    assert command(tmp_path, *words) == 2
    assert not (tmp_path / "out").exists()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_other_labels_are_refused(tmp_path, folder, saved, capsys):
    saved(class_names=("dog", "cat", "bell", "drum", "rain"))
    assert "was trained on the 5 labels of synthetic" in refused(tmp_path, capsys, "--data", folder)


def test_other_features_are_refused(tmp_path, folder, saved, capsys):
    saved(features={**FEATURES, "audio": dataclasses.replace(FEATURES["audio"], sha256="c" * 64)})
    assert "its audio features do not fit the model" in refused(tmp_path, capsys, "--data", folder)


def test_features_of_another_scale_are_refused(tmp_path, saved, capsys):
    saved()
    write_folder(tmp_path / "records")
    write_description(tmp_path / "records", Description(FEATURES, {**SCALE, "visual": 0.5}))
    assert "its features were scaled by" in refused(tmp_path, capsys, "--data", tmp_path / "records")


def test_test_files_without_labels_are_left_out(tmp_path, saved):
    """YouTube-8M's are: the validation files are divided."""
    saved()
    folder = write_folder(tmp_path / "records")
    for path in folder.glob("test*"):
        path.unlink()
    write_shards(folder, "test", [dataclasses.replace(video, labels=[]) for video in videos("test", 4)], level="video")
    assert command(tmp_path, "--data", folder) == 0
    with np.load(tmp_path / "out" / "predictions.npz") as file:
        assert list(file["ids"]) == ["validate3", "validate4", "validate5"]


def test_videos_without_a_single_label_cannot_be_measured():
    from avpipeline.errors import InputError

    evaluation = Evaluation(0.5)
    evaluation.add(np.array(["a"]), np.zeros((1, 3), "float32"), np.full((1, 3), 0.5, "float32"))
    with pytest.raises(InputError, match="have no labels"):
        evaluation.outcome()


def test_the_number_of_classes_is_asked_for_where_there_is_no_vocabulary(tmp_path, folder, saved, capsys):
    saved()
    own = write_folder(tmp_path / "records")
    (own / "vocabulary.csv").unlink()
    assert "--num-classes" in refused(tmp_path, capsys, "--data", own)
    write_vocabulary(tmp_path / "names.csv", CLASS_NAMES, [0] * 5)
    assert command(tmp_path, "--data", own, "--vocabulary", tmp_path / "names.csv") == 0


def test_videos_are_counted_while_a_model_evaluates(folder, saved, capsys):
    stream, model = records(folder).stream("test"), saved()
    capsys.readouterr()
    with slow_clock():
        sizes = [len(ids) for ids, _, _ in predictions(model, stream, 3)]
    done = np.cumsum(sizes)
    assert done[-1] == len(stream) > 3
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        f"predicting: {count} of {len(stream)} videos" for count in done[:-1]
    ]
