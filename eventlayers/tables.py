"""`python -m eventlayers.tables`: trains the rows of the paper's tables and prints ours beside the paper's figures."""

import tensorflow as tf

from avpipeline.cli import run
from avpipeline.results import papers
from avpipeline.results.tables import Line, NotRun, chosen_rows, measure_rows
from eventlayers.data import RENDERED, Source, require_source
from eventlayers.rows import DATASETS, STANDS_FOR, TABLES, measured, reading_of
from eventlayers.table_runs import Settings, TableRuns


def main(settings: Settings) -> int:
    """Trains rows of the paper's tables, each over the seeds, and prints ours beside the paper's figures."""
    require_source(Source(settings.dataset, settings.data, settings.clips))
    # TensorFlow warns of a loop that builds graphs; here each is another model.
    tf.get_logger().setLevel("ERROR")
    wanted = TABLES if settings.table == "all" else (settings.table,)
    figures = chosen_rows("eventlayers", wanted, settings.rows)
    table_runs = TableRuns(settings)
    complete = measure_rows(figures, lambda figure: measure(table_runs, figure), settings.folder, settings.table)
    return 0 if complete else 2


def measure(table_runs: TableRuns, figure: papers.Figure) -> Line | NotRun:
    """Trains what reproduces one figure, or finds it trained for another one, and reads the figure off its scores."""
    dataset = measured_on(table_runs.settings, figure)
    if dataset is None:
        needed = f"--dataset {DATASETS[figure.dataset]} with its --data"
        return NotRun(figure, f"not run: needs {needed}", is_failure=False)
    reading = reading_of(figure)
    trained = table_runs.trained(reading.model, dataset)
    seeds = trained.result["seeds"]
    watched = tuple(100 * seed["best_on_test"] for seed in seeds) if figure.table == "Table 1" else ()
    return Line(
        figure=figure,
        measured=papers.Measured(measured(reading.measure, trained.predictions), trained.data),
        result=trained.result,
        predictions=trained.predictions,
        smoke=trained.smoke,
        note=_note(figure, dataset),
        best_on_test=watched,
    )


def measured_on(settings: Settings, figure: papers.Figure) -> str | None:
    """The dataset that a figure is measured on here; None where it needs another one than `settings` name."""
    if settings.dataset in RENDERED:
        return next(rendered for rendered, papers in STANDS_FOR.items() if figure.dataset in papers)
    return settings.dataset if settings.dataset == DATASETS[figure.dataset] else None


def _note(figure: papers.Figure, dataset: str) -> str:
    notes = []
    if len(STANDS_FOR.get(dataset, ())) > 1:
        notes.append(f"one run for {', '.join(STANDS_FOR[dataset])}: their rows differ in the dataset alone")
    model = reading_of(figure).model
    if figure.table != "Table 1":
        notes.append(f"read off the scores of {model} that every row of {model} on this data is read off")
    return "; ".join(notes)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m eventlayers.tables"))
