"""`python -m jca.tables`: trains the rows of the paper's tables and prints our results beside the paper's."""

import dataclasses
import functools

from ave.train import PAPER as AVE
from avpipeline.cli import run
from avpipeline.results import papers
from avpipeline.results.tables import Line, line_of, measure_tables, shared_note, train_row
from avpipeline.training.settings import DataSettings, TableSettings
from jca.config import AVE_ROWS, TABLES
from jca.train import PAPER


@dataclasses.dataclass(frozen=True)
class Settings(DataSettings, TableSettings):
    """Settings of a tables command."""

    paper = "jca"


def main(settings: Settings) -> int:
    """Trains rows of the paper's tables with all seeds and prints our results beside the paper's.

    Examples:
      python -m jca.tables --table "Table 1" --epochs 2
      python -m jca.tables --data DIR --seeds 3
    """
    return 0 if measure_tables(settings, TABLES, functools.partial(measure, settings), own=PAPER.own_models) else 2


def measure(settings: Settings, published: papers.Published) -> Line:
    """Trains the model that reproduces a published result; resumes unfinished runs and reuses finished ones."""
    place = (published.table, published.row)
    if model := AVE_ROWS.get(place):
        trained = train_row(AVE, settings, model, name=f"ave-{model}", data=settings.data)
        return line_of(published, trained, "a model of ave, with that paper's training hyperparameters")
    trained = train_row(PAPER, settings, PAPER.model_of(*place), data=settings.data)
    return line_of(published, trained, shared_note(PAPER, place))


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m jca.tables"))
