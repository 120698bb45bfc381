"""The runs behind the tables: settings of the tables command, and one finished run for each model and dataset."""

import dataclasses
from pathlib import Path
from typing import Literal

from avpipeline.datasets.base import Split
from eventlayers import train
from eventlayers.config import INPUTS, PRESETS
from eventlayers.data import DATASETS, RENDERED, require_source
from eventlayers.rows import TABLES


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a tables command."""

    table: Literal[(*TABLES, "all")] = "all"
    """Which table of the paper."""
    rows: tuple[str, ...] = ()
    """Which of its rows, by the names printed, on each dataset that has them. [default: all]"""
    preset: Literal[PRESETS] = "paper"
    """There is no public code, so there is only what the paper says."""
    dataset: Literal[tuple(name for name in DATASETS if name != "rendered_pairs")] = "rendered"
    """What to train and measure on. "rendered" stands in for every dataset of the tables, with two events a clip for
    LLP; with another one only the rows on that dataset are run."""
    data: Path | None = None
    """Folder with the dataset's official lists."""
    clips: Path | None = None
    """Folder with its video files, in it or below it. [default: --data]"""
    inputs: Literal[INPUTS] | None = None
    """Features of frozen backbones, or clips. [default: features on rendered data, else clips as in the paper]"""
    seeds: int = 1
    """How many seeds to train for each row, counted up from --seed."""
    seed: int = 0
    """The first seed."""
    epochs: int | None = None
    """Epochs of every row instead of its own number; a row trained for fewer is marked "smoke"."""
    out: Path | None = None
    """Folder of the tables and all runs; the same command goes on where it was cut off.
    [default: runs/eventlayers/tables/DATASET-PRESET]"""

    @property
    def chosen_inputs(self) -> str:
        return self.inputs or ("features" if self.dataset in RENDERED else "clips")

    @property
    def folder(self) -> Path:
        return self.out or Path("runs") / "eventlayers" / "tables" / f"{self.dataset}-{self.preset}"


@dataclasses.dataclass(frozen=True)
class Trained:
    """A model's finished runs on one dataset.

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

    @property
    def predictions(self) -> tuple[Path, ...]:
        """For each seed the file that the figures are computed from."""
        return tuple(self.folder / f"seed-{seed['seed']}" / "predictions.npz" for seed in self.result["seeds"])


class TableRuns:
    """Trains each model once on each dataset, however many rows are read off it."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self._trained: dict[tuple[str, str], Trained] = {}
        self._splits: dict[str, dict[str, Split]] = {}

    def trained(self, model: str, dataset: str) -> Trained:
        """The finished runs of a model; InputError where data or weights are missing."""
        if (model, dataset) not in self._trained:
            own = self.run_settings(model, dataset)
            require_source(own.source)
            experiment, result = train.train(own, self._splits_of(own), watch_test=True)
            smoke = own.training.epochs < train.planned_epochs(own)
            data = train.measured_on(own, experiment.test)
            self._trained[model, dataset] = Trained(result, own.folder, data, smoke)
        return self._trained[model, dataset]

    def run_settings(self, model: str, dataset: str) -> train.Settings:
        """The training command's settings for one model; backbones are shared by all models."""
        settings, inputs = self.settings, self.settings.chosen_inputs
        length = "" if settings.epochs is None else f"-{settings.epochs}-epochs"
        folder = settings.folder / f"{dataset}{length}"
        where = {"data": settings.data, "clips": settings.clips, "seeds": settings.seeds, "seed": settings.seed}
        own = train.settings_for(model, settings.preset, dataset, inputs, out=folder / model, **where)
        if train.needs_backbones(own.network):
            own = dataclasses.replace(own, from_backbones=folder)
        if settings.epochs is None:
            return own
        return dataclasses.replace(own, training=dataclasses.replace(own.training, epochs=settings.epochs))

    def _splits_of(self, own: train.Settings) -> dict[str, Split]:
        if own.dataset not in self._splits:
            self._splits[own.dataset] = train.splits_of(own)
        return self._splits[own.dataset]
