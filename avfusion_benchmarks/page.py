"""The page docs/performance.md: the rows that were measured, with medians, ranges and the command."""

import fnmatch
from collections.abc import Mapping, Sequence

from avfusion_benchmarks.rows import Row

Columns = Mapping[str, float]
Ranges = Mapping[str, Mapping[str, Sequence[float]]]

AGAINST = "times as fast"
# Pattern of rows -> by which factor they should be faster than the plain form; the first matching pattern counts.
GOALS = {"train/jca/jca": 1.6, "train/ave/av_att": 1.3, "train/*": 1.0}
# Why a goal is out of reach, where that has been measured.
REASONS = {
    "train/ave/av_att": "37.6 of its 43.4 GFLOP are two dense layers over 490 regions a video (Eq. 4), the same "
    "matrix products in both forms; only the LSTMs and Adam differ",
}

_INTRODUCTION = """# Speed and memory

Written by the benchmark; do not edit it by hand. A row is measured in a process of its own, each quantity in turn with
those that it is compared with, so that other load slows all of them alike: ratios are more certain than times.

```
{command}
```
{processor}, {cores} cores; {system}; Python {python}, TensorFlow {tensorflow}, Keras {keras}. The load of the machine
was {load:.1f} at the start. A number is the median, the range behind it is that of all repetitions. With `--rows` some
rows are measured, and the others of the page stay.

"Plain" is the same network with what Keras brings: its LSTM, its Adam, equations step by step. "Share of matmul" is
the arithmetic per second over that of one large matrix product, the machine's best."""


def page(machine: Mapping, command: str, rows: Sequence[Row], results: Mapping[str, Columns], ranges: Ranges) -> str:
    """The whole page, of the rows that have results."""
    there = [row for row in rows if row.name in results]
    parts = [_INTRODUCTION.format(command=command, **machine), tables(there, results, ranges)]
    met = [line for row in there if (line := _goal(row.name, results[row.name]))]
    if met:
        head = ["| row | goal, times the plain form | measured | |", "| --- | ---: | ---: | --- |"]
        parts.append("\n".join(["## Goals", "", *head, *met]))
    return "\n\n".join(parts) + "\n"


def _goal(name: str, columns: Columns) -> str:
    wanted = next((goal for pattern, goal in GOALS.items() if fnmatch.fnmatchcase(name, pattern)), None)
    if wanted is None or AGAINST not in columns:
        return ""
    missed = f"missed: {REASONS[name]}" if name in REASONS else "missed"
    return _line([name, str(wanted), f"{columns[AGAINST]:.2f}", "reached" if columns[AGAINST] >= wanted else missed])


def tables(rows: Sequence[Row], results: Mapping[str, Columns], ranges: Ranges | None = None) -> str:
    """The results as Markdown, one table per heading; rows of a table may have different columns."""
    texts = []
    for table in dict.fromkeys(row.table for row in rows):
        names = [row.name for row in rows if row.table == table]
        columns = list(dict.fromkeys(column for name in names for column in results[name]))
        lines = [f"## {table}", "", _line(["", *columns]), _line(["---", *("---:" for _ in columns)])]
        for name in names:
            between = (ranges or {}).get(name, {})
            lines.append(_line([name, *(_cell(results[name].get(each), between.get(each)) for each in columns)]))
        texts.append("\n".join(lines))
    return "\n\n".join(texts)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: float | None, between: Sequence[float] | None) -> str:
    if value is None or between is None or between[0] == between[1]:
        return _number(value)
    return f"{_number(value)} ({_number(between[0])}-{_number(between[1])})"


def _number(value: float | None) -> str:
    """Three significant digits, or all digits before the point."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
