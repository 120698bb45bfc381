"""The runs behind the tables: settings of the tables command, and one finished run for each network."""

import dataclasses
from typing import Literal

from attendfusion import train
from attendfusion.config import PRESETS
from attendfusion.data import DataSettings
from attendfusion.rows import ROWS
from avpipeline.results import table_runs
from avpipeline.results.table_runs import TableSettings, Trained

TABLES = tuple(dict.fromkeys(table for table, _ in ROWS))


@dataclasses.dataclass(frozen=True)
class Settings(TableSettings):
    """Settings of a tables command."""

    paper = "attendfusion"

    params: bool = False
    """Print the exact number of parameters of all eighteen networks beside the paper's figures, and nothing else."""
    table: Literal[(*TABLES, "all")] = "all"
    preset: Literal[PRESETS] = "paper"
    """What the paper says; there is no public code."""
    width: int | None = None
    """Size of the fully connected layers in every row instead of the published 8000 and 2048; attention has half of it.
    [default: the published sizes, on the rendered test bed 256]"""
    batch_size: int | None = None
    """Videos a step instead of the default number."""
    records: DataSettings = DataSettings()

    @property
    def chosen_dataset(self) -> str:
        return self.records.name


def train_model(settings: Settings, model: str) -> Trained:
    """Trains one network over the seeds, or goes on with it, or finds it finished."""
    own = run_settings(settings, model)
    # Runs of another width do not get in each other's way.
    folder = settings.run_folder(model if settings.width is None else f"{model}-width-{settings.width}")
    return table_runs.train(train, own, train.experiment(own), folder, settings.all_seeds)


def run_settings(settings: Settings, model: str) -> train.Settings:
    """The training command's settings for one network."""
    own = train.settings_for(model, settings.preset, settings.records.name, records=settings.records)
    network = {} if settings.width is None else {"width": settings.width}
    training = {} if settings.batch_size is None else {"batch_size": settings.batch_size}
    return settings.shortened(
        dataclasses.replace(
            own,
            network=dataclasses.replace(own.network, **network),
            training=dataclasses.replace(own.training, **training),
        )
    )
