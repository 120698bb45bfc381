"""The training command: an end-to-end run on few synthetic clips, a resumed run, the recipe, configurations."""

import dataclasses
import functools
import json
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

import jca
from avpipeline import metrics
from avpipeline.training import runs
from jca import train
from tests.helpers.commands import run_command
from tests.helpers.synthetic import synthetic_splits

# Sizes at which a step costs next to nothing.
NARROW = ("--video-size", 8, "--audio-size", 8, "--num-layers", 1, "--recursions", 1, "--batch-size", 5)


command = functools.partial(run_command, train)


@pytest.fixture(autouse=True)
def eager():
    """Without graphs, whose tracing costs far more than these few steps; tf.data keeps its own, as a warning says."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def test_command_writes_result_weights_logs_and_pictures(few_clips, tmp_path, capsys):
    sizes = {name[2:].replace("-", "_"): value for name, value in zip(NARROW[::2], NARROW[1::2], strict=True)}
    batch = sizes.pop("batch_size")
    # These are the sizes for synthetic clips here: nothing differs from the preset.
    with (
        mock.patch.dict(train.config.RENDERED_MODEL, sizes),
        mock.patch.dict(train.config.RENDERED_TRAINING, batch_size=batch, epochs=1),
    ):
        assert command("--seeds", 2, "--seed", 3, "--out", tmp_path) == 0
    said = capsys.readouterr().out
    assert "first test video with both an event and background; " in said
    assert "instead of the published sizes: video_size 8, audio_size 8" in said
    assert "JCA" in said and "76.2" in said and "synthetic clips, 4 in the test split" in said
    assert "no row of the paper" not in said and "smoke" not in said

    result = json.loads((tmp_path / "result.json").read_text())
    assert not result["smoke"] and result["differences"] == {} and [seed["seed"] for seed in result["seeds"]] == [3, 4]
    assert result["reproduces"] == [["Table 1", "JCA"], ["Table 2", "w/ Joint Co-Attention"]]
    assert f"{100 * result['test_mean']:.1f} +- " in said
    for seed in result["seeds"]:
        folder = tmp_path / f"seed-{seed['seed']}"
        with np.load(folder / "predictions.npz") as file:
            assert seed["test"] == metrics.segment_accuracy(file["labels"], file["predictions"])
        # Four test videos are one batch, whatever their order.
        assert seed["figures"] == {
            "author_reading": pytest.approx(seed["test"]),
            "author_reading_std": pytest.approx(0),
        }
        assert all((folder / name).exists() for name in ("best.keras", "log.csv", "curves.png"))
    assert {path.suffix for path in (tmp_path / "example").iterdir()} == {".txt", ".json", ".png", ".mp4"}


@pytest.fixture
def small_experiment():
    """A run whose learning rate falls each second epoch, since no loss falls by 90 %."""
    settings = train.PAPER.settings_for("jca")
    network = dataclasses.replace(settings.network, video_size=4, audio_size=4, num_layers=1, recursions=1)
    network = dataclasses.replace(network, unimodal_rnn=False, joint_rnn=False)
    schedule = {"plateau_patience": 1, "plateau_threshold": 0.9}
    training = dataclasses.replace(settings.training, epochs=5, batch_size=10, validate_every=2, **schedule)
    settings = dataclasses.replace(settings, network=network, training=training)
    return train.PAPER.experiment(settings, synthetic_splits(train=10))


@pytest.mark.slow
def test_killed_run_goes_on_with_its_learning_rate_and_its_dropped_values(small_experiment, tmp_path):
    rates = {"whole": {}, "cut": {}}

    def watched(name, stop_in=None):
        class Watch(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                rates[name][epoch] = float(self.model.optimizer.learning_rate)
                if epoch == stop_in:
                    raise KeyboardInterrupt

        schedule = small_experiment.callbacks
        return dataclasses.replace(small_experiment, callbacks=lambda: [*schedule(), Watch()])

    whole = runs.run(watched("whole"), tmp_path / "whole", [0])
    with pytest.raises(KeyboardInterrupt):
        runs.run(watched("cut", stop_in=2), tmp_path / "cut", [0])
    resumed = runs.run(watched("cut"), tmp_path / "cut", [0])
    assert rates["cut"] == rates["whole"]
    assert list(rates["whole"].values()) == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4])
    assert resumed["seeds"] == whole["seeds"]
    logs = [(tmp_path / name / "seed-0" / "log.csv").read_text() for name in ("cut", "whole")]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("model", jca.MODELS)
def test_recipe_is_the_authors(model):
    recipe = train.PAPER.settings_for(model, dataset="ave").training
    assert (recipe.epochs, recipe.batch_size, recipe.shuffle) == (300, 64, True)
    here = train.PAPER.settings_for(model).network
    assert here.video_size == here.audio_size == 128


def test_epochs_are_those_of_the_authors_loop():
    """3339 videos are 52 batches of 64 and one of 11, shuffled anew; validation after epochs 1, 6, ..., 296."""
    experiment = train.PAPER.experiment(train.PAPER.settings_for("jca", dataset="ave"), synthetic_splits())
    schedule = experiment.schedule
    assert schedule.validated == list(range(1, 297, 5)) and len(schedule.validated) == 60
    assert schedule.select == "best" and schedule.shuffle and schedule.partial_batches
    assert divmod(3339, schedule.batch_size) == (52, 11)


def test_the_last_partial_batch_is_trained_on(tmp_path):
    """Ten videos in batches of four: three steps an epoch, not two."""
    settings = train.PAPER.settings_for("jca")
    network = dataclasses.replace(settings.network, video_size=4, audio_size=4, num_layers=1, recursions=1)
    training = dataclasses.replace(settings.training, epochs=1, batch_size=4)
    settings = dataclasses.replace(settings, network=network, training=training)
    experiment = train.PAPER.experiment(settings, synthetic_splits(train=10))
    sizes = []

    class Sizes(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            sizes.append(int(self.model.optimizer.iterations))

    runs.run(dataclasses.replace(experiment, callbacks=lambda: [Sizes()]), tmp_path, [0])
    assert sizes == [1, 2, 3]


@pytest.mark.slow
def test_configurations_differ_by_hash(few_clips):
    hashes = {train.PAPER.experiment(train.PAPER.settings_for(name)).hash for name in jca.MODELS}
    assert len(hashes) == len(jca.MODELS)


def test_folder_of_another_run_is_refused(few_clips, tmp_path, capsys):
    (tmp_path / "settings.json").write_text(json.dumps({"paper": "ave"}))
    assert command(*NARROW, "--out", tmp_path) == 2
    assert "holds a run with other settings" in capsys.readouterr().err
