"""The runs behind the tables: settings of the tables command, and one finished run for each model."""

import dataclasses
from pathlib import Path
from typing import Literal

from ave import match, train
from ave.config import PRESETS
from ave.rows import ROWS
from avpipeline import runs

# Rows of cross-modality localization are trained by a command of their own.
TABLES = tuple(dict.fromkeys(table for table, _ in (*ROWS, *match.ROWS)))
PER_CLASS = "Supplement Table 1"
# The authors started DMRN from a trained A+V-att; the row's run starts from the run of this model, seed by seed.
STARTS_FROM = {"dmrn": "av_att", "dmrfe": "av_att"}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a tables command."""

    table: Literal[(*TABLES, PER_CLASS, "all")] = "all"
    """Which table of the paper."""
    rows: tuple[str, ...] = ()
    """Which of its rows, by the names printed. [default: all]"""
    preset: Literal[PRESETS] = "code"
    """What the authors' code does, or what the paper says where they differ."""
    dataset: Literal["rendered", "ave"] | None = None
    """What to train and measure on. [default: "ave" with --data, else "rendered"]"""
    data: Path | None = None
    """Folder with the dataset's official files."""
    noisy: bool = True
    """Weak models: the background videos without an event are joined to the training videos."""
    seeds: int = 1
    """How many seeds to train for each row, counted up from --seed."""
    seed: int = 0
    """The first seed."""
    epochs: int | None = None
    """Epochs of every row instead of its own number; a row trained for fewer is marked "smoke"."""
    out: Path | None = None
    """Folder of the tables and all runs; the same command goes on where it was cut off.
    [default: runs/ave/tables/DATASET-PRESET]"""

    @property
    def chosen_dataset(self) -> str:
        return self.dataset or ("ave" if self.data else "rendered")

    @property
    def folder(self) -> Path:
        return self.out or Path("runs") / "ave" / "tables" / f"{self.chosen_dataset}-{self.preset}"


@dataclasses.dataclass(frozen=True)
class Trained:
    """A model's finished runs.

    Attributes:
      settings: the training command's.
      result: what result.json holds.
      folder: of the runs.
      data: what was measured on, and whether the training was a smoke run.
      class_names: in the order of the predictions.
      smoke: trained for fewer epochs than the configuration has.
    """

    settings: train.Settings
    result: dict
    folder: Path
    data: str
    class_names: tuple[str, ...]
    smoke: bool

    @property
    def predictions(self) -> tuple[Path, ...]:
        """For each seed the file that the figure is computed from."""
        return tuple(self.folder / f"seed-{seed['seed']}" / "predictions.npz" for seed in self.result["seeds"])


def train_model(settings: Settings, model: str) -> Trained:
    """Trains one model over the seeds, or goes on with it, or finds it finished."""
    own = run_settings(settings, model)
    experiment = dataclasses.replace(train.experiment(own), watch_test=True)
    folder = run_folder(settings, model)
    result = runs.run(experiment, folder, range(settings.seed, settings.seed + settings.seeds))
    smoke = own.training.epochs < train.planned_epochs(own)
    data = train.measured_on(own, experiment.test)
    return Trained(own, result, folder, data, experiment.info.class_names, smoke)


def train_match(settings: Settings, row: str) -> match.TrainedRow:
    """Trains one row of Table 3, or goes on with it, or finds it finished; its model's other row is then too."""
    model, _ = match.ROWS["Table 3", row]
    where = {"data": settings.data, "out": run_folder(settings, model)}
    own = match.settings_for(model, settings.chosen_dataset, seeds=settings.seeds, seed=settings.seed, **where)
    if settings.epochs is not None:
        own = dataclasses.replace(own, training=dataclasses.replace(own.training, epochs=settings.epochs))
    return match.train_row(row, own)


def run_settings(settings: Settings, model: str) -> train.Settings:
    """The training command's settings for one model; what it starts from is trained first."""
    where = {"data": settings.data, "noisy": settings.noisy}
    own = train.settings_for(model, settings.preset, settings.chosen_dataset, **where)
    if settings.epochs is not None:
        own = dataclasses.replace(own, training=dataclasses.replace(own.training, epochs=settings.epochs))
    if model in STARTS_FROM:
        first = STARTS_FROM[model]
        print(f"{model} starts from {first}", flush=True)
        own = dataclasses.replace(own, init_from=train_model(settings, first).folder)
    return own


def run_folder(settings: Settings, model: str) -> Path:
    """Where a model's run lies; runs of another length do not get in its way."""
    length = "" if settings.epochs is None else f"-{settings.epochs}-epochs"
    return settings.folder / f"{model}{length}"
