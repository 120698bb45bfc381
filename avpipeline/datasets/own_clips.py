"""Your own dataset: clips.csv, a table of clips, labels and, where known, when they begin and end.

Tables of whole videos have the columns `clip,label`, tables of segments `clip,start,end,label`; both have a column
`split` or come with splits.csv. A clip has one row per label; the columns `id` and `labels` (several) are read too.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from avpipeline.datasets.ave import BACKGROUND
from avpipeline.datasets.base import SPLITS, Split, require_split
from avpipeline.datasets.listings import Row, class_number, numbered, read_lines, read_names, read_table, require_unique
from avpipeline.datasets.video_lists import VideoList, join_features, name_hash, one_hot, with_background
from avpipeline.errors import InputError

CLIPS, CLASSES, SPLIT_FILE = "clips.csv", "classes.txt", "splits.csv"
_ENDINGS = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".flv", ".wmv", ".3gp", ".ts"),
    *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac"),
)


@dataclasses.dataclass(frozen=True)
class Event:
    """A label of a clip, in seconds from its beginning; `start` and `end` are None where only the label is known."""

    label: str
    start: float | None
    end: float | None
    row: Row


@dataclasses.dataclass(frozen=True)
class Clip:
    """A clip of the table.

    Attributes:
      name: its file name without folder and extension.
      split: "train", "val" or "test".
      events: its labels; background is none.
    """

    name: str
    split: str
    events: tuple[Event, ...]


def read_clips(path, *, splits: Path | None = None, only: str | None = None) -> tuple[Clip, ...]:
    """The clips of a table in the order of their first rows.

    Args:
      splits: a table with the columns clip and split, for a table without that column.
      only: the split of all clips of a table without that column.

    Raises:
      InputError: a file is missing or malformed, a row is there twice, times are invalid, splits disagree.
    """
    path = Path(path)
    heading = [name.strip() for name in read_lines(path)[0].split(",")]
    of_whole_clips = not {"id", "labels"}.isdisjoint(heading)
    columns = ("id", "labels") if of_whole_clips else ("clip", "label")
    split_of = None
    if "split" not in heading and splits is not None and splits.exists():
        listed = read_table(splits, ("clip", "split"), heading=True)
        require_unique(listed, lambda row: _name(row["clip"]))
        split_of = {_name(row["clip"]): row for row in listed}
    rows = read_table(path, columns if split_of or only else (*columns, "split"), heading=True)
    keys = columns[:1] if of_whole_clips else ("clip", "start", "end", "label")
    require_unique(rows, lambda row: " ".join(row.fields.get(name, "") for name in keys).strip())
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(_name(row[columns[0]]), []).append(row)
    return tuple(
        Clip(name, _split(name, own, split_of, only), tuple(event for row in own for event in _events(row, columns[1])))
        for name, own in found.items()
    )


def _name(written: str) -> str:
    name = written.replace("\\", "/").rpartition("/")[2]
    return name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in _ENDINGS else name


def _split(name: str, rows: Sequence[Row], split_of: dict[str, Row] | None, only: str | None) -> str:
    """The split of a clip, the same in all its rows."""
    if split_of is not None:
        if name not in split_of:
            raise rows[0].error(f"names '{name}', which {SPLIT_FILE} puts into no split")
        rows = [split_of[name]]
    splits = [row.fields.get("split") or only or "" for row in rows]
    for row, split in zip(rows, splits, strict=True):
        if split not in SPLITS:
            raise row.error(f"has the split '{split}', which is none of {', '.join(SPLITS)}")
        if split != splits[0]:
            raise row.error(f"puts '{name}' into {split}, line {rows[0].line} into {splits[0]}")
    return splits[0]


def _events(row: Row, label_column: str) -> list[Event]:
    times = {name: row.number(name) for name in ("start", "end") if row.fields.get(name)}
    if len(times) == 1:
        raise row.error("has a start or an end alone; give both, or neither where only the label is known")
    start, end = times.get("start"), times.get("end")
    if start is not None and end is not None and not start < end:
        raise row.error(f"ends at {end:g} s, before it has begun ({start:g} s)")
    labels = [label.strip() for label in row[label_column].split(";")]
    if not all(labels):
        raise row.error(f"has an empty label in {row[label_column]!r}")
    is_timed = "start" in row.fields
    return [Event(label, start, end, row) for label in labels if not (is_timed and label == BACKGROUND)]


def read_own(data_dir) -> tuple[tuple[Clip, ...], tuple[str, ...]]:
    """All clips of a folder, and the classes in label order: those of classes.txt, else the sorted labels.

    Raises:
      InputError: as `read_clips`, or a label is not in classes.txt.
    """
    folder = Path(data_dir)
    clips = read_clips(folder / CLIPS, splits=folder / SPLIT_FILE)
    path = folder / CLASSES
    events = [event for clip in clips for event in clip.events]
    names = tuple(sorted({event.label for event in events}))
    if path.exists():
        names = read_names(path, len(read_lines(path)))
    if not names:
        raise InputError(f"{folder / CLIPS}: labels nothing but {BACKGROUND}; label the events too.")
    numbers = numbered(names)
    # All clips are checked, so that a mistake is found whichever split is read.
    for event in events:
        class_number(event.row, event.label, numbers, CLASSES)
    return clips, names


def read_clips_csv(data_dir, name: str) -> VideoList:
    """One split of your own clips, with the labels of whole videos; clips of background alone are left out.

    Args:
      data_dir: folder with clips.csv and, if wanted, classes.txt, the classes in label order, one a line.

    Raises:
      InputError: as `read_own`; there is no such split, or it is empty.
    """
    clips, names = _of_split(data_dir, name)
    labelled = tuple(clip for clip in clips if clip.events)
    if not labelled:
        raise InputError(f"{Path(data_dir) / CLIPS}: split '{name}' has {BACKGROUND} alone; label some events in it.")
    return _listed(labelled, name, names)


def _listed(clips: Sequence[Clip], name: str, names: tuple[str, ...]) -> VideoList:
    numbers = numbered(names)
    labels = np.zeros((len(clips), len(names)), np.float32)
    for video, clip in zip(labels, clips, strict=True):
        video[[numbers[event.label] for event in clip.events]] = 1
    return VideoList("csv", name, tuple(clip.name for clip in clips), names, labels)


def load_own_segments(data_dir, name: str, *, modalities: Iterable[str] | None = None, weak: bool = False) -> Split:
    """One split of your own clips with a label a second: `(videos, seconds, classes)`, the last class is background.

    A second belongs to an event that covers its middle.

    Args:
      data_dir: folder with clips.csv and the features that `avpipeline.extract` made of the clips.
      modalities: the inputs needed; None for all that are stored.
      weak: with labels of whole videos instead, `(videos, classes)`; times are not needed then.

    Raises:
      InputError: as `read_clips_csv`; features are missing, an event has no times or ends after the features, two
        events with different labels share a second.
    """
    own, events = _of_split(data_dir, name)
    split = join_features(_listed(own, name, events), data_dir, modalities=modalities, zero_padded=False)
    clips = {clip.name: clip for clip in own}
    names, seconds = (*events, BACKGROUND), next(iter(split.inputs.values())).shape[0]
    if weak:
        labels = with_background(split.labels)
    else:
        numbers = numbered(names)
        labels = one_hot([_seconds(clips[clip], numbers, seconds) for clip in split.ids], len(names))
    return dataclasses.replace(split, class_names=names, labels=labels)


def _seconds(clip: Clip, numbers: dict[str, int], seconds: int) -> np.ndarray:
    """The class of each second of a clip, `(seconds,)`."""
    middles = np.arange(seconds) + 0.5
    classes = np.full(seconds, numbers[BACKGROUND])
    for event in clip.events:
        if event.start is None or event.end is None:
            raise event.row.error("has no start and end, which are needed to label seconds")
        if event.end > seconds + 0.5:
            raise event.row.error(f"ends at {event.end:g} s where features are of {seconds} s; extract longer ones")
        covered = (event.start <= middles) & (middles < event.end)
        if (classes[covered] != numbers[BACKGROUND])[classes[covered] != numbers[event.label]].any():
            raise event.row.error(f"shares a second with another event of '{clip.name}'; a second has one label")
        classes[covered] = numbers[event.label]
    return classes


def _of_split(data_dir, name: str) -> tuple[tuple[Clip, ...], tuple[str, ...]]:
    require_split("csv", name)
    clips, names = read_own(data_dir)
    chosen = tuple(clip for clip in clips if clip.split == name)
    if not chosen:
        raise InputError(f"{Path(data_dir) / CLIPS}: has no clip in split '{name}'; assign some to that split.")
    # Tables are often sorted by label; a paper's code may take batches in list order, its own list being shuffled.
    return (tuple(sorted(chosen, key=lambda clip: name_hash(clip.name))) if name == "train" else chosen), names
