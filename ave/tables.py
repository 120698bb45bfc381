"""`python -m ave.tables`: trains the rows of the paper's tables and prints ours beside the paper's figures."""

import functools

import tensorflow as tf

from ave.match import train as match
from ave.per_class import write_per_class
from ave.rows import ROWS, SHARED
from ave.table_runs import PER_CLASS, STARTS_FROM, TABLES, Settings, train_match, train_model
from avpipeline.cli import run
from avpipeline.datasets import require_no_folder
from avpipeline.results import papers
from avpipeline.results.tables import Line, chosen_rows, measure_rows


def main(settings: Settings) -> int:
    """Trains rows of the paper's tables, each over the seeds, and prints ours beside the paper's figures."""
    if settings.chosen_dataset == "rendered":
        require_no_folder(settings.data)
    # TensorFlow warns of a loop that builds graphs; here each is another model.
    tf.get_logger().setLevel("ERROR")
    complete = settings.table == PER_CLASS or _measure_table(settings)
    if settings.table == PER_CLASS or (settings.table == "all" and not settings.rows):
        print(f"\n{PER_CLASS}", flush=True)
        print(f"\n{write_per_class(settings)}")
    return 0 if complete else 2


def _measure_table(settings: Settings) -> bool:
    wanted = TABLES if settings.table == "all" else (settings.table,)
    figures = chosen_rows("ave", wanted, settings.rows)
    return measure_rows(figures, functools.partial(measure, settings), settings.folder, settings.table)


def measure(settings: Settings, figure: papers.Figure) -> Line:
    """Trains what reproduces one figure, or goes on with it, or finds it finished."""
    place = (figure.table, figure.row)
    if place in match.ROWS:
        return train_match(settings, figure.row)
    return train_model(settings, ROWS[place]).line(figure, _note(place))


def _note(place: tuple[str, str]) -> str:
    notes = []
    if place in SHARED:
        (table, row), reason = SHARED[place]
        notes.append(f"the same system as {table}, {row}: {reason}")
    if ROWS[place] in STARTS_FROM:
        notes.append(f"starts from {STARTS_FROM[ROWS[place]]}, trained as long before")
    return "; ".join(notes)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.tables"))
