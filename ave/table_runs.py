"""The runs behind the tables: settings of the tables command, and one finished run for each model."""

import dataclasses
from pathlib import Path
from typing import Literal

from ave import train
from ave.config import PRESETS
from ave.match import train as match
from ave.rows import ROWS
from avpipeline.results import table_runs
from avpipeline.results.table_runs import TableSettings, Trained
from avpipeline.results.tables import Line

# Rows of cross-modality localization are trained by a command of their own.
TABLES = tuple(dict.fromkeys(table for table, _ in (*ROWS, *match.ROWS)))
PER_CLASS = "Supplement Table 1"
# The authors started DMRN from a trained A+V-att; the row's run starts from the run of this model, seed by seed.
STARTS_FROM = {"dmrn": "av_att", "dmrfe": "av_att"}


@dataclasses.dataclass(frozen=True)
class Settings(TableSettings):
    """Settings of a tables command."""

    paper = "ave"

    table: Literal[(*TABLES, PER_CLASS, "all")] = "all"
    preset: Literal[PRESETS] = "code"
    dataset: Literal["rendered", "ave"] | None = None
    """What to train and measure on. [default: "ave" with --data, else "rendered"]"""
    data: Path | None = None
    """Folder with the dataset's official files."""
    noisy: bool = True
    """Weak models: the background videos without an event are joined to the training videos."""

    @property
    def chosen_dataset(self) -> str:
        return self.dataset or ("ave" if self.data else "rendered")


def train_model(settings: Settings, model: str) -> Trained:
    """Trains one model over the seeds, or goes on with it, or finds it finished."""
    own = run_settings(settings, model)
    experiment = dataclasses.replace(train.experiment(own), watch_test=True)
    return table_runs.train(train, own, experiment, settings.run_folder(model), settings.all_seeds)


def train_match(settings: Settings, row: str) -> Line:
    """Trains one row of Table 3, or goes on with it, or finds it finished; its model's other row is then too."""
    model, _ = match.ROWS["Table 3", row]
    where = {"data": settings.data, "out": settings.run_folder(model)}
    own = match.settings_for(model, settings.chosen_dataset, seeds=settings.seeds, seed=settings.seed, **where)
    return match.train_row(row, settings.shortened(own))


def run_settings(settings: Settings, model: str) -> train.Settings:
    """The training command's settings for one model; what it starts from is trained first."""
    where = {"data": settings.data, "noisy": settings.noisy}
    own = settings.shortened(train.settings_for(model, settings.preset, settings.chosen_dataset, **where))
    if model in STARTS_FROM:
        first = STARTS_FROM[model]
        print(f"{model} starts from {first}", flush=True)
        own = dataclasses.replace(own, init_from=train_model(settings, first).folder)
    return own
