"""A paper as the commands see it; a paper's `train.py` has its subclass of `Paper`."""

from __future__ import annotations

import abc
import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from avpipeline.cli import check_ranges, chosen
from avpipeline.cli.options_file import options_to_write
from avpipeline.datasets.base import Split, Stream
from avpipeline.features.info import FeatureInfo
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
    def unlike(self) -> Sequence[str]:
        """Why this is no row of the paper; empty where it may stand beside one."""
        return self.experiment.unlike

    @property
    def scores(self) -> tuple[float, ...]:
        """Each seed's score on the test split, in percent."""
        return tuple(100 * seed["test"] for seed in self.result["seeds"])


class Paper(abc.ABC):
    """A paper's models, rows and experiments: what commands need to know about it, with everything the papers share.

    Attributes:
      name: of its package.
      config: its configuration, a module with `model_config`, `train_config`, `PRESETS`, `RENDERED_MODEL`,
        `RENDERED_TRAINING` and `ROWS`, (table, row) -> model; `OWN`, if its models can be added to.
      settings: the class of its training command's settings.
      further_settings: fields of the settings beside network and training that a preset decides.
      data_default: the dataset with --data but no --dataset; without --data it is "rendered".
      output_name: what a model's only output is called where it is exported.
      features: modality -> the features of every row of the paper; empty where they are not compared.
    """

    name: ClassVar[str]
    config: ClassVar[ModuleType]
    settings: ClassVar[type]
    further_settings: ClassVar[tuple[str, ...]] = ()
    data_default: ClassVar[str] = "ave"
    output_name: ClassVar[str] = "probabilities"
    features: ClassVar[Mapping[str, FeatureInfo]] = MappingProxyType({})

    @abc.abstractmethod
    def experiment(self, settings, splits: Mapping[str, Split | Stream] | None = None) -> Experiment:
        """The experiment that `settings` describe, on its dataset or on given splits "train", "val" and "test".

        Raises:
          InputError: the data is missing or does not fit, or a setting is invalid.
        """

    @staticmethod  # noqa: B027
    def draw_example(trained: Trained) -> None:
        """Applies the first seed's model to one test video and draws it, in the run's folder "example"; optional."""

    def command(self, function: Callable) -> Callable:
        """The `main` of a command that all papers have: `function(paper, settings)` for this paper.

        In the docstring of `function`, which is the command's help, PAPER and RUN stand for this paper and a run of it.
        """

        def main(settings):
            return function(self, settings)

        main.__annotations__ = {"settings": typing.get_type_hints(function)["settings"]}
        main.__doc__ = function.__doc__.replace("PAPER", self.name).replace("RUN", str(self.settings().folder))
        return main

    def data_in_words(self, experiment: Experiment) -> str:
        """A description of the data, shown beside its results."""
        return experiment.data.in_words()

    @staticmethod
    def example_inputs(model: keras.Model, videos: int) -> dict[str, np.ndarray]:
        """Random inputs of a model, by name: `(videos, ...)` each."""
        random = np.random.default_rng(0)
        return {
            name: random.standard_normal((videos, *tensor.shape[1:])).astype(np.float32)
            for name, tensor in model.input.items()
        }

    def features_of(self, model: str) -> Mapping[str, FeatureInfo]:
        """Modality -> the features of the model's row."""
        return self.features

    def default_settings(self, settings):
        """The settings of the same model, preset and dataset with nothing changed."""
        return self.settings_for(settings.model, settings.preset, settings.dataset)

    def differences(self, settings) -> dict[str, tuple]:
        """Setting -> its value and the preset's, where they differ; on synthetic clips the preset's sizes for these."""
        preset = self.default_settings(settings)
        found = {name: (getattr(settings, name), getattr(preset, name)) for name in self.further_settings}
        for part in ("network", "training"):
            mine, planned = vars(getattr(settings, part)), vars(getattr(preset, part))
            found |= {name: (mine[name], planned.get(name)) for name in mine}
        return {name: pair for name, pair in found.items() if pair[0] != pair[1]}

    def unlike(self, settings, experiment: Experiment) -> tuple[str, ...]:
        """Why an experiment is no row of the paper: other data, other features, settings that are not the preset's."""
        data, given = experiment.data, experiment.info.features
        own = f"'{settings.model}' is a model of your own" if settings.model in self.own_models else None
        reasons = [own, data.why_not_official()]
        if not data.is_synthetic:
            needed = self.features_of(settings.model)
            reasons += [
                f"{name} features are {given[name].named}, the paper's {info.named}"
                for name, info in needed.items()
                if name in given and info.difference(given[name])
            ]
        changed = (f"{name} {mine} instead of {planned}" for name, (mine, planned) in experiment.differences.items())
        return tuple(filter(None, (*reasons, *changed)))

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
            found = self.settings_for(first["model"], first["preset"], dataset)
            check_ranges(found)
            return found
        except ValueError:
            # An unknown name is left to the parser, which lists the valid ones.
            return unchanged

    def options(self, settings) -> dict[str, object]:
        """The options of the training command that give `settings`."""
        return options_to_write(settings, self.default_settings(settings))

    def rows_of(self, model: str) -> list[tuple[str, str]]:
        """The rows (table, row) that `model` reproduces, in the paper's order."""
        return [place for place, name in self.config.ROWS.items() if name == model]

    def model_of(self, table: str, row: str) -> str:
        """The model that a row reproduces; the row of a user-defined model has the model's name."""
        return row if row in self.own_models else self.config.ROWS[table, row]

    @property
    def own_models(self) -> tuple[str, ...]:
        """The models that a user's own file has added."""
        return self.config.OWN.registered if hasattr(self.config, "OWN") else ()

    def announce(self, settings) -> None:
        """Before training on synthetic clips, prints which settings differ from the published ones."""
        if settings.dataset == "rendered":
            self.tell_rendered(settings, (*self.config.RENDERED_MODEL, *self.config.RENDERED_TRAINING))

    def tell_rendered(self, settings, changed: Sequence[str]) -> None:
        """Prints the values of `changed`, names of network and training settings."""
        values = {**vars(settings.network), **vars(settings.training)}
        sizes = ", ".join(f"{name} {values[name]}" for name in changed)
        print(f"On synthetic clips (dataset rendered); instead of the published sizes: {sizes}")

    def info(self, settings, network, train: Split | Stream, modalities: Sequence[str], **changes) -> ModelInfo:
        """The description saved with a model of the configuration `network` that takes `modalities` of `train`."""
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
        training, devices = settings.training, settings.devices
        # Runs of the default precision keep the configuration that they had before there was a choice.
        rounded = {"precision": devices.precision} if devices.precision else {}
        planned = {field.name: getattr(training, field.name, field.default) for field in dataclasses.fields(Schedule)}
        planned["planned_epochs"] = self.default_settings(settings).training.epochs
        chosen, differences = Schedule(**{**planned, **(schedule or {})}), self.differences(settings)
        count, batch = len(splits["train"]), chosen.batch_size
        if count < batch and not chosen.partial_batches:
            tell_small_batch(count, batch)
            chosen = dataclasses.replace(chosen, batch_size=count)
            differences["batch_size"] = (count, differences.get("batch_size", (batch, batch))[1])
        experiment = Experiment(
            build=build,
            info=info,
            splits=Splits(**splits),
            settings={**settings_of(info, training), **(identity or {}), **rounded},
            schedule=chosen,
            scoring=scoring,
            devices=devices,
            logger=settings.logger,
            differences=differences,
            **more,
        )
        data = experiment.data
        known = {} if data.is_synthetic or data.is_official else {"info": dataclasses.replace(info, data=data.name)}
        unlike = self.unlike(settings, experiment)
        rows = () if unlike else self.rows_of(settings.model)
        return dataclasses.replace(experiment, unlike=unlike, reproduces=rows, **known)

    def train(self, settings, splits=None, *, watch_test: bool = False) -> Trained:
        """Trains all seeds; resumes unfinished runs and reuses finished ones.

        Args:
          splits: as for `experiment`.
          watch_test: also record the best score on the test split at any validation.
        """
        from avpipeline.training import runs

        experiment = self.experiment(settings, splits)
        more = {"watch_test": watch_test, "options": self.options(settings)}
        result = runs.run(experiment, settings.folder, settings.all_seeds, **more)
        return self.finished(settings, experiment, result, (settings.folder,))

    def finished(self, settings, experiment: Experiment, result: Mapping, folders: tuple[Path, ...]) -> Trained:
        """The finished runs in `folders`."""
        schedule, data = experiment.schedule, self.data_in_words(experiment)
        if schedule.is_smoke:
            data = f"{data} (smoke: {schedule.epochs} of {schedule.planned_epochs} epochs)"
        return Trained(settings, experiment, result, data, folders)


def tell_small_batch(count: int, batch: int, further: str = "") -> None:
    """Prints that the training clips are fewer than the configured batch, and are one."""
    print(f"{count} training clips do not fill a batch of {batch}: the batch is {count}{further}.", flush=True)
