"""A paper's table, row by row: ours beside the paper's figures, with what each of ours was made from.

A paper's `tables.py` says how a row is measured; that each row says its configuration, its size and its saved
predictions, that the other rows go on where one cannot be measured, and how it is printed, is the same for all.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from avpipeline.errors import InputError
from avpipeline.files import atomic_path, make_folder
from avpipeline.results import papers


@dataclasses.dataclass(frozen=True)
class Line:
    """One row of a table, measured.

    Attributes:
      figure: the paper's.
      measured: our figure, selected on validation.
      result: of the model's finished runs; what `avpipeline.training.runs.run` gave.
      predictions: the files that `measured` is computed from.
      smoke: trained for fewer epochs than the configuration has.
      note: what a reader must know, e.g. that the paper gives two rows one system; "" where there is nothing.
      best_on_test: for each seed the best that the test split reached at any validation, in the metric's unit;
        empty where it was not watched.
    """

    figure: papers.Figure
    measured: papers.Measured
    result: Mapping
    predictions: tuple[Path, ...]
    smoke: bool
    note: str = ""
    best_on_test: tuple[float, ...] = ()

    @property
    def model(self) -> str:
        """Which of the package's models."""
        return self.result["model"]

    @property
    def configuration(self) -> str:
        """Its hash."""
        return self.result["configuration"]

    @property
    def parameters(self) -> int:
        """How many the model has."""
        return self.result["seeds"][0]["parameters"]


@dataclasses.dataclass(frozen=True)
class NotRun:
    """One row of a table that has no figure of ours, and why.

    Attributes:
      figure: the paper's.
      measured: why, e.g. `"not run: ..."`.
      is_failure: whether it was asked for and could not be measured; False for rows that are printed as the
        paper's figures only.
    """

    figure: papers.Figure
    measured: str
    is_failure: bool = True


def predictions_of(result: Mapping, folder: Path) -> tuple[Path, ...]:
    """For each seed of the runs in a folder the file that its figure is computed from."""
    return tuple(Path(folder) / f"seed-{seed['seed']}" / "predictions.npz" for seed in result["seeds"])


def line_of(figure: papers.Figure, result: Mapping, folder: Path, *, data: str, smoke: bool, note: str = "") -> Line:
    """The line of a figure in percent from the finished runs of one model.

    Args:
      result: what `avpipeline.training.runs.run` gave.
      folder: of the runs.
      data: what was measured on, in words; see `described`.
    """
    seeds = result["seeds"]
    return Line(
        figure=figure,
        measured=papers.Measured(tuple(100 * seed["test"] for seed in seeds), data),
        result=result,
        predictions=predictions_of(result, folder),
        smoke=smoke,
        note=note,
        best_on_test=tuple(100 * seed["best_on_test"] for seed in seeds if "best_on_test" in seed),
    )


def described(data: str, epochs: int, planned: int) -> str:
    """`data` in words, and whether what was trained on it is a smoke run."""
    return f"{data} (smoke: {epochs} of {planned} epochs)" if epochs < planned else data


def chosen_rows(paper: str, tables: Collection[str], rows: Sequence[str] = ()) -> list[papers.Figure]:
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
    figures: Sequence[papers.Figure],
    measure: Callable[[papers.Figure], Line | NotRun],
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
    best = papers.mean_text(line.best_on_test, line.figure.value) if line.best_on_test else ""
    return (
        line.figure.row,
        line.figure.dataset,
        line.model,
        line.configuration,
        f"{line.parameters:,}",
        *((best,) if watched else ()),
        ", ".join(map(str, line.predictions)),
        "; ".join(filter(None, ("smoke" if line.smoke else "", line.note))),
    )


def write_tables(folder, name: str, lines: Sequence[Line | NotRun]) -> tuple[Path, Path]:
    """Writes the lines as Markdown and CSV into `folder`; returns both paths."""
    stem = name.lower().replace(" ", "_").replace(".", "_")
    folder = make_folder(folder)
    paths = folder / f"{stem}.md", folder / f"{stem}.csv"
    with atomic_path(paths[0]) as temporary:
        temporary.write_text(as_markdown(lines), encoding="utf-8")
    with atomic_path(paths[1]) as temporary:
        pd.DataFrame([_record(line) for line in lines]).to_csv(temporary, index=False)
    return paths


def write_results(folder, lines: Sequence[Line]) -> None:
    """Writes the measured rows into result.json of `folder`, beside those that earlier commands measured there.

    RESULTS.md is made from such files, see `avpipeline.published`.
    """
    path = Path(folder) / "result.json"
    measured = (_result(line, path.parent) for line in lines)
    rows = {_identity(row): row for row in (*_earlier_rows(path), *measured)}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"rows": list(rows.values())}, indent=2) + "\n", encoding="utf-8")


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


def _result(line: Line, folder: Path) -> dict:
    """What result.json says of a row: which of the paper's figures it is, ours one a seed, and how they were made."""
    result = line.result
    made = {name: result[name] for name in ("model", "preset", "configuration", "command", "date", "commit")}
    return {
        **dataclasses.asdict(line.figure),
        "ours": list(line.measured.values),
        "our_data": line.measured.data,
        "our_dataset": result["dataset"],
        "seeds": [seed["seed"] for seed in result["seeds"]],
        "parameters": line.parameters,
        "predictions": [os.path.relpath(path, folder) for path in line.predictions],
        "smoke": line.smoke,
        "note": line.note,
        **made,
    }


def _record(line: Line | NotRun) -> dict:
    figure = dataclasses.asdict(line.figure)
    if isinstance(line, NotRun):
        return {**figure, "note": line.measured}
    values = pd.Series(line.measured.values)
    watched = {"best_on_test_mean": pd.Series(line.best_on_test).mean()} if line.best_on_test else {}
    return {
        **figure,
        "model": line.model,
        "ours_mean": values.mean(),
        "ours_std": values.std(),
        "seeds": len(values),
        "our_data": line.measured.data,
        "selected_on": "val",
        **watched,
        "configuration": line.configuration,
        "parameters": line.parameters,
        "predictions": " ".join(map(str, line.predictions)),
        "smoke": line.smoke,
        "note": line.note,
    }
