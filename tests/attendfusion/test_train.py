"""The training command: an end-to-end run on few synthetic clips, an interrupted run, records that are damaged."""

import dataclasses
import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import attendfusion
from attendfusion import train
from attendfusion.evaluation import predictions
from avpipeline import cli
from avpipeline.datasets.youtube8m.writing import write_shards
from avpipeline.training import runs
from tests.helpers.attendfusion_records import recomputed, records, videos, write_folder
from tests.helpers.commands import run_command
from tests.helpers.graphs import without_graphs
from tests.helpers.youtube8m_files import write

command = functools.partial(run_command, train)


@pytest.mark.parametrize("tokens", ["mean_std", pytest.param("frames", marks=pytest.mark.slow)])
def test_command_writes_result_weights_logs_and_predictions(few_clips, tmp_path, capsys, tokens):
    words = ("--model", "fc_early", "--width", 8, "--epochs", 2, "--batch-size", 5, "--tokens", tokens)
    assert command(*words, "--out", tmp_path) == 0
    said = capsys.readouterr().out
    assert "no row of the paper: width 8 instead of" in said and "80.16" not in said and "75.25" not in said
    assert "synthetic clips, 4 in the test split, width 8 of 8000 (smoke: 2 of 20 epochs)" in said

    result = json.loads((tmp_path / "result.json").read_text())
    (seed,) = result["seeds"]
    assert result["smoke"] and result["reproduces"] == []
    assert result["settings"]["network"]["tokens"] == tokens and result["metric"] == "gap"
    assert seed["test"] == seed["figures"]["gap"] and 0 < seed["figures"]["threshold"] < 1
    assert f"{100 * seed['test']:.1f} % (1 seed)" in said and f"threshold of the F1 scores {'':<17}" in said
    for name in ("best.keras", "log.csv", "curves.png", "predictions.npz"):
        assert (tmp_path / "seed-0" / name).exists()
    stored = recomputed(tmp_path / "seed-0" / "predictions.npz")
    for name in ("gap", "f1", "hit_at_one", "perr", "mean_ap"):
        np.testing.assert_allclose(stored[name], seed["figures"][name], atol=1e-6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("records"))


def experiment(folder, **changes):
    own = train.PAPER.settings_for("fc_early", dataset="youtube8m")
    own = dataclasses.replace(
        own,
        network=dataclasses.replace(own.network, width=8),
        training=dataclasses.replace(own.training, epochs=4, batch_size=6, learning_rate=1e-2, **changes),
    )
    return train.PAPER.experiment(own, records(folder))


class Killed(Exception):
    pass


class KillAfter(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise Killed


@pytest.mark.slow
@pytest.mark.parametrize("eagerly", [True, False])
def test_interrupted_run_goes_on_to_the_same_numbers(folder, tmp_path, eagerly):
    """Dropout, shuffled records and AdamW's moments included."""
    with without_graphs(eagerly):
        check_interrupted(folder, tmp_path)


def check_interrupted(folder, tmp_path):
    whole = runs.run(experiment(folder), tmp_path / "whole", [1])
    cut = dataclasses.replace(experiment(folder), callbacks=lambda: [KillAfter(2)])
    with pytest.raises(Killed):
        runs.run(cut, tmp_path / "cut", [1])
    resumed = runs.run(experiment(folder), tmp_path / "cut", [1])
    assert resumed["seeds"] == whole["seeds"]
    scores = [np.load(tmp_path / name / "seed-1" / "predictions.npz")["top_scores"] for name in ("whole", "cut")]
    np.testing.assert_array_equal(*scores)


def test_a_given_threshold_is_used_and_logged(folder):
    given, searched = experiment(folder, f1_threshold=0.3), experiment(folder)
    model = given.build()
    assert given.scoring.measure(model, given.splits.test).figures["threshold"] == 0.3
    assert searched.scoring.measure(model, searched.splits.test).figures["threshold"] != 0.3


def test_networks_fit_the_records(folder):
    network = train.fitted(attendfusion.model_config("attend_fusion"), records(folder).stream("train"), "mean")
    assert (network.num_classes, network.audio_channels, network.visual_channels) == (5, 4, 6)
    assert network.tokens == "mean"


def without_std(folder):
    """The folder's video-level records as YouTube-8M publishes them, with means only."""
    for path in folder.glob("*.tfrecord"):
        examples = [tf.train.Example.FromString(data.numpy()) for data in tf.data.TFRecordDataset(str(path))]
        for example in examples:
            for field in [name for name in example.features.feature if name.startswith("std_")]:
                del example.features.feature[field]
        write(path, *(example.SerializeToString() for example in examples))
    return folder


def test_video_level_files_as_published_are_trained_on_by_default(tmp_path, capsys):
    data = without_std(write_folder(tmp_path / "records"))
    words = ("--data", data, "--model", "fc_early", "--width", 8, "--epochs", 1, "--batch-size", 6)
    with without_graphs():
        assert command(*words, "--out", tmp_path / "out") == 0
    said = f"{data}: video-level records give the mean alone, one token a video (tokens mean)"
    assert capsys.readouterr().out.count(said) == 1
    network = json.loads((tmp_path / "out" / "result.json").read_text())["settings"]["network"]
    assert network["tokens"] == "mean"


@pytest.mark.parametrize("level", ["video", "frame"])
def test_standard_deviations_are_used_where_files_hold_them(tmp_path, capsys, level):
    data = write_folder(tmp_path / "records", level=level)
    assert records(data, tokens=None).tokens == "mean_std"
    said = f"{data}: {level}-level records give mean and standard deviation, two tokens a video (tokens mean_std)"
    assert capsys.readouterr().out == f"{said}\n"
    assert records(data, tokens="mean").tokens == "mean" and not capsys.readouterr().out


def test_configurations_differ_by_hash(folder):
    settings = [train.PAPER.settings_for(name) for name in attendfusion.MODELS]
    own = {one.model: train.PAPER.experiment(one, records(folder)).hash for one in settings}
    assert len(set(own.values())) == 24


def test_records_without_sound_end_in_a_sentence_or_count_as_zeros(tmp_path):
    write_folder(tmp_path)
    silent = [dataclasses.replace(video, frames={"visual": video.frames["visual"]}) for video in videos("quiet", 2)]
    for path in tmp_path.glob("validate*"):
        path.unlink()
    write_shards(tmp_path, "validate", [*videos("validate", 3), *silent], level="video")
    model = attendfusion.build_model("fc_early", width=4, num_classes=5, audio_channels=4, visual_channels=6)
    with pytest.raises(tf.errors.OpError) as error:
        list(predictions(model, records(tmp_path).stream("val"), 2))
    assert "'quiet0' has no audio" in cli.sentence_of(error.value)
    batches = list(predictions(model, records(tmp_path, missing="zeros").stream("val"), 2))
    assert [name for ids, _, _ in batches for name in ids] == [*(f"validate{i}" for i in range(3)), "quiet0", "quiet1"]


def test_damaged_records_are_skipped_and_told_only_when_asked(tmp_path, capsys):
    write_folder(tmp_path)
    (shard,) = tmp_path.glob("test-00001*")
    shard.write_bytes(shard.read_bytes()[:-3])
    words = ("--data", tmp_path, "--model", "fc_audio", "--width", 4, "--epochs", 1, "--batch-size", 12)
    assert command(*words, "--out", tmp_path / "one") == 2
    assert f"{shard}: is cut off or damaged" in capsys.readouterr().err
    with without_graphs(), pytest.warns(UserWarning, match="skipped the last .* bytes"):
        assert command(*words, "--out", tmp_path / "two", "--skip-corrupt") == 0
    assert f"{shard}: skipped the last" in capsys.readouterr().out
