"""One experiment: what is trained, on which splits, with which schedule, and how its result is scored."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from avpipeline.datasets.base import Split, Stream
from avpipeline.training.saved import ModelInfo


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A model measured on a split.

    Attributes:
      score: the result that is reported.
      arrays: what is stored, by name; `score` can be computed from it again.
      figures: further scores, for result.json.
    """

    score: float
    arrays: Mapping[str, np.ndarray]
    figures: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Splits:
    """The three splits of a dataset; `test` gives the result once, with the weights that validation chose."""

    train: Split | Stream
    val: Split | Stream
    test: Split | Stream


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long a model is trained and how often it is validated; the last partial batch is left out.

    Attributes:
      epochs, batch_size, shuffle: of the training split.
      validate_every: epochs between validations; the last epoch is always validated.
      planned_epochs: of the configuration, where `epochs` may be fewer for a smoke run; None is `epochs`.
      patience: epochs without a better validation after which the training ends; None trains all epochs.
      min_improvement: by how much a validation must exceed the best one to be better.
    """

    epochs: int
    batch_size: int
    shuffle: bool
    validate_every: int
    planned_epochs: int | None = None
    patience: int | None = None
    min_improvement: float = 0.0

    @property
    def is_smoke(self) -> bool:
        """Whether fewer epochs are trained than the configuration has."""
        return self.epochs < (self.planned_epochs or self.epochs)

    @property
    def validated(self) -> list[int]:
        """The epochs, from 1, after which the model is validated."""
        return [*range(self.validate_every, self.epochs, self.validate_every), self.epochs]


@dataclasses.dataclass(frozen=True)
class Scoring:
    """How a model is scored on a split, in validation and in the end.

    Attributes:
      metric: name of the score, and of the compiled Keras metric that validation selects on.
      score: `(labels, predictions) -> float`; None where `measure` gives it.
      measure: `(model, split) -> Outcome`, for a split whose predictions cannot all be kept; None: `score` of them.
      trained_output: of a model with several outputs, the one that the labels of the training split are for.
        Validation's labels may then be of another kind, and `score` measures it.
      scored_output: of such a model, the output that `score` takes and that is stored.
    """

    metric: str
    score: Callable[[np.ndarray, np.ndarray], float] | None = None
    measure: Callable[[keras.Model, Split | Stream], Outcome] | None = None
    trained_output: str | None = None
    scored_output: str | None = None


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is trained, on what, and how its result is scored.

    Attributes:
      build: builds the compiled model; called after the seed is set.
      info: what every saved model says about itself.
      splits: what it is trained, validated and tested on.
      settings: every setting that decides the numbers, as JSON values; their hash names the configuration.
      schedule: epochs, batches and validations.
      scoring: the metric.
      start: puts weights into a seed's fresh model, `(model, seed)`; None trains from the initialisation.
      callbacks: gives a seed's further Keras callbacks, called before the state is saved. What one keeps beside the
        model's variables it hands out as JSON values by `get_state()` and takes back by `set_state(values)`.
      reproduces: the rows of the paper, `(table, row)`, that this model is; for the record.
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

    @property
    def hash(self) -> str:
        """Short hash of the configuration: equal settings, equal hash."""
        return configuration_hash(self.settings)


def settings_of(info: ModelInfo, training) -> dict:
    """The `settings` of an experiment, which decide its numbers.

    Args:
      info: what the model is.
      training: its recipe, a dataclass.
    """
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
