"""What files of records contain, for the checks of a folder: every record is read, and faults are named."""

import contextlib
import dataclasses
from collections import Counter

import numpy as np
from google.protobuf.message import DecodeError

from avpipeline.datasets.youtube8m.files import FRAMING, Damage, intact_beginning, intact_records
from avpipeline.datasets.youtube8m.records import FILE_NAMES, MODALITIES, Expected, Record, decoded, other_width


def expected_like(path: str, first: bytes, num_classes: int | None) -> Expected:
    """What a record must contain to be like the first one, of the file `path`; without `num_classes` any labels."""
    record = decoded(path, first)
    level = "segment" if record.has_segments else record.level or "video"
    widths = {name: width for name in MODALITIES if (width := record.width(name))}
    std = level == "video" and all(record.floats(f"std_{FILE_NAMES[name]}") for name in widths)
    limit = np.iinfo(np.int64).max if num_classes is None else num_classes
    return Expected(level, widths, std, limit, zeros=True)


class Survey:
    """What a file or a group of files contains, nothing at first.

    Attributes:
      counts: numbers of usable "videos", of "unlabelled" ones among them, of those with "audio" and with "visual"
        features, of "labels" and of labels of "segments".
      problems: a sentence for each video that is not usable.
    """

    def __init__(self, expected: Expected):
        # The very first video may lack a modality: its width is that of the first video that has it.
        self._widths = dict(expected.widths)
        self._expected = dataclasses.replace(expected, widths=self._widths)
        self.counts, self.problems = Counter(), []
        self._highest, self._frames = -1, []

    def add(self, path: str, data: bytes) -> None:
        if len(self._widths) < len(MODALITIES):
            with contextlib.suppress(DecodeError):
                self._widths |= {
                    name: width
                    for name in MODALITIES
                    if name not in self._widths and (width := Record(data).width(name))
                }
        problem = self._expected.problem(data)
        if problem:
            self.problems.append(f"{path}: {problem}")
            return
        record = Record(data)
        labels = record.integers("labels")
        self.counts.update(name for name in self._widths if record.width(name) is not None)
        self.counts.update(videos=1, unlabelled=int(not labels), labels=len(labels))
        self._highest = max(self._highest, *labels, -1)
        if self._expected.level != "video":
            self._frames.append(max(len(record.frames(name)) for name in self._widths))
            self.counts["segments"] += len(record.integers("segment_labels"))

    def take(self, path: str, other: "Survey") -> None:
        """Adds what was found in the file `path`."""
        for name, width in other._widths.items():
            if self._widths.setdefault(name, width) != width:
                self.problems.append(f"{path}: {other_width(name, width, self._widths[name])}")
        self.counts.update(other.counts)
        self.problems += other.problems
        self._highest = max(self._highest, other._highest)
        self._frames += other._frames

    def without(self) -> dict[str, int]:
        """Modality -> number of usable videos that lack it, for modalities that only some have."""
        lacking = {name: self.counts["videos"] - self.counts[name] for name in self._widths}
        return {name: count for name, count in lacking.items() if count}

    def form(self) -> str:
        widths = " and ".join(f"{width} numbers of {name}" for name, width in self._widths.items())
        std = " and their standard deviation" if self._expected.std else ""
        return f"{self._expected.level} level with {widths}{std}"

    def text(self) -> str:
        videos, labels, segments = (self.counts[name] for name in ("videos", "labels", "segments"))
        parts = [f"{videos} usable videos", self.form()]
        if self._frames:
            parts.append(f"{min(self._frames)} to {max(self._frames)} frames")
        if segments:
            parts.append(f"{segments} labels of segments")
        if labels:
            parts.append(f"{labels / videos:.2f} labels a video, the highest is {self._highest}")
        return "; ".join(parts)


def surveyed(expected: Expected, path: str) -> tuple[Survey, Damage]:
    """What one file contains, and what is damaged in it."""
    survey, damage, position = Survey(expected), Damage(), 0
    # TensorFlow reads fast up to the first damaged record, our own reader the rest.
    for data in intact_beginning(path).as_numpy_iterator():
        position += len(data) + FRAMING
        survey.add(path, data)
    for data in intact_records(path, position, damage):
        survey.add(path, data)
    return survey, damage
