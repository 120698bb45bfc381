"""The runs behind the tables: settings of the tables command, and one finished run for each model."""

import dataclasses
from pathlib import Path
from typing import Literal

import ave.train
from avpipeline import published, runs
from jca import train
from jca.config import PRESETS
from jca.rows import TABLES


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a tables command."""

    table: str = "all"
    """Which table of the paper; several with | between them ("Table 1|Table 2"), or all."""
    rows: tuple[str, ...] = ()
    """Which of its rows, by the names printed. [default: all]"""
    preset: Literal[PRESETS] = "code"
    """What the authors' code does, or what the paper says where they differ."""
    dataset: Literal["rendered", "ave"] | None = None
    """What to train and measure on. [default: "ave" with --data, else "rendered"]"""
    data: Path | None = None
    """Folder with the dataset's official files."""
    seeds: int = 1
    """How many seeds to train for each row, counted up from --seed."""
    seed: int = 0
    """The first seed."""
    epochs: int | None = None
    """Epochs of every row instead of its own number; a row trained for fewer is marked "smoke"."""
    out: Path | None = None
    """Folder of the tables and all runs; the same command goes on where it was cut off.
    [default: runs/jca/tables/DATASET-PRESET]"""

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables asked for, each once."""
        return TABLES if self.table == "all" else tuple(dict.fromkeys(name.strip() for name in self.table.split("|")))

    @property
    def name(self) -> str:
        """Of the files with the printed tables."""
        return self.tables[0] if len(self.tables) == 1 else "all"

    @property
    def chosen_dataset(self) -> str:
        return self.dataset or ("ave" if self.data else "rendered")

    @property
    def folder(self) -> Path:
        return self.out or Path("runs") / "jca" / "tables" / f"{self.chosen_dataset}-{self.preset}"


@dataclasses.dataclass(frozen=True)
class Trained:
    """A model's finished runs.

    Attributes:
      result: what result.json holds.
      folder: of the runs.
      data: what was measured on, and whether the training was a smoke run.
      smoke: trained for fewer epochs than the configuration has.
    """

    result: dict
    folder: Path
    data: str
    smoke: bool


def train_model(settings: Settings, model: str) -> Trained:
    """Trains one of the package's models over the seeds, or goes on with it, or finds it finished."""
    own = _shortened(settings, train.settings_for(model, settings.preset, settings.chosen_dataset, data=settings.data))
    return _train(settings, train, own, train.experiment(own), model)


def train_ave_model(settings: Settings, model: str, figure: published.Figure) -> Trained:
    """The same for a model of the AVE paper, which reproduces `figure` here."""
    own = ave.train.settings_for(model, settings.preset, settings.chosen_dataset, data=settings.data)
    own = _shortened(settings, own)
    experiment = dataclasses.replace(ave.train.experiment(own), reproduces=[(figure.table, figure.row)])
    return _train(settings, ave.train, own, experiment, f"ave-{model}")


def _train(settings: Settings, command, own, experiment: runs.Experiment, name: str) -> Trained:
    """Runs an experiment of `command`, the module of a training command whose settings `own` are."""
    # Runs of another length do not get in each other's way.
    folder = settings.folder / (name if settings.epochs is None else f"{name}-{settings.epochs}-epochs")
    experiment = dataclasses.replace(experiment, watch_test=True)
    result = runs.run(experiment, folder, range(settings.seed, settings.seed + settings.seeds))
    smoke = own.training.epochs < command.planned_epochs(own)
    return Trained(result, folder, command.measured_on(own, experiment.test), smoke)


def _shortened(settings: Settings, own):
    """A training command's settings with the epochs that the tables command asks for."""
    if settings.epochs is None:
        return own
    return dataclasses.replace(own, training=dataclasses.replace(own.training, epochs=settings.epochs))
