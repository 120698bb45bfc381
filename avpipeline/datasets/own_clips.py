"""Your own dataset: clips.csv, a table of clips and labels."""

from pathlib import Path

import numpy as np

from avpipeline.datasets.listings import (
    Row,
    class_number,
    numbered,
    read_lines,
    read_names,
    read_table,
    require_unique,
)
from avpipeline.datasets.video_lists import VideoList
from avpipeline.errors import InputError

SPLITS = ("train", "val", "test")
CLIPS, CLASSES = "clips.csv", "classes.txt"
BETWEEN_LABELS = ";"


def read_clips_csv(data_dir, name: str) -> VideoList:
    """One split of your own clips.

    Args:
      data_dir: folder with clips.csv, which has the columns id (the clip's file name without folder and extension),
        labels (one or more classes, separated by ";") and split (train, val or test); further columns are ignored.
        classes.txt lists the classes in label order, one a line; without it they are the sorted names in clips.csv.
      name: "train", "val" or "test".

    Raises:
      InputError: the file is missing or malformed, a class is not in classes.txt, an id occurs twice, the split is
        empty.
    """
    if name not in SPLITS:
        raise InputError(f"csv: has no split '{name}', only {', '.join(SPLITS)}.")
    path = Path(data_dir) / CLIPS
    rows = read_table(path, ("id", "labels", "split"), heading=True)
    require_unique(rows, lambda row: row["id"])
    for row in rows:
        if row["split"] not in SPLITS:
            raise row.error(f"has the split '{row['split']}', which is none of {', '.join(SPLITS)}")
    names = own_classes(data_dir, rows)
    numbers = numbered(names)
    # Of all rows, so that a mistake is found whichever split is read.
    labels = np.zeros((len(rows), len(names)), np.float32)
    for video, row in zip(labels, rows, strict=True):
        video[[class_number(row, label, numbers, CLASSES) for label in _labels(row)]] = 1
    chosen = [number for number, row in enumerate(rows) if row["split"] == name]
    if not chosen:
        raise InputError(f"{path}: has no clip in split '{name}'; assign some rows to that split.")
    everything = VideoList("csv", name, tuple(row["id"] for row in rows), names, labels)
    return everything.select(chosen)


def own_classes(data_dir, rows: list[Row]) -> tuple[str, ...]:
    """The class names in label order."""
    path = Path(data_dir) / CLASSES
    if path.exists():
        return read_names(path, len(read_lines(path)))
    return tuple(sorted({label for row in rows for label in _labels(row)}))


def _labels(row: Row) -> list[str]:
    labels = [label.strip() for label in row["labels"].split(BETWEEN_LABELS)]
    if not all(labels):
        raise row.error(f"has an empty label in {row['labels']!r}")
    return labels
