"""Extraction in parts, for clusters without an engine: job I of N takes the I-th stretch of the files.

Each part is a folder of its own in the folder of features, so that the jobs share nothing and no step has to put them
together: `store.FeatureShards` reads the parts in order, which is the order of the files.
"""

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from avpipeline.errors import InputError

T = TypeVar("T")
_FORM = re.compile(r"(\d{1,6})/(\d{1,6})")
FOLDER = re.compile(r"part-([1-9]\d{0,5})-of-([1-9]\d{0,5})")


@dataclasses.dataclass(frozen=True)
class Part:
    """One stretch of a list of files.

    Attributes:
      number: from 1 to `of`.
      of: number of parts.
      files: hash of the ids of all files, of which this is a part.
    """

    number: int
    of: int
    files: str

    def __post_init__(self):
        if not (type(self.number) is type(self.of) is int and type(self.files) is str and 1 <= self.number <= self.of):
            raise ValueError("a part is one of several")

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return f"part-{self.number}-of-{self.of}"


def part_of(text: str, clips: Mapping[str, T]) -> tuple[Part, dict[str, T]]:
    """The part "I/N" of some clips (id -> file), and those in it; parts differ by at most one file.

    InputError for a text of another form.
    """
    match = _FORM.fullmatch(text)
    number, of = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= of:
        raise InputError(f"--part {text}: is not of the form I/N with I from 1 to N; give for example 1/8 to 8/8.")
    ids = b"".join(name.encode("utf-8", "surrogateescape") + b"\0" for name in clips)
    start, stop = (len(clips) * end // of for end in (number - 1, number))
    return Part(number, of, hashlib.sha256(ids).hexdigest()), dict(list(clips.items())[start:stop])


def part_folders(folder) -> dict[tuple[int, int], Path]:
    """(number, number of parts) -> folder, for each part in a folder."""
    found = {}
    for path in Path(folder).glob("part-*-of-*"):
        match = FOLDER.fullmatch(path.name)
        if match and path.is_dir():
            found[int(match[1]), int(match[2])] = path
    return dict(sorted(found.items()))


def all_parts(folder) -> list[Path]:
    """The folders of the parts in a folder, in order; none where it was not extracted in parts.

    Raises:
      InputError: a part is missing, or there are parts of several divisions.
    """
    found = part_folders(folder)
    divisions = sorted({of for _, of in found})
    if len(divisions) > 1:
        raise InputError(
            f"{folder}: holds parts of {' and of '.join(map(str, divisions))}; keep those of one extraction there."
        )
    for of in divisions:
        missing = [number for number in range(1, of + 1) if (number, of) not in found]
        if missing:
            raise InputError(
                f"{folder}: lacks part {missing[0]} of {of} (part-{missing[0]}-of-{of}; {len(missing)} are missing in "
                f"all); extract it (--part {missing[0]}/{of}), or copy its folder here."
            )
    return list(found.values())
