"""A paper's tables, row by row: our results beside the paper's, and how each of ours was obtained.

A paper's `tables.py` says how a row is measured. Shared by all papers: recording each row's configuration, size and
saved predictions, carrying on with the other rows if one cannot be measured, and printing.
"""

import contextlib
import dataclasses
import json
import os
import statistics
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from avpipeline.cli.progress import link
from avpipeline.errors import InputError
from avpipeline.files import locked, make_folder, read_bytes, reading, remove_partial, write_csv, write_json, write_text
from avpipeline.results import papers
from avpipeline.training.paper import Paper, Trained
from avpipeline.training.settings import TableSettings


@dataclasses.dataclass(frozen=True)
class Line:
    """One measured row of a table.

    Attributes:
      published: the paper's result.
      trained: the model's finished runs.
      values: our result for each seed, in the metric's unit, selected on validation.
      note: what a reader must know, e.g. that two rows of the paper are the same system; "" if nothing.
      best_on_test: for each seed the best score on the test split at any validation, in the metric's unit; empty if
        the test split was not watched.
    """

    published: papers.Published
    trained: Trained
    values: tuple[float, ...]
    note: str = ""
    best_on_test: tuple[float, ...] = ()

    @property
    def measured(self) -> papers.Measured:
        """Our result, with the data that it was measured on."""
        return papers.Measured(self.values, self.trained.data)

    def record(self, folder: Path) -> dict:
        """The row as JSON values, with paths relative to `folder`; the same record goes into every file."""
        result = self.trained.result
        made = ("model", "preset", "configuration", "command", "date", "commit")
        return {
            **dataclasses.asdict(self.published),
            # The paper's result belongs to its own data and settings alone.
            **({"value": ""} if self.trained.unlike else {}),
            "unlike": list(self.trained.unlike),
            "ours": list(self.values),
            "ours_mean": statistics.fmean(self.values),
            "ours_std": statistics.stdev(self.values) if len(self.values) > 1 else None,
            "our_data": self.trained.data,
            "our_dataset": result["dataset"],
            "seeds": [seed["seed"] for seed in result["seeds"]],
            "selected_on": result["selected_on"],
            "best_on_test": list(self.best_on_test),
            "best_on_test_mean": statistics.fmean(self.best_on_test) if self.best_on_test else None,
            "parameters": result["seeds"][0]["parameters"],
            "predictions": [os.path.relpath(path, folder) for path in self.trained.predictions],
            "smoke": self.trained.experiment.schedule.is_smoke,
            "note": self.note,
            **{name: result[name] for name in made},
            **{name: result[name] for name in ("data", "differences", "code") if name in result},
        }


@dataclasses.dataclass(frozen=True)
class NotRun:
    """A row of a table for which we have no result, and why.

    Attributes:
      published: the paper's result.
      measured: the reason, e.g. `"not run: ..."`.
      is_failure: whether it was requested but could not be measured; False for rows that only show the paper's
        result.
    """

    published: papers.Published
    measured: str
    is_failure: bool = True

    def record(self, folder: Path) -> dict:
        """The row as JSON values."""
        return {**dataclasses.asdict(self.published), "note": self.measured}


def line_of(published: papers.Published, trained: Trained, note: str = "") -> Line:
    """The line for a result in percent, from the finished runs of a model."""
    watched = [seed["best_on_test"] for seed in trained.result["seeds"] if "best_on_test" in seed]
    return Line(published, trained, trained.scores, note, tuple(100 * score for score in watched))


def shared_note(paper: Paper, place: tuple[str, str]) -> str:
    """The note for a row whose system is also another row of the paper; "" for other rows."""
    if place not in paper.config.SHARED:
        return ""
    (table, row), reason = paper.config.SHARED[place]
    return f"the same system as {table}, {row}: {reason}"


def train_row(paper: Paper, settings: TableSettings, model: str, *, name: str = "", **where) -> Trained:
    """Trains a model of a tables command with all seeds; resumes unfinished runs and reuses finished ones.

    Args:
      name: of its folder; the model's name by default.
      where: further fields of the training command's settings.
    """
    own = row_settings(paper, settings, model, name=name, **where)
    return paper.train(own, watch_test=True)


def row_settings(paper: Paper, settings: TableSettings, model: str, *, name: str = "", **where):
    """The training command's settings for a model of a tables command."""
    run = {"seeds": settings.seeds, "seed": settings.seed, "devices": settings.devices, "logger": settings.logger}
    run["out"] = settings.run_folder(name or model)
    return settings.shortened(paper.settings_for(model, settings.preset, settings.chosen_dataset, **run, **where))


@contextlib.contextmanager
def measuring(settings: TableSettings) -> Iterator[bool]:
    """Context for the measurements of a tables command: joins the devices and locks the command's folder.

    Yields:
      whether this process writes and prints; the other workers of several machines only train.
    """
    import tensorflow as tf

    from avpipeline.training import strategy

    settings.check()
    team = strategy.join(settings.devices)
    # TensorFlow warns about building graphs in a loop; here every graph is another model's.
    tf.get_logger().setLevel("ERROR")
    if not team.is_chief:
        yield False
        return
    # Two commands that write one result.json would lose each other's rows. Runs have locks and leftovers of their own.
    with locked(settings.folder / "tables", wait=False):
        remove_partial(settings.folder, below=False)
        yield True


def measure_tables(
    settings: TableSettings,
    tables: Iterable[str],
    measure: Callable[[papers.Published], Line | NotRun],
    *,
    further: Sequence[str] = (),
    parts: Callable[[papers.Published], Sequence[papers.Published]] = lambda row: [row],
    own: Collection[str] = (),
) -> bool:
    """Measures the rows that a tables command was asked for; see `measure_rows`.

    Args:
      tables: the paper's tables that it can measure.
      further: tables that are printed with the chosen ones.
      parts: the results in a row that has several.
      own: models of a user's own file, which can be asked for like rows.
    """
    wanted = settings.chosen_tables(tables)
    chosen = chosen_rows(settings.paper, (*wanted, *further), settings.rows, own)
    results = [part for row in chosen for part in parts(row)]
    with measuring(settings) as is_chief:
        if is_chief:
            return measure_rows(results, measure, settings.folder, wanted[0] if len(wanted) == 1 else "all")
        for published in results:
            # The chief says what cannot be measured.
            with contextlib.suppress(InputError):
                measure(published)
        return True


def once_each(paper: str) -> Callable[[papers.Published], Sequence[papers.Published]]:
    """The argument `parts` for the user's own clips: what the paper prints for several datasets is measured once."""
    first = {(row.table, row.row): row for row in reversed(papers.rows(paper))}
    return lambda row: [row] if first.get((row.table, row.row), row) == row else []


def chosen_rows(
    paper: str, tables: Collection[str], rows: Sequence[str] = (), own: Collection[str] = ()
) -> list[papers.Published]:
    """A paper's results in the paper's order, then the chosen user-defined models, for which the paper has no value.

    Args:
      tables: names of tables.
      rows: names of their rows, and of `own`; all rows if empty.
      own: models of a user's own file.

    Raises:
      InputError: the paper has no such table, or the tables have no such row.
    """
    for table in tables:
        papers.rows(paper, table)
    results = [published for published in papers.rows(paper) if published.table in tables]
    names = list(dict.fromkeys(published.row for published in results))
    for row in rows:
        if row not in (*names, *own):
            raise InputError(f"row '{row}': is not in {', '.join(tables)}; its rows are {', '.join((*names, *own))}.")
    mine = [row for row in rows if row in own and row not in names]
    return [result for result in results if not rows or result.row in rows] + _as_rows(paper, mine, results)


def _as_rows(paper: str, models: Sequence[str], results: Sequence[papers.Published]) -> list[papers.Published]:
    """Rows without a published value for user-defined models, one for each dataset.

    They belong to the first of these tables that has the metric of the paper's main table, else to the main table.
    """
    every = papers.rows(paper)
    main = next(result for result in every if not result.is_quoted)
    table = next((result.table for result in results if result.metric == main.metric), main.table)
    kinds = {result.dataset: result for result in every if (result.table, result.metric) == (table, main.metric)}
    return [
        dataclasses.replace(like, row=model, value=" / " * like.metric.count(" / "))
        for model in models
        for like in kinds.values()
    ]


def measure_rows(
    results: Sequence[papers.Published], measure: Callable[[papers.Published], Line | NotRun], folder: Path, name: str
) -> bool:
    """Measures our counterparts of published results one by one, prints them and writes them to `folder`.

    Args:
      measure: trains the model that reproduces a result; resumes unfinished runs and reuses finished ones.
      folder: of the runs and of the files.
      name: of the table: "Table 1" is written to table_1.md and table_1.csv.

    Returns:
      whether every requested result could be measured.

    Raises:
      InputError: the folder holds another command's result.json.
    """
    lines: list[Line | NotRun] = []
    # A file that cannot be used is found before hours of training.
    _earlier_rows(Path(folder) / "result.json")
    several = len({published.dataset for published in results}) > 1
    for number, published in enumerate(results, start=1):
        on = f", {published.dataset}" if several else ""
        print(f"\n[{number} of {len(results)}] {published.table}, {published.row}{on}", flush=True)
        try:
            lines.append(measure(published))
        except InputError as error:
            # The other rows may not need what is missing here.
            lines.append(NotRun(published, f"not run: {error}"))
        if isinstance(lines[-1], NotRun):
            print(lines[-1].measured, flush=True)
        # After each row, so that an interrupted command keeps its results.
        written = write_tables(folder, name, lines)
        write_results(folder, [line for line in lines if isinstance(line, Line)])
    print(f"\n{as_markdown(lines)}\nAlso in {' and '.join(map(link, written))}; the runs are in {link(folder)}")
    return not any(isinstance(line, NotRun) and line.is_failure for line in lines)


def as_markdown(lines: Sequence[Line | NotRun]) -> str:
    """Each table with the paper's results and ours, our results that stand alone, and how ours were obtained."""
    texts = []
    for table in dict.fromkeys(line.published.table for line in lines):
        own = [line for line in lines if line.published.table == table]
        made = [line for line in own if isinstance(line, Line)]
        alone = [line for line in made if line.trained.unlike]
        beside = [line for line in own if line not in alone]
        texts.append(f"## {table if beside else f'Models of {table}'}\n")
        if made:
            texts.append(f"Ours: selected on validation{_not_selected(made)}.\n")
        if beside:
            texts.append(papers.comparison((line.published, line.measured) for line in beside))
        if alone:
            texts.append(_alone(alone))
        if made:
            texts += dict.fromkeys(f"{line.trained.experiment.data.described()}\n" for line in made)
            texts.append(_how_made(made))
    return "\n".join(texts)


def _alone(lines: Sequence[Line]) -> str:
    """A table of results that reproduce no row of the paper, by model name, each with the reason."""
    rows = [("model", "metric", "ours", "our data", "no row of the paper, since")]
    for line in lines:
        ours = papers.mean_text(line.values, _finest(line, lines))
        model, reasons = line.trained.result["model"], "; ".join(line.trained.unlike)
        rows.append((model, line.published.metric, ours, line.trained.data, reasons))
    # A model of several rows has one result.
    return papers.markdown(list(dict.fromkeys(rows)))


def _finest(line: Line, lines: Sequence[Line]) -> str:
    """The paper's value with the most decimals for this metric: our single result is printed with as many."""
    values = (other.published.value for other in lines if other.published.metric == line.published.metric)
    return max(values, key=lambda value: len(value.partition(".")[2]))


def _not_selected(lines: Sequence[Line]) -> str:
    """Names the rows whose training keeps the last validated epoch instead of the best one."""
    last = [line for line in lines if line.trained.result["selected_on"] != "val"]
    rows = [line.trained.result["model"] if line.trained.unlike else line.published.row for line in last]
    return f"; of the last validated epoch: {', '.join(dict.fromkeys(rows))}" if rows else ""


def _how_made(lines: Sequence[Line]) -> str:
    watched = any(line.best_on_test for line in lines)
    text = "How our results were obtained."
    if watched:
        text += (
            ' "Best on test" is the best score that the test split reached at any validation, which many follow-ups '
            "quote: it was selected on the test split itself, so it is too high. Nothing here is selected by it."
        )
    watched_heading = ("best on test",) if watched else ()
    headings = ("row", "dataset", "model", "configuration", "parameters", *watched_heading, "predictions", "note")
    return f"{text}\n\n{papers.markdown([headings, *dict.fromkeys(_how(line, watched, lines) for line in lines)])}"


def _how(line: Line, watched: bool, lines: Sequence[Line]) -> tuple[str, ...]:
    made = line.record(Path())
    row, dataset, like = line.published.row, line.published.dataset, line.published.value
    if line.trained.unlike:
        row, dataset, like = "", "", _finest(line, lines)
    best = papers.mean_text(line.best_on_test, like) if line.best_on_test else ""
    return (
        row,
        dataset,
        made["model"],
        made["configuration"],
        f"{made['parameters']:,}",
        *((best,) if watched else ()),
        ", ".join(map(str, line.trained.predictions)),
        "; ".join(filter(None, ("smoke" if made["smoke"] else "", line.note))),
    )


def write_tables(folder, name: str, lines: Sequence[Line | NotRun]) -> tuple[Path, Path]:
    """Writes the lines to `folder` as Markdown and CSV; returns both paths."""
    import pandas as pd

    stem = make_folder(folder) / name.lower().replace(" ", "_").replace(".", "_")
    paths = stem.with_suffix(".md"), stem.with_suffix(".csv")
    write_text(paths[0], as_markdown(lines))
    records = [{name: _cell(name, value) for name, value in line.record(folder).items()} for line in lines]
    write_csv(paths[1], pd.DataFrame(records))
    return paths


def _cell(name: str, value):
    """A value of a record as a cell of a CSV file."""
    if isinstance(value, dict):
        return json.dumps(value)
    between = "; " if name == "unlike" else " "
    return between.join(map(str, value)) if isinstance(value, list) else value


def write_results(folder, lines: Sequence[Line]) -> None:
    """Writes the measured rows to result.json in `folder`, beside those that earlier commands measured there.

    `python -m avpipeline.published` writes RESULTS.md from such files.
    """
    path = Path(folder) / "result.json"
    measured = (line.record(path.parent) for line in lines)
    rows = {**_earlier_rows(path), **{_identity(row): row for row in measured}}
    write_json(path, {"rows": list(rows.values())})


def _earlier_rows(path: Path) -> dict[tuple[str, ...], dict]:
    """The rows of a result.json that an earlier tables command wrote, by identity; none if there is no file."""
    if not path.exists():
        return {}
    with reading(path, "was not written by a tables command", "choose another --out or remove it"):
        rows = json.loads(read_bytes(path))["rows"]
        return {_identity(row): row for row in rows}


def _identity(row: Mapping) -> tuple[str, ...]:
    return tuple(row[name] for name in papers.IDENTITY)
