"""Runs that cannot go on or that end without a result: damaged folders, NaN, another process; one sentence each."""

import dataclasses
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from avpipeline.errors import InputError, TrainingDiverged
from avpipeline.files import locked
from avpipeline.training import runs
from avpipeline.training.saved import load_model
from tests.helpers.graphs import without_graphs
from tests.helpers.small_runs import experiment


@pytest.fixture(scope="module", autouse=True)
def eager():
    with without_graphs():
        yield


def test_damaged_state_is_refused(tmp_path):
    folder = tmp_path / "seed-0"
    folder.mkdir(parents=True)
    (folder / "state.npz").write_bytes(b"not a state")
    with pytest.raises(InputError, match="state.npz: the saved state is damaged .*; remove it"):
        runs.run(experiment(), tmp_path, [0])


DAMAGED = {
    "empty": "",
    "cut": '{"seed": 0',
    "a list": "[1]",
    "another seed": '{"seed": 1, "val": 0.5, "test": 0.5, "parameters": 3}',
    "no scores": '{"seed": 0}',
    "words": '{"seed": 0, "val": 0.5, "test": "good", "parameters": 3}',
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_damaged_result_of_a_seed_is_refused(tmp_path, text):
    (tmp_path / "seed-0").mkdir()
    (tmp_path / "seed-0" / "result.json").write_text(text)
    with pytest.raises(InputError, match="seed-0/result.json: .*; remove .*seed-0 to train the seed again"):
        runs.run(experiment(), tmp_path, [0])


@pytest.mark.parametrize("name", ["settings.json", "seed-0/result.json", "seed-0/state.npz"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_in_a_run_is_refused(tmp_path, name, make):
    (tmp_path / "seed-0").mkdir()
    make(tmp_path / name)
    with pytest.raises(InputError, match=f"{name}: (cannot be read|the saved state is damaged)"):
        runs.run(experiment(), tmp_path, [0])


def test_settings_that_are_no_object_are_refused(tmp_path):
    for text in ("[1]", "3", "{", "\x00"):
        (tmp_path / "settings.json").write_text(text)
        with pytest.raises(InputError, match="settings.json: is damaged.*; remove the folder or choose another --out"):
            runs.run(experiment(), tmp_path, [0])


def test_out_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file.*cannot be written|in the way"):
        runs.run(experiment(), tmp_path / "file" / "run", [0])


def test_second_process_in_the_folder_is_refused(tmp_path):
    with locked(tmp_path / "run"):
        code = f"from avpipeline.files import locked\nwith locked({str(tmp_path / 'run')!r}, wait=False): pass"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert "another process is working there" in other.stderr


def test_diverged_training_keeps_the_best_weights_and_has_no_result(tmp_path):
    class Poison(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                self.model.weights[0].assign(np.full(self.model.weights[0].shape, np.nan))

    with pytest.raises(TrainingDiverged) as diverged:
        runs.run(dataclasses.replace(experiment(), callbacks=lambda: [Poison()]), tmp_path, [0])
    assert str(diverged.value) == (
        f"{tmp_path / 'seed-0'}: the loss became nan in epoch 3, step 1; the weights of epoch 2 are kept in "
        "best.keras; lower --learning-rate and check the features with python -m avpipeline.validate."
    )
    assert diverged.value.exit_status == 1
    model, _ = load_model(tmp_path / "seed-0" / "best.keras")
    assert all(np.isfinite(weights).all() for weights in model.get_weights())
    assert not list(tmp_path.rglob("result.json"))


def test_what_a_killed_run_left_half_written_is_removed(tmp_path):
    (tmp_path / "seed-0").mkdir()
    leftovers = [tmp_path / "seed-0" / name for name in (".best.partial-ab12cd34.keras", ".log.partial-x.csv")]
    kept = tmp_path / ".notes.csv"
    for path in (*leftovers, kept):
        path.write_text("")
    runs.run(experiment(epochs=1), tmp_path, [0])
    assert not any(path.exists() for path in leftovers) and kept.exists()


def test_nan_features_in_memory_are_refused(tmp_path):
    broken = experiment()
    broken.splits.train.inputs["audio"].array[5, 0, 0] = np.nan
    with pytest.raises(InputError, match="array in memory, row 5: holds NaN"):
        runs.run(broken, tmp_path, [0])
