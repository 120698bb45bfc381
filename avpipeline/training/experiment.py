"""One experiment: the model, the splits, the schedule, and how the result is scored."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from avpipeline.datasets.base import Split, Stream
from avpipeline.datasets.official import Data
from avpipeline.training.saved import ModelInfo
from avpipeline.training.settings import DeviceSettings, Select

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A model evaluated on a split.

    Attributes:
      score: the result that is reported.
      arrays: what is stored, by name; `score` can be recomputed from it.
      figures: further scores, for result.json.
    """

    score: float
    arrays: Mapping[str, np.ndarray]
    figures: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Splits:
    """The three splits of a dataset; `test` is evaluated once, with the weights selected on validation."""

    train: Split | Stream
    val: Split | Stream
    test: Split | Stream


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long a model is trained, how often it is validated, and which weights are selected.

    The papers' codes differ in all of these, so each is a setting of the paper. A training configuration that has a
    field of the same name sets it.

    Attributes:
      epochs, batch_size, shuffle: of the training split.
      validate_every: epochs between validations.
      first_validation: the epoch, from 1, of the first validation; from then on every `validate_every` epochs, and
        epochs after the last of these are trained but never validated. None: after `validate_every` epochs, and
        the last epoch is always validated.
      partial_batches: whether the last batch of an epoch is kept when it is not full.
      select: "best" validation score, or the "last" validated weights whatever their score.
      planned_epochs: epochs of the configuration; a smoke run has fewer `epochs`. None means `epochs`.
      patience: epochs without a better validation score after which training stops; None trains all epochs.
      min_improvement: by how much a validation score must exceed the best one to count as better.
    """

    epochs: int
    batch_size: int
    shuffle: bool
    validate_every: int
    first_validation: int | None = None
    partial_batches: bool = False
    select: Select = "best"
    planned_epochs: int | None = None
    patience: int | None = None
    min_improvement: float = 0.0

    @property
    def is_smoke(self) -> bool:
        """Whether training is shorter than the configuration says."""
        return self.epochs < (self.planned_epochs or self.epochs)

    @property
    def validated(self) -> list[int]:
        """The epochs, from 1, after which the model is validated."""
        if self.first_validation is not None:
            return list(range(min(self.first_validation, self.epochs), self.epochs + 1, self.validate_every))
        return [*range(self.validate_every, self.epochs, self.validate_every), self.epochs]

    def selects(self, score: float, best: float) -> bool:
        """Whether weights with the validation score `score` replace those selected so far, with the score `best`."""
        return self.select == "last" or score > best + self.min_improvement


@dataclasses.dataclass(frozen=True)
class Scoring:
    """How a model is scored on a split, during validation and at the end.

    Attributes:
      metric: name of the score, and of the compiled Keras metric that validation selects on.
      score: `(labels, predictions) -> float`; None where `measure` is given.
      measure: `(model, split) -> Outcome`, for splits whose predictions do not fit into memory; None: use `score`.
      trained_output: for a model with several outputs, the one that the training labels belong to. The labels of the
        validation split may then be of another kind, so `score` is used for validation.
      scored_output: for such a model, the output that is scored and stored.
      validate: `(labels, predictions) -> float`, the validation score where no compiled metric is one, because training
        batches have nothing to measure it on; Keras's own validation then gives the loss alone.
    """

    metric: str
    score: Callable[[np.ndarray, np.ndarray], float] | None = None
    measure: Callable[[keras.Model, Split | Stream], Outcome] | None = None
    trained_output: str | None = None
    scored_output: str | None = None
    validate: Callable[[np.ndarray, np.ndarray], float] | None = None


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is trained, on what data, and how the result is scored.

    Attributes:
      build: builds the compiled model; called after the seed is set.
      info: the description stored with every saved model.
      splits: what it is trained, validated and tested on.
      settings: every setting that affects the result, as JSON values; their hash names the configuration.
      schedule: epochs, batches and validations.
      scoring: the metric.
      start: `(model, seed)`, loads weights into a seed's fresh model; None trains from the initialisation.
      callbacks: creates a seed's further Keras callbacks, which run before the state is saved. A callback with state
        beyond the model's variables returns it as JSON values from `get_state()` and restores it in
        `set_state(values)`.
      reproduces: the rows of the paper, `(table, row)`, that this model reproduces; for the record.
      differences: setting -> its value and the preset's, where they differ.
      unlike: why this is no row of the paper, in words; empty where it may stand beside one.
      measured_on: the splits that are described as its data, where these are not `splits`.
      devices: what it is trained on.
      logger: where the curves are shown besides TensorBoard, "wandb" or "mlflow"; None for nowhere.
      is_mean_of_videos: whether the loss of a batch is the mean over its videos, so that devices can share it.
    """

    build: Callable[[], keras.Model]
    info: ModelInfo
    splits: Splits
    settings: Mapping
    schedule: Schedule
    scoring: Scoring
    start: Callable[[keras.Model, int], None] | None = None
    callbacks: Callable[[], Sequence[keras.callbacks.Callback]] = tuple
    reproduces: Sequence[tuple[str, str]] = ()
    differences: Mapping[str, tuple] = dataclasses.field(default_factory=dict)
    unlike: Sequence[str] = ()
    measured_on: Mapping[str, Split | Stream] | None = None
    devices: DeviceSettings = DeviceSettings()
    logger: str | None = None
    is_mean_of_videos: bool = True

    @property
    def data(self) -> Data:
        """The data that is read for the experiment."""
        return Data.of(self.measured_on or vars(self.splits), self.info.features)

    @property
    def hash(self) -> str:
        """Short hash of the configuration; equal settings have equal hashes."""
        return configuration_hash(self.settings)


def settings_of(info: ModelInfo, training) -> dict:
    """The `settings` of an experiment: what the model is, and `training`, a dataclass of its hyperparameters."""
    return {
        "paper": info.paper,
        "model": info.model,
        "preset": info.preset,
        "dataset": info.dataset,
        "network": info.config,
        "training": dataclasses.asdict(training),
        "features": {name: feature.to_json() for name, feature in info.features.items()},
    }


def configuration_hash(settings: Mapping) -> str:
    """The hash of an experiment with these settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
