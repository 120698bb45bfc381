"""What a check of a dataset's files found out."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of a report.

    Attributes:
      kind: "ok" (as it should be), "note" (odd, but so published), "missing", "wrong" (must be repaired).
      about: the file, or what of the dataset.
      text: what was found.
    """

    kind: Literal["ok", "note", "missing", "wrong"]
    about: str
    text: str


def ok(about: str, text: str) -> Finding:
    return Finding("ok", about, text)


def note(about: str, text: str) -> Finding:
    return Finding("note", about, text)


def missing(about: str, text: str) -> Finding:
    """`text` says what the file is for."""
    return Finding("missing", about, text)


def wrong(about: str, text: str) -> Finding:
    return Finding("wrong", about, text)
