"""`python -m attendfusion.tables`: trains the rows of the paper's tables and prints ours beside the paper's figures."""

import dataclasses
import functools
from collections.abc import Mapping

import tensorflow as tf

from attendfusion.rows import ROWS
from attendfusion.sizes import count_parameters
from attendfusion.table_runs import TABLES, Settings, train_model
from avpipeline.cli import run
from avpipeline.results import papers
from avpipeline.results.table_runs import Trained
from avpipeline.results.tables import Line, chosen_rows, measure_rows

# The paper's metric -> name of our figure.
_METRICS = {"GAP %": "gap", "F1 %": "f1"}


def main(settings: Settings) -> int:
    """Trains rows of the paper's tables, each over the seeds, and prints ours beside the paper's figures."""
    if settings.params:
        print(parameters_table())
        return 0
    # TensorFlow warns of a loop that builds graphs; here each is another network.
    tf.get_logger().setLevel("ERROR")
    wanted = TABLES if settings.table == "all" else (settings.table,)
    rows = chosen_rows("attendfusion", wanted, settings.rows)
    # GAP and F1 of a row are two readings of one run; the second finds it finished.
    figures = [figure for row in rows for figure in row.parts[:2]]
    complete = measure_rows(figures, functools.partial(measure, settings), settings.folder, settings.table)
    return 0 if complete else 2


def parameters_table() -> str:
    """All eighteen rows: our exact number of parameters, the paper's in millions, whether ours rounds to it."""
    lines = [("table", "row", "model", "ours, exact", "paper, M", "equal when rounded")]
    for (table, row), model in ROWS.items():
        *_, printed = papers.lookup("attendfusion", table, row).parts
        exact = count_parameters(model)
        equal = "yes" if round(exact / 1e6) == int(printed.value) else "NO"
        lines.append((table, row, model, f"{exact:,}", printed.value, equal))
    return papers.markdown(lines)


def measure(settings: Settings, figure: papers.Figure) -> Line:
    """Trains what reproduces one figure (GAP or F1 of a row), or goes on with it, or finds it finished."""
    trained = train_model(settings, ROWS[figure.table, figure.row])
    of_metric = dataclasses.replace(trained, result=as_scores(trained.result, _METRICS[figure.metric]))
    return of_metric.line(figure, _note(trained))


def as_scores(result: Mapping, name: str) -> dict:
    """A run's result whose test score is another of its figures."""
    return {**result, "seeds": [{**seed, "test": seed["figures"][name]} for seed in result["seeds"]]}


def _note(trained: Trained) -> str:
    network, training = trained.settings.network, trained.settings.training
    thresholds = ", ".join(f"{seed['figures']['threshold']:.3f}" for seed in trained.result["seeds"])
    epochs = f"{training.epochs} epoch{'s' * (training.epochs > 1)}"
    return f"width {network.width}, {epochs}, tokens {network.tokens}, F1 at threshold {thresholds}"


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m attendfusion.tables"))
