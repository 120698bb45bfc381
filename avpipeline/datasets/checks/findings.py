"""What a check of a dataset's files has found."""

import dataclasses
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from avpipeline.cli.progress import ProgressBar
from avpipeline.datasets.base import Source
from avpipeline.datasets.listings import some
from avpipeline.errors import InputError

_ROWS_AT_ONCE = 16


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of a report.

    Attributes:
      kind: "ok" (as expected), "note" (odd, but published so), "missing", "wrong" (must be fixed).
      about: the file or the part of the dataset.
      text: what was found.
    """

    kind: Literal["ok", "note", "missing", "wrong"]
    about: str
    text: str


ok, note, wrong = partial(Finding, "ok"), partial(Finding, "note"), partial(Finding, "wrong")
# Its text says what the file is for.
missing = partial(Finding, "missing")


def expect(about: str, right: bool, text: str, expected: str) -> Finding:
    """Ok if `right`, else wrong, with what was expected."""
    return ok(about, text) if right else wrong(about, f"{text}, {expected} expected")


def failed(path: Path, error: InputError) -> Finding:
    """Wrong, with the message of an error about that file."""
    return wrong(path.name, str(error).removeprefix(f"{path}: "))


def tried(path: Path, purpose: str, read: Callable[..., Any], *arguments, **options) -> Generator[Finding, None, Any]:
    """Returns the result of `read`, or None after the finding that the file is missing or cannot be used.

    `purpose` is what a missing file would be for, "" where it is known to be there.
    """
    if purpose and not path.exists():
        yield missing(path.name, purpose)
        return None
    try:
        return read(*arguments, **options)
    except InputError as error:
        yield failed(path, error)


def value_findings(name: str, source: Source, *, non_negative: bool) -> Iterator[Finding]:
    """Reads all rows, a few at a time; labels and the released features (after a ReLU) are `non_negative`."""
    bad, lowest, highest, zeros = [], np.inf, -np.inf, 0
    for start in ProgressBar(range(0, len(source), _ROWS_AT_ONCE), desc=name, unit="block", leave=False):
        for block in _good_blocks(source, np.arange(start, min(start + _ROWS_AT_ONCE, len(source))), bad):
            lowest, highest = min(lowest, block.min()), max(highest, block.max())
            zeros += int((block == 0).sum())
    if bad:
        yield wrong(name, f"{len(bad)} rows hold NaN or infinite numbers or cannot be read: {some(bad)}")
    if np.isfinite(lowest):
        numbers = (len(source) - len(bad)) * int(np.prod(source.shape))
        yield ok(name, f"numbers from {lowest:.4g} to {highest:.4g}, {zeros / numbers:.1%} of them zero")
    if non_negative and lowest < 0:
        yield wrong(name, "holds negative numbers, but the published file has none; this is another file")


def _good_blocks(source: Source, rows: np.ndarray, bad: list[int]) -> Iterator[np.ndarray]:
    """The rows together, or one by one if one of them is bad; bad ones are appended to `bad`."""
    try:
        yield source.read(rows)
    except InputError:
        for row in rows:
            try:
                yield source.read(row[np.newaxis])
            except InputError:
                bad.append(int(row))


def reported(findings: Iterable[Finding]) -> int:
    """Prints findings as they are made, and a verdict; returns the exit status: 0 when nothing is wrong, else 2."""
    made = []
    for finding in findings:
        ProgressBar.write(f"  {finding.kind:<8}{finding.about}: {finding.text}")
        made.append(finding)
    faulty, absent = (dict.fromkeys(item.about for item in made if item.kind == kind) for kind in ("wrong", "missing"))
    notes = sum(item.kind == "note" for item in made)
    noted = f" ({notes} notes)" if notes else ""
    if faulty:
        print(f"Not usable as it is; wrong: {', '.join(faulty)}.")
        return 2
    print(f"Nothing is wrong{noted}; missing: {', '.join(absent)}." if absent else f"Complete and usable{noted}.")
    return 0
