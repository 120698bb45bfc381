"""`python -m jca.tables`: trains the rows of the paper's tables and prints ours beside the paper's figures."""

import functools

import tensorflow as tf

from avpipeline.cli import run
from avpipeline.datasets import require_no_folder
from avpipeline.results import papers
from avpipeline.results.tables import Line, chosen_rows, measure_rows
from jca.rows import AVE_ROWS, ROWS, SHARED
from jca.table_runs import Settings, train_ave_model, train_model


def main(settings: Settings) -> int:
    """Trains rows of the paper's tables, each over the seeds, and prints ours beside the paper's figures."""
    if settings.chosen_dataset == "rendered":
        require_no_folder(settings.data)
    # TensorFlow warns of a loop that builds graphs; here each is another model.
    tf.get_logger().setLevel("ERROR")
    figures = chosen_rows("jca", settings.tables, settings.rows)
    complete = measure_rows(figures, functools.partial(measure, settings), settings.folder, settings.name)
    return 0 if complete else 2


def measure(settings: Settings, figure: papers.Figure) -> Line:
    """Trains what reproduces one figure, or goes on with it, or finds it finished."""
    place = (figure.table, figure.row)
    if place in AVE_ROWS:
        return train_ave_model(settings, AVE_ROWS[place]).line(figure, "a model of ave, with that paper's recipe")
    return train_model(settings, ROWS[place]).line(figure, _note(place))


def _note(place: tuple[str, str]) -> str:
    if place not in SHARED:
        return ""
    (table, row), reason = SHARED[place]
    return f"the same system as {table}, {row}: {reason}"


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m jca.tables"))
