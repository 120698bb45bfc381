"""Several steps in one call of TensorFlow: when, and that no number depends on it."""

import contextlib
import dataclasses

import keras
import numpy as np
import pytest

from avpipeline.errors import TrainingDiverged
from avpipeline.training import runs, steps
from tests.helpers.environment import with_a_gpu
from tests.helpers.small_runs import experiment, figures


class Calls(keras.callbacks.Callback):
    """Notes how many steps each training run takes in one call."""

    def __init__(self, found: list[int]):
        super().__init__()
        self.found = found

    def on_train_begin(self, logs=None):
        self.found.append(self.model.steps_per_execution)


class Follows(keras.callbacks.Callback):
    """Follows every step, so that each is a call of its own."""

    def on_train_batch_end(self, batch, logs=None):
        pass


def contents(out):
    """What a run leaves behind: every weight, the log and the predictions."""
    weights = [weight.numpy().tobytes() for weight in keras.models.load_model(out / "seed-0" / "best.keras").weights]
    with np.load(out / "seed-0" / "predictions.npz") as file:
        return weights, (out / "seed-0" / "log.csv").read_text(), file["predictions"].tobytes()


@pytest.mark.slow
def test_two_epochs_are_equal_to_the_byte(tmp_path):
    whole = dataclasses.replace(experiment(epochs=2).schedule, batch_size=2, validate_every=1)
    short, calls, results = dataclasses.replace(experiment(epochs=2), schedule=whole), [], []
    for name, others in (("one", [Follows()]), ("together", [])):
        watched = dataclasses.replace(short, callbacks=lambda others=others: [Calls(calls), *others])
        results.append((figures(runs.run(watched, tmp_path / name, [0])), contents(tmp_path / name)))
    assert calls == [1, 4]
    assert results[0] == results[1]


def test_divergence_names_the_step_within_a_call(tmp_path):
    """The third of four steps, all in one call, is the first with a loss that is not finite."""
    whole, calls = experiment(epochs=3), []

    def build():
        model = whole.build()
        step, taken = model.compute_loss, keras.Variable(0, trainable=False, dtype="int32")

        def failing(*arguments, **named):
            taken.assign_add(1)
            loss = step(*arguments, **named)
            return keras.ops.where(taken == 7, np.nan, loss)

        model.compute_loss = failing
        return model

    schedule = dataclasses.replace(whole.schedule, batch_size=2, validate_every=9)
    failing = dataclasses.replace(whole, build=build, schedule=schedule, callbacks=lambda: [Calls(calls)])
    with pytest.raises(TrainingDiverged, match="the loss became nan in epoch 2, step 3;"):
        runs.run(failing, tmp_path, [0])
    assert calls == [4]


@pytest.mark.parametrize(
    "operations, number, gpu, together",
    [(1e8, 52, False, 26), (1e8, 53, False, 1), (1e8, 8, False, 8), (1e9, 52, False, 1), (1e9, 52, True, 26)],
)
def test_short_steps_are_taken_together(operations, number, gpu, together):
    with with_a_gpu() if gpu else contextlib.nullcontext():
        assert steps._together(operations, number) == together


def test_a_callback_that_follows_steps_is_called_after_each():
    model = keras.Sequential([keras.Input((3, 4)), keras.layers.Dense(2)])
    assert steps.operations_of_a_step(model, 5) == 6 * 5 * 3 * (4 * 2 + 2)
    assert steps.take_together(model, 5, 4, [Follows()]) is None and model.steps_per_execution == 1
    assert steps.take_together(model, 5, 4, [keras.callbacks.Callback()]) and model.steps_per_execution == 4
