"""Extraction in parts, for clusters without an engine: job I of N takes the I-th stretch of the files.

Each part is a folder of its own in the folder of features, so that the jobs share nothing and no step has to put them
together: `store.FeatureShards` reads the parts in order, which is the order of the files.
"""

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from avpipeline.errors import InputError

_FORM = re.compile(r"(\d{1,6})/(\d{1,6})")
_FOLDER = re.compile(r"part-([1-9]\d{0,5})-of-([1-9]\d{0,5})")


@dataclasses.dataclass(frozen=True)
class Part:
    """One stretch of a list of files."""

    number: int  # from 1 to `of`
    of: int
    files: str  # hash of the ids of all files

    def __post_init__(self):
        if not (type(self.number) is type(self.of) is int and type(self.files) is str and 1 <= self.number <= self.of):
            raise ValueError("a part is one of several")

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return folder_name(self.number, self.of)


def folder_name(number: int, of: int) -> str:
    return f"part-{number}-of-{of}"


def parse_part(text: str, ids: Iterable[str]) -> Part:
    """The part "I/N" of files with these ids; InputError for anything else."""
    match = _FORM.fullmatch(text)
    number, of = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= of:
        raise InputError(f"--part {text}: is not of the form I/N with I from 1 to N; give for example 1/8 to 8/8.")
    digest = hashlib.sha256()
    for name in ids:
        digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
    return Part(number, of, digest.hexdigest())


def stretch(part: Part, clips: Mapping[str, Path]) -> dict[str, Path]:
    """The files of a part; the parts differ in length by at most one file."""
    items = list(clips.items())
    start, stop = (len(items) * number // part.of for number in (part.number - 1, part.number))
    return dict(items[start:stop])


def is_part(name: str) -> bool:
    """Whether a folder of this name is one of a part."""
    return _FOLDER.fullmatch(name) is not None


def part_folders(folder) -> dict[tuple[int, int], Path]:
    """(number, number of parts) -> folder, for each part in a folder."""
    found = {}
    for path in Path(folder).glob("part-*-of-*"):
        match = _FOLDER.fullmatch(path.name)
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
                f"{folder}: lacks part {missing[0]} of {of} ({folder_name(missing[0], of)}; {len(missing)} are missing "
                f"in all); extract it (--part {missing[0]}/{of}), or copy its folder here."
            )
    return list(found.values())
