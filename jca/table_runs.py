"""The runs behind the tables: settings of the tables command, and one finished run for each model."""

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Literal

import ave.train
from avpipeline.results import table_runs
from avpipeline.results.table_runs import TableSettings, Trained
from jca import train
from jca.config import PRESETS
from jca.rows import TABLES


@dataclasses.dataclass(frozen=True)
class Settings(TableSettings):
    """Settings of a tables command."""

    paper = "jca"

    table: str = "all"
    """Which table of the paper; several with | between them ("Table 1|Table 2"), or all."""
    preset: Literal[PRESETS] = "code"
    dataset: Literal["rendered", "ave"] | None = None
    """What to train and measure on. [default: "ave" with --data, else "rendered"]"""
    data: Path | None = None
    """Folder with the dataset's official files."""

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


def train_model(settings: Settings, model: str) -> Trained:
    """Trains one of the package's models over the seeds, or goes on with it, or finds it finished."""
    own = train.settings_for(model, settings.preset, settings.chosen_dataset, data=settings.data)
    return _train(settings, train, own, model)


def train_ave_model(settings: Settings, model: str) -> Trained:
    """The same for a model of the AVE paper."""
    own = ave.train.settings_for(model, settings.preset, settings.chosen_dataset, data=settings.data)
    return _train(settings, ave.train, own, f"ave-{model}")


def _train(settings: Settings, command: ModuleType, own, name: str) -> Trained:
    """Runs what `own`, settings of the training command in the module `command`, describe."""
    own = settings.shortened(own)
    experiment = dataclasses.replace(command.experiment(own), watch_test=True)
    return table_runs.train(command, own, experiment, settings.run_folder(name), settings.all_seeds)
