"""The runs behind the tables: settings of the tables command, and one finished run for each model and dataset."""

import dataclasses
from pathlib import Path
from typing import Literal

from avpipeline.datasets.base import Split
from avpipeline.results import table_runs
from avpipeline.results.table_runs import TableSettings, Trained
from eventlayers import train
from eventlayers.config import INPUTS, PRESETS
from eventlayers.data import DATASETS, RENDERED, require_source
from eventlayers.rows import TABLES


@dataclasses.dataclass(frozen=True)
class Settings(TableSettings):
    """Settings of a tables command."""

    paper = "eventlayers"

    table: Literal[(*TABLES, "all")] = "all"
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

    @property
    def chosen_inputs(self) -> str:
        return self.inputs or ("features" if self.dataset in RENDERED else "clips")

    @property
    def chosen_dataset(self) -> str:
        return self.dataset


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
            self._trained[model, dataset] = table_runs.finished(train, own, experiment, result, own.folder)
        return self._trained[model, dataset]

    def run_settings(self, model: str, dataset: str) -> train.Settings:
        """The training command's settings for one model; backbones are shared by all models."""
        settings, inputs = self.settings, self.settings.chosen_inputs
        folder = settings.run_folder(dataset)
        where = {"data": settings.data, "clips": settings.clips, "seeds": settings.seeds, "seed": settings.seed}
        own = train.settings_for(model, settings.preset, dataset, inputs, out=folder / model, **where)
        if train.needs_backbones(own.network):
            own = dataclasses.replace(own, from_backbones=folder)
        return settings.shortened(own)

    def _splits_of(self, own: train.Settings) -> dict[str, Split]:
        if own.dataset not in self._splits:
            self._splits[own.dataset] = train.splits_of(own)
        return self._splits[own.dataset]
