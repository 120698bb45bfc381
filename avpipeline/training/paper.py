"""A paper as the commands see it: what train and tables need to know about it, with everything the papers share.

A paper's `train.py` has its subclass of `Paper`, which supplies the configuration (`config.py`, with the rows of the
tables), the class of its settings, its experiment and how it draws an example.
"""

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from avpipeline.cli import chosen
from avpipeline.datasets.ave import TEST_VIDEOS
from avpipeline.datasets.base import Split, Stream
from avpipeline.training import runs
from avpipeline.training.experiment import Experiment, Schedule, Scoring, Splits, settings_of
from avpipeline.training.saved import ModelInfo

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True)
class Trained:
    """The finished runs of a model.

    Attributes:
      settings: those of the training command.
      experiment: the experiment that they describe.
      result: the contents of result.json.
      data: what the result was measured on, in words, and whether training was a smoke run.
      folders: of the runs; several where a result is a mean over several official splits.
    """

    settings: Any
    experiment: Experiment
    result: Mapping
    data: str
    folders: tuple[Path, ...]

    @property
    def predictions(self) -> tuple[Path, ...]:
        """The files that the results are computed from, seed by seed."""
        seeds = [seed["seed"] for seed in self.result["seeds"]]
        return tuple(folder / f"seed-{seed}" / "predictions.npz" for seed in seeds for folder in self.folders)

    @property
    def weights(self) -> Path:
        """The saved model of the first seed."""
        return self.folders[0] / f"seed-{self.settings.seed}" / "best.keras"

    @property
    def scores(self) -> tuple[float, ...]:
        """Each seed's score on the test split, in percent."""
        return tuple(100 * seed["test"] for seed in self.result["seeds"])


class Paper(abc.ABC):
    """A paper's models, rows and experiments.

    Attributes:
      name: of its package.
      config: its configuration, a module with `model_config`, `train_config`, `PRESETS`, `RENDERED_MODEL`,
        `RENDERED_TRAINING` and `ROWS`, (table, row) -> model.
      settings: the class of its training command's settings.
      data_names: dataset -> its name beside a result; for synthetic clips ("rendered") their number is given.
      data_default: the dataset with --data but no --dataset; without --data it is "rendered".
      output_name: what a model's only output is called where it is exported.
    """

    name: ClassVar[str]
    config: ClassVar[ModuleType]
    settings: ClassVar[type]
    data_names: ClassVar[Mapping[str, str]]
    data_default: ClassVar[str] = "ave"
    output_name: ClassVar[str] = "probabilities"

    @abc.abstractmethod
    def experiment(self, settings, splits: Mapping[str, Split | Stream] | None = None) -> Experiment:
        """The experiment that `settings` describe, on its dataset or on given splits "train", "val" and "test".

        Raises:
          InputError: the data is missing or does not fit, or a setting is invalid.
        """

    @staticmethod  # noqa: B027
    def draw_example(trained: Trained) -> None:
        """Applies the first seed's model to one test video and draws it, in the run's folder "example"; optional."""

    @staticmethod
    def example_inputs(model: "keras.Model", videos: int) -> dict[str, np.ndarray]:
        """Random inputs of a model, by name: `(videos, ...)` each."""
        random = np.random.default_rng(0)
        return {
            name: random.standard_normal((videos, *tensor.shape[1:])).astype(np.float32)
            for name, tensor in model.input.items()
        }

    def data_in_words(self, settings, test: Split | Stream) -> str:
        """A description of this test split, shown beside its results."""
        if settings.dataset == "rendered":
            return f"synthetic clips, {len(test)} in the test split"
        if self.is_own(settings, test):
            return f"your own clips, {len(test)} in the test split"
        return self.data_names[settings.dataset]

    @staticmethod
    def is_own(settings, test: Split | Stream) -> bool:
        """Whether these are other clips than AVE's, in the form of its files: no paper has a result on them."""
        return settings.dataset == "ave" and len(test) != TEST_VIDEOS

    def settings_for(self, model: str, preset: str | None = None, dataset: str = "rendered", **changes):
        """Default settings for a model, preset (None: the paper's first) and dataset; `changes` replaces fields.

        Raises:
          ValueError: unknown model or preset.
        """
        preset = preset or self.config.PRESETS[0]
        rendered = dataset == "rendered"
        network = self.config.model_config(model, preset, **(self.config.RENDERED_MODEL if rendered else {}))
        training = self.config.train_config(preset, model, **(self.config.RENDERED_TRAINING if rendered else {}))
        own = {**self.read_from(dataset), "network": network, "training": training}
        return self.settings(model=model, preset=preset, **{**own, **changes})

    def read_from(self, dataset: str) -> dict:
        """The fields of the settings that select a dataset."""
        return {"dataset": dataset}

    def defaults(self, argv: Sequence[str]):
        """Default settings for the model, preset and dataset on a command line, which its other flags then change."""
        unchanged = self.settings()
        first = chosen(argv, model=unchanged.model, preset=unchanged.preset, dataset=None, data=None)
        dataset = first["dataset"] or (self.data_default if first["data"] else "rendered")
        try:
            return self.settings_for(first["model"], first["preset"], dataset)
        except ValueError:
            # An unknown name is left to the parser, which lists the valid ones.
            return unchanged

    def rows_of(self, model: str) -> list[tuple[str, str]]:
        """The rows (table, row) that `model` reproduces, in the paper's order."""
        return [place for place, name in self.config.ROWS.items() if name == model]

    def planned_epochs(self, settings) -> int:
        """Number of epochs in the configuration; a shorter run is a smoke run."""
        return self.settings_for(settings.model, settings.preset, settings.dataset).training.epochs

    def announce(self, settings) -> None:
        """Before training on synthetic clips, prints which settings differ from the published ones."""
        if settings.dataset == "rendered":
            self.tell_rendered(settings, (*self.config.RENDERED_MODEL, *self.config.RENDERED_TRAINING))

    def tell_rendered(self, settings, changed: Sequence[str]) -> None:
        """Prints the values of `changed`, names of network and training settings."""
        values = {**vars(settings.network), **vars(settings.training)}
        sizes = ", ".join(f"{name} {values[name]}" for name in changed)
        print(f"On synthetic clips (dataset rendered); instead of the published sizes: {sizes}")

    def info(
        self, settings, network, train: Split | Stream, modalities: Sequence[str], **changes
    ) -> ModelInfo:
        """The description that is saved with a model trained on `train`.

        Args:
          network: its configuration, a dataclass.
          modalities: its inputs.
          changes: fields to replace.
        """
        own = {
            "paper": self.name,
            "model": settings.model,
            "preset": settings.preset,
            "class_names": train.class_names,
            "features": {name: train.features[name] for name in modalities},
            "dataset": settings.dataset,
            "config": dataclasses.asdict(network),
        }
        return ModelInfo(**{**own, **changes})

    def assemble(
        self,
        settings,
        splits: Mapping[str, Split | Stream],
        build: Callable,
        info: ModelInfo,
        scoring: Scoring,
        *,
        identity: Mapping | None = None,
        schedule: Mapping | None = None,
        **more,
    ) -> Experiment:
        """The experiment, with everything that follows from the settings filled in.

        Args:
          build: builds the compiled model.
          info: the description saved with the model.
          identity: what else affects the result beside `info` and the training settings, JSON values.
          schedule: fields of the schedule that differ from the training settings of the same name.
          more: further fields of the experiment.
        """
        training = settings.training
        planned = {field.name: getattr(training, field.name, field.default) for field in dataclasses.fields(Schedule)}
        planned["planned_epochs"] = self.planned_epochs(settings)
        return Experiment(
            build=build,
            info=info,
            splits=Splits(**splits),
            settings={**settings_of(info, training), **(identity or {})},
            schedule=Schedule(**{**planned, **(schedule or {})}),
            scoring=scoring,
            reproduces=self.rows_of(settings.model),
            **more,
        )

    def train(self, settings, splits=None, *, watch_test: bool = False) -> Trained:
        """Trains all seeds; resumes unfinished runs and reuses finished ones.

        Args:
          splits: as for `experiment`.
          watch_test: also record the best score on the test split at any validation.
        """
        experiment = self.experiment(settings, splits)
        result = runs.run(experiment, settings.folder, settings.all_seeds, watch_test=watch_test)
        return self.finished(settings, experiment, result, (settings.folder,))

    def finished(self, settings, experiment: Experiment, result: Mapping, folders: tuple[Path, ...]) -> Trained:
        """The finished runs in `folders`."""
        schedule, data = experiment.schedule, self.data_in_words(settings, experiment.splits.test)
        if schedule.is_smoke:
            data = f"{data} (smoke: {schedule.epochs} of {schedule.planned_epochs} epochs)"
        return Trained(settings, experiment, result, data, folders)
