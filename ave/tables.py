"""`python -m ave.tables`: trains the rows of the paper's tables and prints our results beside the paper's."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from ave import match, per_class
from ave.config import PER_CLASS, ROWS, STARTS_FROM
from ave.match.train import PAPER as MATCH
from ave.train import PAPER
from avpipeline.cli import run
from avpipeline.results import papers
from avpipeline.results.tables import Line, line_of, measure_tables, measuring, shared_note, train_row
from avpipeline.training.paper import Trained
from avpipeline.training.settings import DataSettings, TableSettings

# Rows of cross-modality localization are trained by a command of their own.
TABLES = tuple(dict.fromkeys(table for table, _ in (*ROWS, *match.config.ROWS)))


@dataclasses.dataclass(frozen=True)
class Settings(DataSettings, TableSettings):
    """Settings of a tables command."""

    paper = "ave"

    table: Literal[(*TABLES, PER_CLASS, "all")] = "all"
    """Which table of the paper."""
    noisy: bool = True
    """Weakly supervised models: add the background videos without an event to the training videos."""


def main(settings: Settings) -> int:
    """Trains rows of the paper's tables with all seeds and prints our results beside the paper's.

    Examples:
      python -m ave.tables --table "Table 1" --epochs 2
      python -m ave.tables --table "Table 2" --rows "DMRN late" --data DIR --seeds 3
    """
    complete = True
    if settings.table != PER_CLASS:
        complete = measure_tables(settings, TABLES, functools.partial(measure, settings), own=PAPER.own_models)
    if settings.table == PER_CLASS or (settings.table == "all" and not settings.rows):
        print(f"\n{PER_CLASS}", flush=True)
        wanted = per_class.chosen_models(settings.rows)
        with measuring(settings) as is_chief:
            classes(settings, wanted, is_chief)
    return 0 if complete else 2


def classes(settings: Settings, wanted: Mapping[str, str], is_chief: bool) -> None:
    """The accuracy of each class for some of `per_class.MODELS`; a process that is not the chief only trains along."""
    trained = {label: train_model(settings, model) for label, model in wanted.items()}
    if is_chief:
        print(f"\n{per_class.write_per_class(settings.folder, trained)}")


def measure(settings: Settings, published: papers.Published) -> Line:
    """Trains the model that reproduces a published result; resumes unfinished runs and reuses finished ones."""
    place = (published.table, published.row)
    if place in match.config.ROWS:
        model, direction = match.config.ROWS[place]
        return MATCH.line(published, train_row(MATCH, settings, model, data=settings.data), direction)
    model = PAPER.model_of(*place)
    notes = [shared_note(PAPER, place)]
    if first := STARTS_FROM.get(model):
        notes.append(f"initialised from {first}, which was trained for as many epochs")
    return line_of(published, train_model(settings, model), "; ".join(filter(None, notes)))


def train_model(settings: Settings, model: str) -> Trained:
    """Trains a model with all seeds, first the model that it is initialised from, if any; reuses finished runs."""
    where: dict[str, bool | Path | None] = {"data": settings.data, "noisy": settings.noisy}
    if first := STARTS_FROM.get(model):
        print(f"{model} is initialised from {first}", flush=True)
        where["init_from"] = train_model(settings, first).settings.folder
    return train_row(PAPER, settings, model, **where)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.tables"))
