"""Checks of shards in YouTube-8M's format: all files and records are inspected, faults are named."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from google.protobuf.message import DecodeError

from avpipeline.cli.progress import ProgressBar
from avpipeline.datasets.checks.findings import Finding, missing, note, ok, wrong
from avpipeline.datasets.checks.lists import require_folder
from avpipeline.errors import InputError

if TYPE_CHECKING:
    from avpipeline.datasets.youtube8m.files import Damage

# Faulty records of a group of files that are listed one by one.
_TOLD = 3


def check_youtube8m(folder, values: bool = True) -> Iterator[Finding]:
    """Checks a folder with the files of all splits; `values` reads every record, otherwise they are counted.

    Raises:
      InputError: the folder does not exist, or holds none of these files.
    """
    from avpipeline.datasets.youtube8m.splits import VOCABULARY_FILE, split_files, vocabulary_entries
    from avpipeline.datasets.youtube8m.writing import read_description

    folder = Path(folder)
    splits = split_files(folder)
    shards = [str(Path(path).relative_to(folder)) for paths in splits.values() for path in paths]
    require_folder(folder, [VOCABULARY_FILE, *(shards or ["train*.tfrecord"])], "YouTube-8M's")
    num_classes = None
    try:
        numbers = vocabulary_entries(folder / VOCABULARY_FILE)
        num_classes = len(numbers) if set(numbers) == set(range(len(numbers))) else None
        gaps = "" if num_classes else f" of numbers up to {max(numbers, default=0)}, not all numbers are there"
        yield ok(VOCABULARY_FILE, f"{len(numbers)} classes{gaps}")
    except InputError as error:
        absent = not (folder / VOCABULARY_FILE).exists()
        yield missing(VOCABULARY_FILE, "names of the classes") if absent else wrong(VOCABULARY_FILE, str(error))
    try:
        description = read_description(folder)
        yield ok("features", ", ".join(f"{name} {info.label}" for name, info in description.features.items()))
    except InputError as error:
        yield wrong("features", str(error))
    for split, use in (("train", "training"), ("val", "choosing weights and thresholds"), ("test", "the result")):
        if split in splits:
            yield from check_shards(split, splits[split], num_classes=num_classes, values=values)
        else:
            yield missing(split, use)


def check_shards(
    about: str,
    paths: Sequence[str],
    *,
    num_classes: int | None = None,
    values: bool = True,
    each: Callable[[Callable, Sequence], Iterable] = map,
) -> Iterator[Finding]:
    """Checks the records of a group of files, which must all have the same form.

    Args:
      about: the subject of the findings.
      num_classes: labels must be below it; None accepts any, and the highest is reported.
      values: read every record; False counts them and checks the first.
      each: like `map`: applies the check to each file (`cli.cluster.mapped` on a Ray cluster).
    """
    from avpipeline.datasets.youtube8m.counts import remember
    from avpipeline.datasets.youtube8m.files import count_records, first_record

    try:
        survey = _Survey(paths[0], first_record(paths[0]), num_classes)
        if not values:
            count = count_records(paths)
            yield ok(about, f"{len(paths)} files, {count} videos; {survey.form()}")
            return
    except InputError as error:
        yield wrong(about, str(error))
        return
    # A copy, since this survey grows while the files are read.
    survey_of, counts = partial(_surveyed, copy.deepcopy(survey)), {}
    surveys = ProgressBar(each(survey_of, list(paths)), desc="checking", total=len(paths), unit="file", leave=False)
    for path, (found, damage) in zip(paths, surveys, strict=True):
        if not damage:
            counts[path] = found.videos + len(found.problems)
        survey.take(path, found)
        if damage:
            yield wrong(about, f"{path}: {damage.text()}; copy this file again, or skip what is damaged.")
    remember(counts)
    for problem in survey.problems[:_TOLD]:
        yield wrong(about, problem)
    if len(survey.problems) > _TOLD:
        yield wrong(about, f"{len(survey.problems) - _TOLD} more videos that cannot be used")
    for modality, videos in survey.without().items():
        yield note(about, f"{videos} videos without {modality}; as it is an error, or zeros (missing 'zeros')")
    if survey.unlabelled:
        yield note(about, f"{survey.unlabelled} videos without labels")
    if survey.videos:
        yield ok(about, f"{len(paths)} files, {survey.text()}")


def _surveyed(empty: _Survey, path: str) -> tuple[_Survey, Damage]:
    """One file's survey, begun as `empty`, and what is damaged in it."""
    from avpipeline.datasets.youtube8m.files import Damage

    survey, damage = copy.deepcopy(empty), Damage()
    for data in _records(path, damage):
        survey.add(path, data)
    return survey, damage


def _records(path: str, damage: Damage) -> Iterator[bytes]:
    """All intact records of a file, read by TensorFlow up to the first damaged one and by our own reader from there."""
    import tensorflow as tf

    from avpipeline.datasets.youtube8m.files import FRAMING, intact_records

    position = 0
    for record in tf.data.TFRecordDataset(path, buffer_size=1 << 20).ignore_errors().as_numpy_iterator():
        position += len(record) + FRAMING
        yield record
    yield from intact_records(path, position, damage)


class _Survey:
    """What a group of files contains.

    Attributes:
      videos: number of usable ones; unlabelled: number of those without labels.
      problems: a sentence for each video that is not usable.
    """

    def __init__(self, path: str, first: bytes, num_classes: int | None):
        from avpipeline.datasets.youtube8m.records import FILE_NAMES, MODALITIES, Expected, decoded

        record = decoded(path, first)
        level = "segment" if record.has_segments else record.level or "video"
        widths = {name: width for name in MODALITIES if (width := record.width(name))}
        std = level == "video" and all(record.floats(f"std_{FILE_NAMES[name]}") for name in widths)
        limit = np.iinfo(np.int64).max if num_classes is None else num_classes
        self._widths = widths
        self._expected = Expected(level, widths, std, limit, zeros=True)
        self._having = dict.fromkeys(MODALITIES, 0)
        self.videos, self.unlabelled, self.problems = 0, 0, []
        self._labels, self._highest, self._frames, self._segments = 0, -1, [], 0

    def add(self, path: str, data: bytes) -> None:
        from avpipeline.datasets.youtube8m.records import Record

        self._learn_widths(data)
        problem = self._expected.problem(data)
        if problem:
            self.problems.append(f"{path}: {name_of(data)} {problem}")
            return
        record = Record(data)
        for name in self._widths:
            self._having[name] += record.width(name) is not None
        labels = record.integers("labels")
        self.videos += 1
        self.unlabelled += not labels
        self._labels += len(labels)
        self._highest = max(self._highest, *labels, -1)
        if self._expected.level != "video":
            self._frames.append(max(len(record.frames(name)) for name in self._widths))
            self._segments += len(record.integers("segment_labels"))

    def take(self, path: str, other: _Survey) -> None:
        """Adds what was found in the file `path`."""
        for name, width in other._widths.items():
            if self._widths.setdefault(name, width) != width:
                self.problems.append(
                    f"{path}: has {name} features of {width} numbers where {self._widths[name]} are expected; do not "
                    "mix these files."
                )
        for name, count in other._having.items():
            self._having[name] += count
        self.videos += other.videos
        self.unlabelled += other.unlabelled
        self.problems += other.problems
        self._labels += other._labels
        self._highest = max(self._highest, other._highest)
        self._frames += other._frames
        self._segments += other._segments

    def _learn_widths(self, data: bytes) -> None:
        """Takes the width of a modality from the first video that has it; the very first video may lack one."""
        from avpipeline.datasets.youtube8m.records import MODALITIES, Record

        if len(self._widths) < len(MODALITIES):
            with contextlib.suppress(DecodeError):
                record = Record(data)
                for name in MODALITIES:
                    if name not in self._widths and record.width(name):
                        self._widths[name] = record.width(name)

    def without(self) -> dict[str, int]:
        """Modality -> number of usable videos that lack it, for modalities that only some have."""
        lacking = {name: self.videos - self._having[name] for name in self._widths}
        return {name: count for name, count in lacking.items() if count}

    def form(self) -> str:
        widths = " and ".join(f"{width} numbers of {name}" for name, width in self._widths.items())
        std = " and their standard deviation" if self._expected.std else ""
        return f"{self._expected.level} level with {widths}{std}"

    def text(self) -> str:
        parts = [f"{self.videos} usable videos", self.form()]
        if self._frames:
            parts.append(f"{min(self._frames)} to {max(self._frames)} frames")
        if self._segments:
            parts.append(f"{self._segments} labels of segments")
        if self._labels:
            parts.append(f"{self._labels / self.videos:.2f} labels a video, the highest is {self._highest}")
        return "; ".join(parts)


def name_of(data: bytes) -> str:
    """ "video 'x'" of a record, as far as it can be decoded."""
    from avpipeline.datasets.youtube8m.records import Record

    try:
        return f"video '{Record(data).id}'"
    except DecodeError:
        return "a record"
