"""A paper's table, row by row: ours beside the paper's figures, with what each of ours was made from.

A paper's `tables.py` says how a row is measured; that each row says its configuration, its size and its saved
predictions, that the other rows go on where one cannot be measured, and how it is printed, is the same for all.
"""

import dataclasses
import json
import os
import statistics
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import tensorflow as tf

from avpipeline.errors import InputError
from avpipeline.files import atomic_path, make_folder, write_json
from avpipeline.results import papers
from avpipeline.training.paper import Paper, Trained
from avpipeline.training.settings import TableSettings


@dataclasses.dataclass(frozen=True)
class Line:
    """One row of a table, measured.

    Attributes:
      figure: the paper's.
      trained: the model's finished runs.
      values: our result for each seed, in the metric's unit, selected on validation.
      note: what a reader must know, e.g. that the paper gives two rows one system; "" where there is nothing.
      best_on_test: for each seed the best that the test split reached at any validation, in the metric's unit;
        empty where it was not watched.
    """

    figure: papers.Published
    trained: Trained
    values: tuple[float, ...]
    note: str = ""
    best_on_test: tuple[float, ...] = ()

    @property
    def measured(self) -> papers.Measured:
        """Ours, with the data that it was measured on."""
        return papers.Measured(self.values, self.trained.data)

    def record(self, folder: Path) -> dict:
        """The row as JSON values, with paths relative to `folder`: what every file says of it."""
        result = self.trained.result
        made = ("model", "preset", "configuration", "command", "date", "commit")
        return {
            **dataclasses.asdict(self.figure),
            "ours": list(self.values),
            "ours_mean": statistics.fmean(self.values),
            "ours_std": statistics.stdev(self.values) if len(self.values) > 1 else None,
            "our_data": self.trained.data,
            "our_dataset": result["dataset"],
            "seeds": [seed["seed"] for seed in result["seeds"]],
            "selected_on": "val",
            "best_on_test": list(self.best_on_test),
            "parameters": result["seeds"][0]["parameters"],
            "predictions": [os.path.relpath(path, folder) for path in self.trained.predictions],
            "smoke": self.trained.experiment.schedule.is_smoke,
            "note": self.note,
            **{name: result[name] for name in made},
        }


@dataclasses.dataclass(frozen=True)
class NotRun:
    """One row of a table that has no result of ours, and why.

    Attributes:
      figure: the paper's.
      measured: why, e.g. `"not run: ..."`.
      is_failure: whether it was asked for and could not be measured; False for rows that are printed as the
        paper's figures only.
    """

    figure: papers.Published
    measured: str
    is_failure: bool = True

    def record(self, folder: Path) -> dict:
        """The row as JSON values."""
        return {**dataclasses.asdict(self.figure), "note": self.measured}


def line_of(figure: papers.Published, trained: Trained, note: str = "") -> Line:
    """The line of a figure in percent from the finished runs of one model."""
    watched = [seed["best_on_test"] for seed in trained.result["seeds"] if "best_on_test" in seed]
    return Line(figure, trained, trained.scores, note, tuple(100 * score for score in watched))


def shared_note(paper: Paper, place: tuple[str, str]) -> str:
    """What is said of a row whose system the paper gives another row too; "" for the others."""
    if place not in paper.config.SHARED:
        return ""
    (table, row), reason = paper.config.SHARED[place]
    return f"the same system as {table}, {row}: {reason}"


def train_row(paper: Paper, settings: TableSettings, model: str, *, name: str = "", **where) -> Trained:
    """Trains one model of a tables command over the seeds, or goes on with it, or finds it finished.

    Args:
      name: of its folder, the model's where it is left out.
      where: further fields of the training command's settings.
    """
    own = row_settings(paper, settings, model, name=name, **where)
    return paper.train(own, watch_test=True)


def row_settings(paper: Paper, settings: TableSettings, model: str, *, name: str = "", **where):
    """The training command's settings for one model of a tables command."""
    run = {"seeds": settings.seeds, "seed": settings.seed, "out": settings.run_folder(name or model)}
    return settings.shortened(paper.settings_for(model, settings.preset, settings.chosen_dataset, **run, **where))


def measure_tables(
    settings: TableSettings,
    tables: Iterable[str],
    measure: Callable[[papers.Published], Line | NotRun],
    *,
    further: Sequence[str] = (),
    parts: Callable[[papers.Published], Sequence[papers.Published]] = lambda figure: [figure],
) -> bool:
    """Measures the rows that a tables command asks for; see `measure_rows`.

    Args:
      tables: those of the paper that it can measure.
      further: tables that are printed with the chosen ones.
      parts: the figures of a row that has several.
    """
    settings.check()
    # TensorFlow warns of a loop that builds graphs; here each is another model.
    tf.get_logger().setLevel("ERROR")
    wanted = settings.chosen_tables(tables)
    figures = [part for row in chosen_rows(settings.paper, (*wanted, *further), settings.rows) for part in parts(row)]
    return measure_rows(figures, measure, settings.folder, wanted[0] if len(wanted) == 1 else "all")


def chosen_rows(paper: str, tables: Collection[str], rows: Sequence[str] = ()) -> list[papers.Published]:
    """A paper's figures in the paper's order.

    Args:
      tables: which tables.
      rows: which of their rows, by name; none is all.

    Raises:
      InputError: the paper has no such table, or the tables have no such row.
    """
    for table in tables:
        papers.rows(paper, table)
    figures = [figure for figure in papers.rows(paper) if figure.table in tables]
    names = list(dict.fromkeys(figure.row for figure in figures))
    for row in rows:
        if row not in names:
            raise InputError(f"row '{row}': is not in {', '.join(tables)}; its rows are {', '.join(names)}.")
    return [figure for figure in figures if not rows or figure.row in rows]


def measure_rows(
    figures: Sequence[papers.Published],
    measure: Callable[[papers.Published], Line | NotRun],
    folder: Path,
    name: str,
) -> bool:
    """Measures figures one after the other, prints them and writes them to `folder`.

    Args:
      measure: trains what reproduces a figure, or goes on with it, or finds it finished.
      folder: of the runs and of the files.
      name: of the table: "Table 1" is written to table_1.md and table_1.csv.

    Returns:
      Whether every figure that was asked for could be measured.

    Raises:
      InputError: the folder holds another command's result.json.
    """
    lines: list[Line | NotRun] = []
    # What cannot be written is found before hours of training.
    _earlier_rows(Path(folder) / "result.json")
    for number, figure in enumerate(figures, start=1):
        print(f"\n[{number} of {len(figures)}] {figure.table}, {figure.row}, {figure.dataset}", flush=True)
        try:
            lines.append(measure(figure))
        except InputError as error:
            # The other rows may not need what is missing here.
            lines.append(NotRun(figure, f"not run: {error}"))
        if isinstance(lines[-1], NotRun):
            print(lines[-1].measured, flush=True)
        # After each row, so that an interrupted command leaves what it has.
        written = write_tables(folder, name, lines)
        write_results(folder, [line for line in lines if isinstance(line, Line)])
    print(f"\n{as_markdown(lines)}\n{' and '.join(map(str, written))} hold this; the runs are in {folder}")
    return not any(isinstance(line, NotRun) and line.is_failure for line in lines)


def as_markdown(lines: Sequence[Line | NotRun]) -> str:
    """Each table with the paper's figures and ours, then how ours were made."""
    texts = []
    for table in dict.fromkeys(line.figure.table for line in lines):
        own = [line for line in lines if line.figure.table == table]
        texts.append(f"## {table}\n\nOurs: selected on validation.\n")
        texts.append(papers.comparison((line.figure, line.measured) for line in own))
        made = [line for line in own if isinstance(line, Line)]
        if made:
            texts.append(_how_made(made))
    return "\n".join(texts)


def _how_made(lines: Sequence[Line]) -> str:
    watched = any(line.best_on_test for line in lines)
    text = "How ours were made."
    if watched:
        text += (
            ' "Best on test" is the best that the test split reached at any validation, the '
            "figure that many follow-ups quote: the test split itself chose it, so it is too high. Nothing here is "
            "selected by it."
        )
    watched_heading = ("best on test",) if watched else ()
    headings = ("row", "dataset", "model", "configuration", "parameters", *watched_heading, "predictions", "note")
    return f"{text}\n\n{papers.markdown([headings, *(_how(line, watched) for line in lines)])}"


def _how(line: Line, watched: bool) -> tuple[str, ...]:
    made = line.record(Path())
    best = papers.mean_text(line.best_on_test, line.figure.value) if line.best_on_test else ""
    return (
        line.figure.row,
        line.figure.dataset,
        made["model"],
        made["configuration"],
        f"{made['parameters']:,}",
        *((best,) if watched else ()),
        ", ".join(map(str, line.trained.predictions)),
        "; ".join(filter(None, ("smoke" if made["smoke"] else "", line.note))),
    )


def write_tables(folder, name: str, lines: Sequence[Line | NotRun]) -> tuple[Path, Path]:
    """Writes the lines as Markdown and CSV into `folder`; returns both paths."""
    stem = name.lower().replace(" ", "_").replace(".", "_")
    folder = make_folder(folder)
    paths = folder / f"{stem}.md", folder / f"{stem}.csv"
    with atomic_path(paths[0]) as temporary:
        temporary.write_text(as_markdown(lines), encoding="utf-8")
    records = [{name: _cell(value) for name, value in line.record(folder).items()} for line in lines]
    with atomic_path(paths[1]) as temporary:
        pd.DataFrame(records).to_csv(temporary, index=False)
    return paths


def _cell(value):
    """A value of a record as one cell of a CSV file."""
    return " ".join(map(str, value)) if isinstance(value, list) else value


def write_results(folder, lines: Sequence[Line]) -> None:
    """Writes the measured rows into result.json of `folder`, beside those that earlier commands measured there.

    RESULTS.md is made from such files by `python -m avpipeline.published`.
    """
    path = Path(folder) / "result.json"
    measured = (line.record(path.parent) for line in lines)
    rows = {_identity(row): row for row in (*_earlier_rows(path), *measured)}
    write_json(path, {"rows": list(rows.values())})


def _earlier_rows(path: Path) -> list[dict]:
    """The rows of a result.json that a tables command wrote before; none where there is no file."""
    if not path.exists():
        return []
    try:
        return json.loads(path.read_text(encoding="utf-8"))["rows"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is not of a tables command; choose another --out or remove it.") from error


def _identity(row: Mapping) -> tuple[str, ...]:
    return tuple(row[name] for name in ("paper", "table", "row", "dataset", "metric"))
