"""The page docs/performance.md: the rows that were measured, with medians, ranges and the command."""

import fnmatch
import textwrap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from avfusion_benchmarks.rows import Row

Columns = Mapping[str, float]
Ranges = Mapping[str, Mapping[str, Sequence[float]]]

AGAINST = "times as fast"


class Goal(NamedTuple):
    """What rows are to reach.

    Attributes:
      pattern: of their names; the first goal whose pattern fits counts.
      column: the number that counts.
      wanted: its smallest value; the largest one if `at_most`.
      reason: why it is out of reach, where that has been measured.
    """

    pattern: str
    column: str
    wanted: float
    at_most: bool = False
    reason: str = ""


GOALS = (
    Goal("train/jca/jca", AGAINST, 1.6),
    Goal(
        "train/ave/av_att",
        AGAINST,
        1.3,
        reason="37.6 of its 43 GFLOP are two dense layers over 490 regions a video (Eq. 4), the same matrix products "
        "in both forms; even the plain step runs at three quarters of the rate of the machine's best matrix product",
    ),
    Goal("train/*", AGAINST, 1.0),
    Goal("long-file/*", "ratio to the sum", 1.2, at_most=True),
    Goal(
        "against-torchvision/mc3_18",
        "ratio",
        1.1,
        at_most=True,
        reason="on a processor without AVX-512 VNNI, TensorFlow computes gradients of 3x3x3 convolutions without "
        "oneDNN's kernels, which torchvision uses: 600 ms instead of 230 (1x16x56x56x64), four times a step; the row "
        "against-torchvision/mc3_18-onednn has them",
    ),
    Goal("against-torchvision/*", "ratio", 1.1, at_most=True),
    Goal("input/hdf5-against-plain", AGAINST, 1.0),
    Goal("start-up/*", "ms", 1000, at_most=True),
    Goal("pictures/*", "share of pictures", 0.15, at_most=True),
)
# A median nearer to a goal than this share of it is neither reached nor missed: repetitions differ by as much.
_LEVEL = 0.03

_INTRODUCTION = """# Speed and memory

Written by the benchmark; do not edit it by hand. A row is measured in a process of its own, each quantity in turn with
those that it is compared with, so that other load slows all of them alike: ratios are more certain than times.

```
{command}
```
{processor}, {cores} cores; {system}; Python {python}, TensorFlow {tensorflow}, Keras {keras}. The load of the machine
was {least:.1f} to {most:.1f} when the rows began, so times of two rows may differ by their load alone. A number
is the median, the range behind it is that of all repetitions; without one, the row was measured once. With `--rows`
some rows are measured, and the others of the page stay.

On a processor without AVX-512 VNNI, TensorFlow leaves oneDNN's kernels off; `TF_ENABLE_ONEDNN_OPTS=1` in front of a
command turns them on, and rows named `onednn` say what that changes. Results then differ by rounding, and the command
that is stored with them says so.

"Plain" is the same network with what Keras brings: its LSTM, its Adam, equations step by step. "Share of matmul" is
the arithmetic per second over that of one large matrix product, the machine's best."""


def page(
    machine: Mapping,
    command: str,
    rows: Sequence[Row],
    results: Mapping[str, Columns],
    ranges: Ranges,
    loads: Mapping[str, float],
) -> str:
    """The whole page, of the rows that have results; `loads` are the machine's when each row began."""
    there = [row for row in rows if row.name in results]
    of_rows = [loads[row.name] for row in there if row.name in loads]
    parts = [_INTRODUCTION.format(command=command, least=min(of_rows), most=max(of_rows), **machine)]
    if len(there) < len(rows):
        parts.append(textwrap.fill(_left_out(rows, results), 120, break_long_words=False, break_on_hyphens=False))
    parts.append(tables(there, results, ranges))
    met = [line for row in there if (line := _goal(row.name, results[row.name], ranges.get(row.name, {})))]
    if met:
        head = ["| row | number | goal | measured | |", "| --- | --- | ---: | ---: | --- |"]
        note = f'"Level" is a median that misses its goal by less than {100 * _LEVEL:.0f} %.'
        parts.append("\n".join(["## Goals", "", note, "", *head, *met]))
    return "\n\n".join(parts) + "\n"


def _left_out(rows: Sequence[Row], results: Mapping[str, Columns]) -> str:
    """Which rows were not measured, by the first part of their names."""
    kinds: dict[str, list[bool]] = {}
    for row in rows:
        kinds.setdefault(row.name.partition("/")[0], []).append(row.name in results)
    missing = [
        f"`{kind}/*` ({'all' if not any(there) else f'{there.count(False)} of'} {len(there)})"
        for kind, there in kinds.items()
        if not all(there)
    ]
    return f"Not the whole benchmark: rows that were not measured for this page are {', '.join(missing)}."


def _goal(name: str, columns: Columns, between: Mapping[str, Sequence[float]]) -> str:
    goal = next((each for each in GOALS if fnmatch.fnmatchcase(name, each.pattern)), None)
    if goal is None or goal.column not in columns:
        return ""
    measured = columns[goal.column]
    lacking = (measured - goal.wanted if goal.at_most else goal.wanted - measured) / goal.wanted
    if lacking <= 0:
        outcome = "reached"
    elif lacking < _LEVEL:
        outcome = f"level (range {'-'.join(map(_number, between.get(goal.column, [measured, measured])))})"
    else:
        outcome = f"missed: {goal.reason}" if goal.reason else "missed"
    wanted = f"at {'most' if goal.at_most else 'least'} {goal.wanted:,}"
    return _line([name, goal.column, wanted, f"{measured:,.0f}" if measured >= 100 else f"{measured:.2f}", outcome])


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
