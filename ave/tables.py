"""`python -m ave.tables`: trains the rows of the paper's tables and prints ours beside the paper's figures."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import tensorflow as tf

from ave import match
from ave.per_class import write_per_class
from ave.rows import ROWS, SHARED
from ave.table_runs import PER_CLASS, STARTS_FROM, TABLES, Settings, train_match, train_model
from avpipeline import published
from avpipeline.cli import run
from avpipeline.errors import InputError
from avpipeline.files import atomic_path, make_folder


@dataclasses.dataclass(frozen=True)
class Line:
    """One row of a table, measured.

    Attributes:
      figure: the paper's.
      model: which of the package's models.
      measured: our figure, selected on validation.
      best_on_test: for each seed the best that the test split reached at any validation, in the metric's unit.
      configuration: its hash.
      parameters: of the model.
      predictions: for each seed the file that `measured` is computed from.
      smoke: trained for fewer epochs than the configuration has.
      note: where the paper gives two rows one system: which, and why.
    """

    figure: published.Figure
    model: str
    measured: published.Measured
    best_on_test: tuple[float, ...]
    configuration: str
    parameters: int
    predictions: tuple[Path, ...]
    smoke: bool
    note: str


@dataclasses.dataclass(frozen=True)
class NotRun:
    """One row of a table that could not be measured here, and why."""

    figure: published.Figure
    measured: str


def main(settings: Settings) -> int:
    """Trains rows of the paper's tables, each over the seeds, and prints ours beside the paper's figures."""
    if settings.chosen_dataset == "rendered" and settings.data:
        raise InputError(f"{settings.data}: the rendered data is made here; leave out --data or --dataset.")
    # TensorFlow warns of a loop that builds graphs; here each is another model.
    tf.get_logger().setLevel("ERROR")
    complete = settings.table == PER_CLASS or _measure_rows(settings)
    if settings.table == PER_CLASS or (settings.table == "all" and not settings.rows):
        print(f"\n{PER_CLASS}", flush=True)
        print(f"\n{write_per_class(settings)}")
    return 0 if complete else 2


def _measure_rows(settings: Settings) -> bool:
    """Measures and writes the chosen rows; whether every one of them could be measured."""
    figures = chosen_rows(settings)
    lines = []
    for number, figure in enumerate(figures, start=1):
        print(f"\n[{number} of {len(figures)}] {figure.table}, {figure.row}", flush=True)
        try:
            lines.append(measure(settings, figure))
        except InputError as error:
            # The other rows may not need what is missing here.
            lines.append(NotRun(figure, f"not run: {error}"))
            print(lines[-1].measured, flush=True)
        # After each row, so that an interrupted command leaves what it has.
        written = write_tables(settings, lines)
    print(f"\n{as_markdown(lines)}\n{' and '.join(map(str, written))} hold this; the runs are in {settings.folder}")
    return not any(isinstance(line, NotRun) for line in lines)


def chosen_rows(settings: Settings) -> list[published.Figure]:
    """The figures that `settings` ask for, in the paper's order; InputError for a row that is not there."""
    wanted = TABLES if settings.table == "all" else (settings.table,)
    figures = [figure for figure in published.rows("ave") if figure.table in wanted]
    names = [figure.row for figure in figures]
    for row in settings.rows:
        if row not in names:
            raise InputError(f"row '{row}': is not in {settings.table}; its rows are {', '.join(names)}.")
    return [figure for figure in figures if not settings.rows or figure.row in settings.rows]


def measure(settings: Settings, figure: published.Figure) -> Line:
    """Trains what reproduces one figure, or goes on with it, or finds it finished."""
    place = (figure.table, figure.row)
    if place in match.ROWS:
        return _measure_match(settings, figure)
    trained = train_model(settings, ROWS[place])
    seeds = trained.result["seeds"]
    return Line(
        figure=figure,
        model=trained.settings.model,
        measured=published.Measured(tuple(100 * seed["test"] for seed in seeds), trained.data),
        best_on_test=tuple(100 * seed["best_on_test"] for seed in seeds),
        configuration=trained.result["configuration"],
        parameters=seeds[0]["parameters"],
        predictions=trained.predictions,
        smoke=trained.smoke,
        note=_note(place),
    )


def _measure_match(settings: Settings, figure: published.Figure) -> Line:
    row = train_match(settings, figure.row)
    return Line(
        figure=figure,
        model=row.model,
        measured=row.measured,
        best_on_test=row.best_on_test,
        configuration=row.configuration,
        parameters=row.parameters,
        predictions=row.predictions,
        smoke=row.smoke,
        note="A2V and V2A of a model are two readings of one run, selected by their mean",
    )


def _note(place: tuple[str, str]) -> str:
    notes = []
    if place in SHARED:
        (table, row), reason = SHARED[place]
        notes.append(f"the same system as {table}, {row}: {reason}")
    if ROWS[place] in STARTS_FROM:
        notes.append(f"starts from {STARTS_FROM[ROWS[place]]}, trained as long before")
    return "; ".join(notes)


def as_markdown(lines: Sequence[Line | NotRun]) -> str:
    """Each table with the paper's figures and ours, then how ours were made."""
    texts = []
    for table in dict.fromkeys(line.figure.table for line in lines):
        own = [line for line in lines if line.figure.table == table]
        texts.append(f"## {table}\n\nOurs: selected on validation.\n")
        texts.append(published.comparison((line.figure, line.measured) for line in own))
        texts.append(
            'How ours were made. "Best on test" is the best that the test split reached at any validation, the '
            "figure that many follow-ups quote: the test split itself chose it, so it is too high. Nothing here is "
            "selected by it.\n"
        )
        headings = ("row", "model", "configuration", "parameters", "best on test", "predictions", "note")
        texts.append(published.markdown([headings, *(_how(line) for line in own if isinstance(line, Line))]))
    return "\n".join(texts)


def _how(line: Line) -> tuple[str, ...]:
    return (
        line.figure.row,
        line.model,
        line.configuration,
        f"{line.parameters:,}",
        published.mean_text(line.best_on_test, line.figure.value),
        ", ".join(map(str, line.predictions)),
        "; ".join(filter(None, ("smoke" if line.smoke else "", line.note))),
    )


def write_tables(settings: Settings, lines: Sequence[Line | NotRun]) -> tuple[Path, Path]:
    """Writes the lines as Markdown and CSV into the folder of the runs; returns both paths."""
    stem = settings.table.lower().replace(" ", "_").replace(".", "_")
    folder = make_folder(settings.folder)
    paths = folder / f"{stem}.md", folder / f"{stem}.csv"
    with atomic_path(paths[0]) as temporary:
        temporary.write_text(as_markdown(lines), encoding="utf-8")
    with atomic_path(paths[1]) as temporary:
        pd.DataFrame([_record(line) for line in lines]).to_csv(temporary, index=False)
    return paths


def _record(line: Line | NotRun) -> dict:
    if isinstance(line, NotRun):
        return {**dataclasses.asdict(line.figure), "note": line.measured}
    values = pd.Series(line.measured.values)
    return {
        **dataclasses.asdict(line.figure),
        "model": line.model,
        "ours_mean": values.mean(),
        "ours_std": values.std(),
        "seeds": len(values),
        "our_data": line.measured.data,
        "selected_on": "val",
        "best_on_test_mean": pd.Series(line.best_on_test).mean(),
        "configuration": line.configuration,
        "parameters": line.parameters,
        "predictions": " ".join(map(str, line.predictions)),
        "smoke": line.smoke,
        "note": line.note,
    }


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.tables"))
