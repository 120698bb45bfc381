"""`python -m attendfusion.tables`: trains the rows of the paper's tables and prints our results beside the paper's."""

import dataclasses
import functools
from typing import Literal

from attendfusion.config import PRESETS, ROWS, TABLES
from attendfusion.settings import RecordSettings
from attendfusion.train import PAPER, of_metric
from avpipeline.cli import MaybeCount, MaybeUnits, run
from avpipeline.results import papers
from avpipeline.results.tables import Line, measure_tables, row_settings
from avpipeline.training.paper import Trained
from avpipeline.training.settings import TableSettings

# The paper's metric -> name of our score.
_METRICS = {"GAP %": "gap", "F1 %": "f1"}


@dataclasses.dataclass(frozen=True)
class Settings(TableSettings):
    """Settings of a tables command."""

    paper = "attendfusion"

    params: bool = False
    """Only print the exact number of parameters of the network of every row beside the paper's numbers."""
    table: Literal[(*TABLES, "all")] = "all"
    preset: Literal[PRESETS] = "paper"
    """There is no public code to follow, only the paper."""
    width: MaybeUnits = None
    """Size of the fully connected layers in every row, instead of the published 8000 and 2048; attention has half of
    it. [default: the published sizes, 256 on synthetic clips]"""
    batch_size: MaybeCount = None
    """Videos in a batch. [default: the configuration's]"""
    records: RecordSettings = RecordSettings()

    @property
    def chosen_dataset(self) -> str:
        return self.records.name


def main(settings: Settings) -> int:
    """Trains rows of the paper's tables with all seeds and prints our results beside the paper's.

    Examples:
      python -m attendfusion.tables --params
      python -m attendfusion.tables --table "Table 1" --data YT8M
    """
    if settings.params:
        print(parameters_table())
        return 0
    # GAP and F1 of a row come from the same run, which is finished when the second is measured.
    of_row, own = functools.partial(measure, settings), PAPER.own_models
    measured = measure_tables(settings, TABLES, of_row, parts=lambda row: row.parts[:2], own=own)
    return 0 if measured else 2


def parameters_table() -> str:
    """For every row: our exact number of parameters, the paper's in millions, and whether ours rounds to it."""
    from attendfusion.sizes import count_parameters

    lines = [("table", "row", "model", "ours, exact", "paper, M", "equal when rounded")]
    for (table, row), model in ROWS.items():
        *_, printed = papers.lookup("attendfusion", table, row).parts
        exact = count_parameters(model)
        equal = "yes" if round(exact / 1e6) == int(printed.value) else "NO"
        lines.append((table, row, model, f"{exact:,}", printed.value, equal))
    return papers.markdown(lines)


def measure(settings: Settings, published: papers.Published) -> Line:
    """Trains the model that reproduces a published result (GAP or F1 of a row), or reuses its finished runs."""
    trained = train_model(settings, PAPER.model_of(published.table, published.row))
    return Line(published, trained, of_metric(trained.result, _METRICS[published.metric]), _note(trained))


def train_model(settings: Settings, model: str) -> Trained:
    """Trains a network with all seeds; resumes unfinished runs and reuses finished ones."""
    # Runs of each width have a folder of their own.
    name = model if settings.width is None else f"{model}-width-{settings.width}"
    own = row_settings(PAPER, settings, model, name=name, records=settings.records)
    network = dataclasses.replace(own.network, width=settings.width or own.network.width)
    training = dataclasses.replace(own.training, batch_size=settings.batch_size or own.training.batch_size)
    return PAPER.train(dataclasses.replace(own, network=network, training=training))


def _note(trained: Trained) -> str:
    network, training = trained.settings.network, trained.settings.training
    tokens = trained.experiment.info.config["tokens"]
    thresholds = ", ".join(f"{seed['figures']['threshold']:.3f}" for seed in trained.result["seeds"])
    epochs = f"{training.epochs} epoch{'s' * (training.epochs > 1)}"
    return f"width {network.width}, {epochs}, tokens {tokens}, F1 at threshold {thresholds}"


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m attendfusion.tables"))
