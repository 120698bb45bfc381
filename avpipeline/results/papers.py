"""The results printed in the five papers, and tables that show ours beside them.

A result of ours never stands beside a paper's without naming its data: both datasets have a column of their own,
since a score on synthetic clips says nothing about the score on AVE.
"""

import csv
import dataclasses
import functools
import importlib.resources
import statistics
from collections.abc import Iterable, Sequence

from avpipeline.errors import InputError

# What tells one published result from every other.
IDENTITY = ("paper", "table", "row", "dataset", "metric")


@dataclasses.dataclass(frozen=True)
class Published:
    """One published result of a paper.

    Attributes:
      paper: package name, e.g. `"ave"`.
      table: where it is printed, e.g. `"Table 1"`, `"Section 6.3"`.
      row: e.g. `"A+V-att"`.
      dataset: what it was measured on, e.g. `"AVE"`.
      metric: with its unit, e.g. `"segment accuracy %"`.
      value: as printed, hence text: `"72.7"`, or several values: `"50.32 / 49.09 / 103"`.
    """

    paper: str
    table: str
    row: str
    dataset: str
    metric: str
    value: str

    @property
    def is_quoted(self) -> bool:
        """Whether the paper quotes it from elsewhere for comparison, so that nothing here reproduces it."""
        return "external" in self.table

    @property
    def parts(self) -> tuple["Published", ...]:
        """The values that the paper's table has side by side, as in `"GAP % / F1 % / params M"`, one each."""
        metrics, values = self.metric.split(" / "), self.value.split(" / ")
        if len(metrics) == 1:
            return (self,)
        return tuple(
            dataclasses.replace(self, metric=metric, value=value) for metric, value in zip(metrics, values, strict=True)
        )


@dataclasses.dataclass(frozen=True)
class Measured:
    """Our counterpart of one published result.

    Attributes:
      values: one per seed, in the unit of the paper's metric.
      data: what they were measured on, e.g. `"synthetic clips, 32 in the test split"`, `"AVE, test split"`.
    """

    values: tuple[float, ...]
    data: str

    def __post_init__(self):
        if not self.values or not self.data:
            raise ValueError("a measured result needs at least one value and the name of its data")


def _lines(name: str) -> csv.DictReader:
    text = importlib.resources.files("avpipeline.results").joinpath(name).read_text(encoding="utf-8")
    return csv.DictReader(text.splitlines())


@functools.cache
def _published() -> tuple[Published, ...]:
    return tuple(Published(**fields) for fields in _lines("published_tables.csv"))


@functools.cache
def class_tables(paper: str) -> dict[str, dict[str, dict[str, str]]]:
    """A paper's tables with a result for each class and model: table -> class -> model -> accuracy in % as printed."""
    tables: dict[str, dict[str, dict[str, str]]] = {}
    for line in _lines("published_classes.csv"):
        if line["paper"] == paper:
            tables.setdefault(line["table"], {}).setdefault(line["row"], {})[line["model"]] = line["value"]
    return tables


def rows(paper: str, table: str | None = None) -> list[Published]:
    """A paper's results in the paper's order, of one table or of all.

    Raises:
      InputError: no such paper or table; the message lists the valid names.
    """
    of_paper = [result for result in _published() if result.paper == paper]
    if not of_paper:
        raise InputError(f"'{paper}' has no published results; papers are {_names('paper', _published())}.")
    found = [result for result in of_paper if table in (None, result.table)]
    if not found:
        raise InputError(f"{paper} has no table '{table}'; its tables are {_names('table', of_paper)}.")
    return found


def lookup(paper: str, table: str, row: str, dataset: str | None = None) -> Published:
    """One result.

    Args:
      dataset: needed if the row has results for several datasets.

    Raises:
      InputError: there is no such row, or more than one; the message lists the choices.
    """
    of_table = rows(paper, table)
    of_row = [result for result in of_table if result.row == row]
    if not of_row:
        raise InputError(f"{paper}, {table} has no row '{row}'; its rows are {_names('row', of_table)}.")
    found = [result for result in of_row if dataset in (None, result.dataset)]
    if len(found) == 1:
        return found[0]
    if not found:
        there = _names("dataset", of_row)
        raise InputError(f"{paper}, {table}, {row} has no result for '{dataset}', only {there}.")
    raise InputError(f"{paper}, {table}, {row} has one result a dataset; name one of {_names('dataset', found)}.")


def comparison(lines: Iterable[tuple[Published, Measured | str]]) -> str:
    """A Markdown table of the paper's results, each beside ours and the data that ours was measured on.

    Args:
      lines: for each published result ours, or a text such as `"not run: needs the 7.7 GB feature files"`.

    Returns:
      text that ends with a newline. Ours is the mean over the seeds, +- their sample standard deviation.
    """
    table = [("row", "metric", "paper", "paper's data", "ours", "our data")]
    for result, ours in lines:
        text, data = (ours, "") if isinstance(ours, str) else (mean_text(ours.values, result.value), ours.data)
        table.append((result.row, result.metric, result.value, result.dataset, text, data))
    return markdown(table)


def markdown(table: Sequence[Sequence[str]]) -> str:
    """A Markdown table of texts, whose first row has the headings; it ends with a newline."""
    table = [tuple(cell.replace("|", "\\|") for cell in line) for line in table]
    # Padded columns, so that the table is legible in a terminal too.
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    table.insert(1, tuple("-" * width for width in widths))
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in table)
    return "".join("| " + " | ".join(line) + " |\n" for line in padded)


def mean_text(values: tuple[float, ...], like: str, unit: str = "") -> str:
    """`"71.3 +- 0.8 (3 seeds)"`, with as many decimals as the paper prints, and with the unit, if any, after these."""
    decimals = len(like.partition(".")[2]) if like.replace(".", "", 1).isdigit() else 1
    mean = f"{statistics.fmean(values):.{decimals}f}"
    if len(values) == 1:
        return f"{mean}{unit} (1 seed)"
    return f"{mean} +- {statistics.stdev(values):.{decimals}f}{unit} ({len(values)} seeds)"


def _names(field: str, results: Iterable[Published]) -> str:
    return ", ".join(dict.fromkeys(getattr(result, field) for result in results))
