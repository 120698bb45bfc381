"""Runs: reproducible, resumable after a kill, selected on validation, honest in what they write."""

import csv
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from ave import train
from avpipeline.errors import InputError
from avpipeline.metrics import segment_accuracy
from avpipeline.training import record, runs
from avpipeline.training.experiment import Schedule
from avpipeline.training.saved import load_model
from tests.helpers.graphs import without_graphs
from tests.helpers.small_runs import experiment, figures
from tests.helpers.synthetic import synthetic_splits


@pytest.fixture(scope="module", autouse=True)
def eager():
    with without_graphs():
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return out, runs.run(experiment(), out, [0, 1])


def test_result_is_recomputed_from_stored_predictions(finished):
    out, result = finished
    for seed in result["seeds"]:
        with np.load(out / f"seed-{seed['seed']}" / "predictions.npz") as file:
            assert seed["test"] == segment_accuracy(file["labels"], file["predictions"])
            np.testing.assert_array_equal(file["labels"], synthetic_splits()["test"].labels)
    scores = [seed["test"] for seed in result["seeds"]]
    assert result["test_mean"] == np.mean(scores)
    np.testing.assert_allclose(result["test_std"], np.std(scores, ddof=1))


def test_best_epoch_is_the_first_best_of_validation(finished):
    out, result = finished
    for seed in result["seeds"]:
        with open(out / f"seed-{seed['seed']}" / "log.csv") as file:
            scores = {int(row["epoch"]): row["val_segment_accuracy"] for row in csv.DictReader(file)}
        validated = {epoch: float(score) for epoch, score in scores.items() if score}
        assert list(scores) == [1, 2, 3, 4]
        assert list(validated) == [2, 4]
        assert seed["val"] == max(validated.values())
        assert seed["best_epoch"] == min(epoch for epoch, score in validated.items() if score == seed["val"])


def test_stored_weights_give_the_stored_predictions(finished):
    out, _ = finished
    model, info = load_model(out / "seed-0" / "best.keras", paper="ave")
    assert info.class_names == ("dog", "bell", "background")
    again = runs.predict(model, synthetic_splits()["test"])
    np.testing.assert_allclose(again, predictions(out), atol=1e-6)


def test_result_says_how_it_was_made(finished):
    out, result = finished
    assert json.loads((out / "result.json").read_text()) == result
    assert result["selected_on"] == "val"
    assert result["settings"]["training"]["epochs"] == 4
    assert {"command", "date", "commit", "versions", "features", "configuration"} <= result.keys()
    assert result["clips"] == {"train": 8, "val": 8, "test": 8}
    for name in ("best.keras", "log.csv", "curves.png", "predictions.npz"):
        assert (out / "seed-0" / name).stat().st_size > 0
    assert list((out / "seed-0" / "tensorboard").rglob("events*"))


def test_same_seed_same_numbers_other_seed_others(finished, tmp_path):
    out, result = finished
    again = runs.run(experiment(), tmp_path, [0])
    assert figures(again)[0] == figures(result)[0]
    np.testing.assert_array_equal(predictions(tmp_path), predictions(out))
    assert np.abs(predictions(out, seed=1) - predictions(out)).max() > 1e-3


def predictions(out, seed=0):
    with np.load(out / f"seed-{seed}" / "predictions.npz") as file:
        return file["predictions"]


KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from avpipeline.training import record, runs, state
from tests.helpers.small_runs import experiment
from tests.helpers.graphs import without_graphs
from tests.helpers.small_runs import experiment, figures
saved = state.save_state
def save_and_die(*arguments):
    saved(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
state.save_state = save_and_die
with without_graphs({eagerly}):
    runs.run(experiment(), {out!r}, [0])
"""


def check_killed(finished, tmp_path, *, eagerly):
    script = KILLED.format(root=str(Path(__file__).parents[3]), out=str(tmp_path), eagerly=eagerly)
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / "seed-0" / "state.npz").exists()
    assert not (tmp_path / "seed-0" / "result.json").exists()
    resumed = runs.run(experiment(), tmp_path, [0])
    assert figures(resumed)[0] == figures(finished[1])[0]
    np.testing.assert_array_equal(predictions(tmp_path), predictions(finished[0]))
    assert (tmp_path / "seed-0" / "log.csv").read_text() == (finished[0] / "seed-0" / "log.csv").read_text()


def test_killed_run_goes_on_to_the_numbers_of_an_uninterrupted_one(finished, tmp_path):
    check_killed(finished, tmp_path, eagerly=True)


@pytest.mark.slow
def test_killed_run_goes_on_to_the_numbers_of_an_uninterrupted_one_in_graphs_too(tmp_path):
    with without_graphs(False):
        whole = tmp_path / "whole", runs.run(experiment(), tmp_path / "whole", [0])
        check_killed(whole, tmp_path / "cut", eagerly=False)


class Halves(keras.callbacks.Callback):
    """Halves the first weights after every third epoch that it counted, so it must not lose its count."""

    def __init__(self):
        super().__init__()
        self.counted = 0

    def on_epoch_end(self, epoch, logs=None):
        self.counted += 1
        if self.counted % 3 == 0:
            weights = self.model.trainable_variables[0]
            weights.assign(weights / 2)

    def get_state(self):
        return {"counted": self.counted}

    def set_state(self, values):
        self.counted = values["counted"]


@pytest.mark.slow
def test_a_run_cut_off_between_its_last_state_and_its_log_ends_with_the_whole_log(finished, tmp_path):
    """The log of the last epoch finds a folder in its place."""
    log = tmp_path / "seed-0" / "log.csv"

    class InTheWay(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 3:
                log.rename(tmp_path / "earlier.csv")
                log.mkdir()

    with pytest.raises(InputError, match="log.csv: cannot be written"):
        runs.run(dataclasses.replace(experiment(), callbacks=lambda: [InTheWay()]), tmp_path, [0])
    log.rmdir()
    (tmp_path / "earlier.csv").rename(log)
    runs.run(experiment(), tmp_path, [0])
    assert log.read_text() == (finished[0] / "seed-0" / "log.csv").read_text()


class Interrupts(keras.callbacks.Callback):
    """Ctrl-C at the beginning of the third epoch, after the first state was saved."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_callbacks_go_on_where_they_were(finished, tmp_path):
    halving = dataclasses.replace(experiment(), callbacks=lambda: [Halves()])
    whole = runs.run(halving, tmp_path / "whole", [0])
    with pytest.raises(KeyboardInterrupt):
        cut = dataclasses.replace(halving, callbacks=lambda: [Halves(), Interrupts()])
        runs.run(cut, tmp_path / "cut", [0])
    resumed = runs.run(halving, tmp_path / "cut", [0])
    assert figures(resumed) == figures(whole)
    logs = {name: (tmp_path / name / "seed-0" / "log.csv").read_text() for name in ("whole", "cut")}
    assert logs["cut"] == logs["whole"] != (finished[0] / "seed-0" / "log.csv").read_text()


def test_training_ends_when_validation_stays_where_it_was(tmp_path):
    """No validation is a whole point better than the first, so the first stays the best and two epochs follow."""
    whole = experiment(epochs=12)
    schedule = dataclasses.replace(whole.schedule, validate_every=1, patience=2, min_improvement=1.0)
    patient = dataclasses.replace(whole, schedule=schedule)
    result = runs.run(patient, tmp_path, [0])
    with open(tmp_path / "seed-0" / "log.csv") as file:
        assert [int(row["epoch"]) for row in csv.DictReader(file)] == [1, 2, 3]
    assert result["seeds"][0]["best_epoch"] == 1


@pytest.mark.slow
def test_the_last_validated_weights_can_be_selected(tmp_path):
    """Validation after epochs 1, 4, 7, ...: with eleven epochs the last is 10, and it is tested whatever its score."""
    whole = experiment(epochs=11)
    schedule = dataclasses.replace(whole.schedule, validate_every=3, first_validation=1, select="last")
    result = runs.run(dataclasses.replace(whole, schedule=schedule), tmp_path, [0])
    with open(tmp_path / "seed-0" / "log.csv") as file:
        scores = {int(row["epoch"]): row["val_segment_accuracy"] for row in csv.DictReader(file)}
    validated = {epoch: float(score) for epoch, score in scores.items() if score}
    assert list(validated) == [1, 4, 7, 10]
    (seed,) = result["seeds"]
    assert seed["best_epoch"] == 10 and seed["val"] == validated[10]
    assert result["selected_on"] == "last validated epoch"


def test_epochs_of_validation():
    every_fifth = Schedule(epochs=300, batch_size=64, shuffle=False, validate_every=5)
    assert every_fifth.validated == list(range(5, 301, 5))
    as_in_the_code = dataclasses.replace(every_fifth, first_validation=1)
    assert as_in_the_code.validated == list(range(1, 297, 5))
    assert dataclasses.replace(as_in_the_code, epochs=250).validated[-1] == 246
    assert dataclasses.replace(as_in_the_code, epochs=1, first_validation=3).validated == [1]


def test_partial_batches_are_trained_on_when_kept(tmp_path):
    class Steps(keras.callbacks.Callback):
        taken = 0

        def on_train_batch_end(self, batch, logs=None):
            self.taken += 1

    whole = experiment(epochs=2)
    taken = {}
    for kept in (False, True):
        size = len(whole.splits.train) - 1
        schedule = dataclasses.replace(whole.schedule, batch_size=size, partial_batches=kept)
        steps = Steps()
        changed = dataclasses.replace(whole, schedule=schedule, callbacks=lambda steps=steps: [steps])
        runs.run(changed, tmp_path / str(kept), [0])
        taken[kept] = steps.taken
    assert taken == {False: 2, True: 4}


def test_finished_seeds_are_kept(finished, capsys):
    out, result = finished
    before = (out / "result.json").read_bytes()
    again = runs.run(experiment(), out, [0, 1])
    assert figures(again) == figures(result)
    # Command, date and commit are those of the run that trained.
    assert (out / "result.json").read_bytes() == before and again["date"] == result["date"]
    said = capsys.readouterr().out
    assert "already finished" in said and "other code" not in said


def test_a_result_of_other_code_is_kept_and_said_in_a_line(finished, tmp_path, capsys):
    """As after a change of a paper's files; results of versions that did not record their code are told too."""
    result, out = finished[1], shutil.copytree(finished[0], tmp_path / "run")
    assert result["code"] == result["seeds"][0]["code"] == record.code()
    for place in (out / "result.json", *(out / f"seed-{seed}" / "result.json" for seed in (0, 1))):
        place.write_text(place.read_text().replace(f'"ave": "{record.code()["ave"]}"', f'"ave": "{"0" * 12}"'))
    again = runs.run(experiment(), out, [0, 1])
    assert again["code"] == {**result["code"], "ave": "0" * 12} and figures(again) == figures(result)
    lines = [line for line in capsys.readouterr().out.splitlines() if "other code" in line]
    assert [line[:50] for line in lines] == [
        f"seed {seed}: was trained by other code (not this ave), " for seed in (0, 1)
    ]


def test_folder_of_another_configuration_is_refused(finished):
    with pytest.raises(InputError, match=r"other settings \(training\); choose another --out"):
        runs.run(experiment(epochs=6), finished[0], [0])


def test_a_stored_summary_that_lacks_its_description_is_completed(finished):
    out, result = finished
    text = (out / "result.json").read_text()
    (out / "result.json").write_text(json.dumps({"seeds": result["seeds"], "date": "then"}))
    again = runs.run(experiment(), out, [0, 1])
    (out / "result.json").write_text(text)
    assert again["date"] == "then" and again["selected_on"] == "val"


def test_watching_the_test_split_changes_nothing(finished, tmp_path):
    """The best figure on the test split is recorded with its predictions, and selects nothing."""
    result = runs.run(experiment(), tmp_path, [0], watch_test=True)
    assert figures(result)[0] == figures(finished[1])[0]
    with open(tmp_path / "seed-0" / "log.csv") as file:
        reached = [float(row["test_segment_accuracy"]) for row in csv.DictReader(file) if row["test_segment_accuracy"]]
    assert len(reached) == 2
    best = result["seeds"][0]["best_on_test"]
    assert best == max(reached) >= result["seeds"][0]["test"]
    with np.load(tmp_path / "seed-0" / "best_on_test.npz") as file:
        assert best == segment_accuracy(file["labels"], file["predictions"])


def test_weak_training_is_chosen_by_segments(tmp_path):
    """Trained on video labels; validation and test measure the segments' scores."""
    splits = synthetic_splits()
    videos = dataclasses.replace(splits["train"], labels=splits["train"].labels[:, 0])
    settings = train.PAPER.settings_for("w_a")
    network = dataclasses.replace(settings.network, lstm_units=4, hidden_units=5)
    training = dataclasses.replace(settings.training, batch_size=3, epochs=4, validate_every=2)
    settings = dataclasses.replace(settings, network=network, training=training)
    weak = train.PAPER.experiment(settings, {**splits, "train": videos})
    result = runs.run(weak, tmp_path, [0])
    with np.load(tmp_path / "seed-0" / "predictions.npz") as file:
        assert result["test_mean"] == segment_accuracy(file["labels"], file["predictions"])
    model, _ = load_model(tmp_path / "seed-0" / "best.keras")
    again = runs.predict(model, splits["val"], output="segments")
    assert result["seeds"][0]["val"] == segment_accuracy(splits["val"].labels, again)
    assert (tmp_path / "seed-0" / "curves.png").exists()


def started(init_from, model="dmrn"):
    settings = train.PAPER.settings_for(model, init_from=init_from)
    network = dataclasses.replace(settings.network, attention_units=6, lstm_units=4, hidden_units=5)
    settings = dataclasses.replace(settings, network=network)
    return train.PAPER.experiment(settings, synthetic_splits())


@pytest.mark.parametrize("from_file", [True, False])
def test_a_model_starts_from_the_layers_of_another(finished, from_file):
    """From a file every seed takes that file, from a run's folder its own seed's."""
    out, _ = finished
    fresh = started(out / "seed-1" / "best.keras" if from_file else out)
    model = fresh.build()
    before = {weight.path: np.array(weight) for weight in model.weights}
    fresh.start(model, 1)
    source, _ = load_model(out / "seed-1" / "best.keras")
    given = {weight.path: np.array(weight) for weight in source.weights}
    for weight in model.weights:
        anew = weight.path.startswith("fusion") or weight.path == "L2/kernel"
        expected = before[weight.path] if anew else given[weight.path]
        np.testing.assert_array_equal(weight, expected, err_msg=weight.path)
    assert fresh.hash != started(None).hash


def test_a_start_that_does_not_fit_is_refused(finished, tmp_path):
    with pytest.raises(InputError, match="is neither a .keras file nor the folder of a run"):
        started(tmp_path / "nothing")
    other = train.PAPER.settings_for("ed_tcn", init_from=finished[0])
    other = train.PAPER.experiment(other, synthetic_splits())
    with pytest.raises(InputError, match="'av_att' and 'ed_tcn' have no layer in common"):
        other.start(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name="ed_tcn"), 0)
