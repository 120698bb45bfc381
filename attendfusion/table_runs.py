"""The runs behind the tables: settings of the tables command, and one finished run for each network."""

import dataclasses
from pathlib import Path
from typing import Literal

from attendfusion import train
from attendfusion.config import PRESETS
from attendfusion.data import DataSettings
from attendfusion.rows import ROWS
from avpipeline import runs

TABLES = tuple(dict.fromkeys(table for table, _ in ROWS))


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a tables command."""

    params: bool = False
    """Print the exact number of parameters of all eighteen networks beside the paper's figures, and nothing else."""
    table: Literal[(*TABLES, "all")] = "all"
    """Which table of the paper."""
    rows: tuple[str, ...] = ()
    """Which of its rows, by the names printed. [default: all]"""
    preset: Literal[PRESETS] = "paper"
    """What the paper says; there is no public code."""
    width: int | None = None
    """Size of the fully connected layers in every row instead of the published 8000 and 2048; attention has half of it.
    [default: the published sizes, on the rendered test bed 256]"""
    epochs: int | None = None
    """Epochs of every row instead of its own number; a row trained for fewer is marked "smoke"."""
    batch_size: int | None = None
    """Videos a step instead of the default number."""
    seeds: int = 1
    """How many seeds to train for each row, counted up from --seed."""
    seed: int = 0
    """The first seed."""
    out: Path | None = None
    """Folder of the tables and all runs; the same command goes on where it was cut off.
    [default: runs/attendfusion/tables/DATASET-PRESET]"""
    records: DataSettings = DataSettings()

    @property
    def folder(self) -> Path:
        return self.out or Path("runs") / "attendfusion" / "tables" / f"{self.records.name}-{self.preset}"


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network's finished runs.

    Attributes:
      settings: the training command's.
      result: what result.json holds.
      folder: of the runs.
      data: what was measured on, and whether the training was a smoke run, in words.
      smoke: trained for fewer epochs than the configuration has.
    """

    settings: train.Settings
    result: dict
    folder: Path
    data: str
    smoke: bool


def train_model(settings: Settings, model: str) -> Trained:
    """Trains one network over the seeds, or goes on with it, or finds it finished."""
    own = run_settings(settings, model)
    experiment = train.experiment(own)
    folder = run_folder(settings, model)
    result = runs.run(experiment, folder, range(settings.seed, settings.seed + settings.seeds))
    smoke = own.training.epochs < train.planned_epochs(own)
    return Trained(own, result, folder, train.measured_on(own, experiment.test), smoke)


def run_settings(settings: Settings, model: str) -> train.Settings:
    """The training command's settings for one network."""
    own = train.settings_for(model, settings.preset, settings.records.name, records=settings.records)
    changes = {"epochs": settings.epochs, "batch_size": settings.batch_size}
    changes = {name: value for name, value in changes.items() if value is not None}
    network = {} if settings.width is None else {"width": settings.width}
    return dataclasses.replace(
        own,
        network=dataclasses.replace(own.network, **network),
        training=dataclasses.replace(own.training, **changes),
    )


def run_folder(settings: Settings, model: str) -> Path:
    """Where a network's run lies; runs of another length or width do not get in its way."""
    width = "" if settings.width is None else f"-width-{settings.width}"
    length = "" if settings.epochs is None else f"-{settings.epochs}-epochs"
    return settings.folder / f"{model}{width}{length}"
