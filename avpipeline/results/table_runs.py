"""What the tables commands of all papers share: their settings, and the finished runs that a row is read off."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from avpipeline.results import papers, tables
from avpipeline.training import runs


@dataclasses.dataclass(frozen=True)
class TableSettings:
    """Settings of a tables command; a paper's has its name, its choices and what it adds."""

    paper: ClassVar[str]

    table: str = "all"
    """Which table of the paper."""
    rows: tuple[str, ...] = ()
    """Which of its rows, by the names printed. [default: all]"""
    preset: str = "code"
    """What the authors' code does, or what the paper says where they differ."""
    seeds: int = 1
    """How many seeds to train for each row, counted up from --seed."""
    seed: int = 0
    """The first seed."""
    epochs: int | None = None
    """Epochs of every row instead of its own number; a row trained for fewer is marked "smoke"."""
    out: Path | None = None
    """Folder of the tables and all runs; the same command goes on where it was cut off.
    [default: runs/PAPER/tables/DATASET-PRESET]"""

    @property
    def chosen_dataset(self) -> str:
        """What is trained and measured on."""
        raise NotImplementedError

    @property
    def folder(self) -> Path:
        return self.out or Path("runs") / self.paper / "tables" / f"{self.chosen_dataset}-{self.preset}"

    @property
    def all_seeds(self) -> range:
        return range(self.seed, self.seed + self.seeds)

    def run_folder(self, name: str) -> Path:
        """Where a model's runs lie; runs of another length do not get in their way."""
        return self.folder / (name if self.epochs is None else f"{name}-{self.epochs}-epochs")

    def shortened(self, own):
        """A training command's settings with the epochs that the tables command asks for."""
        if self.epochs is None:
            return own
        return dataclasses.replace(own, training=dataclasses.replace(own.training, epochs=self.epochs))


@dataclasses.dataclass(frozen=True)
class Trained:
    """A model's finished runs.

    Attributes:
      settings: the training command's.
      result: what result.json holds.
      folder: of the runs.
      data: what was measured on, and whether the training was a smoke run.
      smoke: trained for fewer epochs than the configuration has.
      class_names: in the order of the predictions.
    """

    settings: Any
    result: Mapping
    folder: Path
    data: str
    smoke: bool
    class_names: tuple[str, ...]

    @property
    def predictions(self) -> tuple[Path, ...]:
        """For each seed the file that the figures are computed from."""
        return tables.predictions_of(self.result, self.folder)

    def line(self, figure: papers.Figure, note: str = "") -> tables.Line:
        """The line of a figure in percent."""
        return tables.line_of(figure, self.result, self.folder, data=self.data, smoke=self.smoke, note=note)


def train(command: ModuleType, own, experiment: runs.Experiment, folder: Path, seeds: range) -> Trained:
    """Trains over the seeds, or goes on, or finds it finished.

    Args:
      command: module of the training command, e.g. `ave.train`.
      own: its settings.
      experiment: what they describe.
    """
    return finished(command, own, experiment, runs.run(experiment, folder, seeds), folder)


def finished(command: ModuleType, own, experiment: runs.Experiment, result: Mapping, folder: Path) -> Trained:
    """The same where `result` is there already."""
    smoke = own.training.epochs < command.planned_epochs(own)
    data = command.measured_on(own, experiment.test)
    return Trained(own, result, folder, data, smoke, experiment.info.class_names)
