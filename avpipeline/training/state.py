"""The state of a training run, saved so that a killed run resumes and ends with the result of an uninterrupted one."""

import dataclasses
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from avpipeline.cli.progress import ProgressBar
from avpipeline.errors import TrainingDiverged
from avpipeline.files import Unusable, atomic_path, open_regular, reading, write_csv
from avpipeline.training.experiment import Schedule
from avpipeline.training.steps import FiniteSteps


@dataclasses.dataclass
class Progress:
    """How far a training run has got.

    Attributes:
      epoch: finished epochs.
      best_score, best_epoch: validation score of the weights selected so far, and their epoch (from 1).
      history: one dict per epoch: "epoch", losses and metrics, and those of validation if it took place.
      callbacks: the state of each callback that has one.
    """

    epoch: int = 0
    best_score: float = -math.inf
    best_epoch: int = 0
    history: list[dict] = dataclasses.field(default_factory=list)
    callbacks: list[dict] = dataclasses.field(default_factory=list)

    def is_stopped(self, patience: int | None) -> bool:
        """Whether `patience` epochs have passed since the selected one."""
        return patience is not None and self.epoch - self.best_epoch >= patience


class KeepState(keras.callbacks.Callback):
    """Saves the selected weights and, at each validation, everything that is needed to resume.

    The state comprises every variable of the model (weights, moving statistics, random seeds) and of the optimizer
    (moments, step counts, learning rate), and the state of other callbacks. Batches are a function of seed and epoch,
    so nothing else is needed. Also writes log.csv beside the state, and shows a progress bar.

    Args:
      path: the state file (.npz); None follows the progress and writes nothing, as a worker that is not the chief does.
      progress: how far the run has got; updated in place.
      metric: the name in the epoch's logs to select on; higher is better, and the first of equal scores is kept.
      schedule: decides which weights are selected, and when training stops.
      save_best: saves the current weights.
      others: the callbacks whose state is saved too, if they have one.
      finite_steps: counts the epoch's steps of finite loss, where `fit` takes several in one call.
    """

    def __init__(
        self,
        path: Path | None,
        progress: Progress,
        *,
        metric: str,
        schedule: Schedule,
        save_best: Callable[[], object],
        others: Sequence[keras.callbacks.Callback] = (),
        finite_steps: FiniteSteps | None = None,
    ):
        super().__init__()
        self.path, self.progress, self.metric, self.schedule = path, progress, metric, schedule
        self.save_best, self.others, self.finite_steps = save_best, others, finite_steps
        self._bar, self._epoch = None, 0

    def on_train_begin(self, logs=None):
        total, done = (epochs * self.params["steps"] for epochs in (self.params["epochs"], self.progress.epoch))
        self._bar = ProgressBar(total=total, initial=done, unit="step", desc="training", disable=self.path is None)

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch + 1
        if self.finite_steps:
            self.finite_steps.restart()

    def on_train_batch_end(self, batch, logs=None):
        # This is the mean over the epoch so far: once a step's loss is not finite, neither is the mean.
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            best = self.progress.best_epoch
            kept = f"the weights of epoch {best} are kept in best.keras" if best else "no weights were selected before"
            folder = f"{self.path.parent}: " if self.path else ""
            finite = batch if self.finite_steps is None else int(self.finite_steps)
            raise TrainingDiverged(
                f"{folder}the loss became {loss} in epoch {self._epoch}, step {finite + 1}; {kept}; "
                "lower --learning-rate and check the features with python -m avpipeline.validate."
            )
        # An epoch's last step counts once the epoch is validated.
        if self._bar.n + self.model.steps_per_execution < self._epoch * self.params["steps"]:
            self._bar.update(self.model.steps_per_execution)

    def on_epoch_end(self, epoch, logs=None):
        logs = {name: float(value) for name, value in (logs or {}).items()}
        progress = self.progress
        progress.epoch = epoch + 1
        progress.history.append({"epoch": epoch + 1, **logs})
        shown = {name: f"{logs[name]:.4f}" for name in ("loss", self.metric) if name in logs}
        self._bar.set_postfix({"epoch": progress.epoch, **shown}, refresh=False)
        self._bar.update(progress.epoch * self.params["steps"] - self._bar.n)
        if self.metric not in logs:
            return
        if self.schedule.selects(logs[self.metric], progress.best_score):
            progress.best_score, progress.best_epoch = logs[self.metric], epoch + 1
            if self.path:
                self.save_best()
        # The best weights first: after a kill in between, the same epochs are trained again, with the same best one.
        progress.callbacks = [callback.get_state() for callback in _stateful(self.others)]
        if self.path:
            save_state(self.model, progress, self.path)
            write_log(progress, self.path.with_name("log.csv"))
        if progress.is_stopped(self.schedule.patience):
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        self._bar.close()


class Scores(keras.callbacks.Callback):
    """Adds scores to the logs of some epochs; must come before the callbacks that read them.

    Args:
      measure: model -> the scores by name.
      epochs: after which epochs, from 1.
    """

    def __init__(self, measure: Callable[[keras.Model], Mapping[str, float]], epochs: Collection[int]):
        super().__init__()
        self.measure, self.epochs = measure, epochs

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 in self.epochs:
            logs.update(self.measure(self.model))


def write_log(progress: Progress, path) -> None:
    """Writes the history as CSV, one line an epoch."""
    write_csv(path, pd.DataFrame(progress.history))


def _stateful(callbacks: Sequence[keras.callbacks.Callback]) -> list[keras.callbacks.Callback]:
    return [callback for callback in callbacks if hasattr(callback, "get_state")]


def _variables(model: keras.Model) -> list[keras.Variable]:
    return [*model.variables, *model.optimizer.variables]


def save_state(model: keras.Model, progress: Progress, path) -> None:
    """Writes all variables of the model and its optimizer, and the progress, to an .npz file."""
    arrays = {f"variable_{index}": np.asarray(variable) for index, variable in enumerate(_variables(model))}
    with atomic_path(path) as temporary:
        np.savez(temporary, progress=json.dumps(dataclasses.asdict(progress)), **arrays)


def restore_state(model: keras.Model, path, callbacks: Sequence[keras.callbacks.Callback] = ()) -> Progress:
    """Restores a saved state into a compiled, built model and the callbacks; a fresh Progress if there is no state.

    Raises:
      InputError: the file is damaged or belongs to another model or schedule.
    """
    path = Path(path)
    if not path.exists():
        return Progress()
    variables, stateful = _variables(model), _stateful(callbacks)
    remedy = "remove it to train this seed anew"
    with reading(path, "the saved state is damaged", remedy):
        with open_regular(path) as content, np.load(content, allow_pickle=False) as file:
            arrays = [file[f"variable_{index}"] for index in range(len(file.files) - 1)]
            progress = Progress(**json.loads(str(file["progress"])))
        if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
            raise Unusable(f"the saved state is of another model; {remedy}.")
        if len(progress.callbacks) != len(stateful):
            raise Unusable(f"the saved state is of another schedule; {remedy}.")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    for callback, values in zip(stateful, progress.callbacks, strict=True):
        callback.set_state(values)
    return progress
