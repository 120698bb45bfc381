"""Kinetics-400 and Kinetics-Sounds, those of its classes that can be both seen and heard (Kay et al., "The Kinetics
human action video dataset", 2017; Arandjelovic and Zisserman, "Look, listen and learn", 2017).

Three class lists of Kinetics-Sounds are in circulation. The original one has 34 names and predates Kinetics-400, in
which four of these classes have other names and three do not exist. The second has 32 names, those of Kinetics-400. The
third numbers 31 classes without naming them.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from avpipeline.datasets.base import require_choice, require_split
from avpipeline.datasets.listings import Row, class_number, numbered, read_names, read_table, require_unique
from avpipeline.datasets.video_lists import VideoList, of_official_list, one_hot, unshared
from avpipeline.errors import InputError

LABEL_MAP = "label_map_k400.txt"
LIST_FILES = {"train": ("train.csv",), "val": ("val.csv", "validate.csv"), "test": ("test.csv",)}
COLUMNS = ("label", "youtube_id", "time_start", "time_end")

NUMBERED_CLASSES = 31
NUMBERED_FILES = {"train": "ks_my_train.txt", "test": "ks_my_test.txt"}
NUMBERED_NAMES = "kinetics_sounds_31_names.txt"

_INSTRUMENTS = (
    "accordion, bagpipes, bass guitar, clarinet, drums, guitar, harmonica, keyboard, organ, piano, saxophone, "
    "trombone, trumpet, violin, xylophone"
)
_OTHERS = (
    "blowing nose, bowling, chopping wood, laughing, ripping paper, shoveling snow, shuffling cards, singing, "
    "tap dancing, tapping guitar, tapping pen, tickling"
)
_SAME_NAME = (*_OTHERS.split(", "), *(f"playing {instrument}" for instrument in _INSTRUMENTS.split(", ")))
# The original name -> Kinetics-400's.
RENAMED = {
    "blowing out": "blowing out candles",
    "dribbling ball": "dribbling basketball",
    "mowing the lawn by pushing lawnmower": "mowing lawn",
    "stomping": "stomping grapes",
}
# Original classes that Kinetics-400 does not have.
NOT_IN_KINETICS_400 = ("fingerpicking", "patting", "typing")

SOUNDS_CLASSES = {
    32: tuple(sorted((*_SAME_NAME, *RENAMED.values(), "strumming guitar"))),
    34: tuple(sorted((*_SAME_NAME, *RENAMED, *NOT_IN_KINETICS_400))),
}

_YOUTUBE = r"(?P<video>[\w-]{11})"
_NUMBERED_CLIP = re.compile(rf"{_YOUTUBE}_(?P<start>\d{{1,9}})(_(?P<end>\d{{1,9}}))?", re.ASCII)


def read_kinetics400(data_dir, name: str) -> VideoList:
    """One split of Kinetics-400 from its official lists: 400 classes, one label a video.

    Args:
      data_dir: folder with train.csv, val.csv (or validate.csv) and test.csv, which have at least the columns label,
        youtube_id, time_start and time_end, and with label_map_k400.txt; without the latter, the classes are the
        sorted names in train.csv, which gives the same order.

    Raises:
      InputError: a file is missing or malformed, a class is unknown, a clip is listed twice.
    """
    names = kinetics_classes(data_dir)
    return _video_list("kinetics400", name, _read_rows(data_dir, name, names), names, str)


def read_kinetics_sounds(data_dir, name: str, classes: int = 32) -> VideoList:
    """One split of Kinetics-Sounds with the classes of one of the three lists.

    The 32 or 34 classes are selected from Kinetics-400's official lists, with its splits. A class of the 34 is found
    under its original name or Kinetics-400's; the three of `NOT_IN_KINETICS_400` have no videos unless the lists
    contain them.

    The 31 classes are read from ks_my_train.txt and ks_my_test.txt, whose lines are `clip,seconds,number`. They are
    called "class 0" to "class 30" unless kinetics_sounds_31_names.txt, which users must supply, names them, one a line
    in numerical order. There is no validation list: a tenth of each class's training videos is held out.

    Raises:
      InputError: as `read_kinetics400`.
    """
    require_choice("kinetics_sounds", "list of classes", classes, (NUMBERED_CLASSES, *SOUNDS_CLASSES))
    if classes == NUMBERED_CLASSES:
        return _read_numbered(Path(data_dir), name)
    names = SOUNDS_CLASSES[classes]
    # Kinetics-400's name -> the list's name.
    own = {new: old for old, new in RENAMED.items() if old in names} | {name: name for name in names}
    known = (*kinetics_classes(data_dir), *own)
    rows = [row for row in _read_rows(data_dir, name, known) if row["label"] in own]
    return _video_list(f"kinetics_sounds-{classes}", name, rows, names, own.get)


def kinetics_classes(data_dir) -> tuple[str, ...]:
    """Kinetics-400's class names in label order: label_map_k400.txt, or the sorted names in train.csv."""
    path = Path(data_dir) / LABEL_MAP
    if path.exists():
        return read_names(path, 400)
    labels = {row["label"] for row in read_table(list_path(data_dir, "train"), COLUMNS, heading=True)}
    return tuple(sorted(labels))


def list_path(data_dir, name: str) -> Path:
    """Kinetics-400's official list of a split."""
    require_split("kinetics400", name)
    paths = [Path(data_dir) / file for file in LIST_FILES[name]]
    return next((path for path in paths if path.exists()), paths[0])


def _read_rows(data_dir, name: str, known: Sequence[str]) -> list[Row]:
    rows = read_table(list_path(data_dir, name), COLUMNS, heading=True)
    numbers = numbered(known)
    for row in rows:
        class_number(row, row["label"], numbers, "Kinetics-400")
        if not re.fullmatch(_YOUTUBE, row["youtube_id"], re.ASCII):
            raise row.error(f"has the youtube_id '{row['youtube_id']}', which is not of 11 characters")
        if row.number("time_start") >= row.number("time_end"):
            raise row.error(f"ends at {row['time_end']} s and starts at {row['time_start']} s")
    require_unique(rows, _clip)
    return rows


def _clip(row: Row) -> str:
    return _clip_name(row["youtube_id"], row.number("time_start"), row.number("time_end"))


def _clip_name(video: str, start: float, end: float) -> str:
    """The name that the common download tools give to a clip."""
    return f"{video}_{start:06.0f}_{end:06.0f}"


def _video_list(
    dataset: str, name: str, rows: Sequence[Row], names: Sequence[str], own_name: Callable[[str], str]
) -> VideoList:
    if not rows:
        raise InputError(f"{dataset}: the official list of split {name} has no video of its classes; check the files.")
    ids = tuple(_clip(row) for row in rows)
    aliases = [(f"{row['youtube_id']}_{row.number('time_start'):.0f}", row["youtube_id"]) for row in rows]
    numbers = numbered(names)
    labels = one_hot([numbers[own_name(row["label"])] for row in rows], len(names))
    return VideoList(dataset, name, ids, tuple(names), labels, aliases=unshared(ids, aliases))


def _read_numbered(folder: Path, name: str) -> VideoList:
    dataset = f"kinetics_sounds-{NUMBERED_CLASSES}"
    require_split(dataset, name)
    names = tuple(f"class {number}" for number in range(NUMBERED_CLASSES))
    if (folder / NUMBERED_NAMES).exists():
        names = read_names(folder / NUMBERED_NAMES, NUMBERED_CLASSES)
    path = folder / NUMBERED_FILES["test" if name == "test" else "train"]
    rows = read_table(path, ("clip", "seconds", "number"), heading=False)
    require_unique(rows, lambda row: row["clip"])
    spans = [_span(row) for row in rows]
    ids = tuple(row["clip"] for row in rows)
    labels = one_hot([_number(row) for row in rows], NUMBERED_CLASSES)
    aliases = unshared(ids, [(_clip_name(*span), f"{span[0]}_{span[1]:.0f}", span[0]) for span in spans])
    videos = VideoList(dataset, name, ids, names, labels, aliases=aliases)
    # Clips of one YouTube video stay together.
    return of_official_list(videos, [video for video, _, _ in spans])


def _number(row: Row) -> int:
    if not row["number"].isdecimal() or int(row["number"]) >= NUMBERED_CLASSES:
        raise row.error(f"has the class number '{row['number']}' where 0 to {NUMBERED_CLASSES - 1} belong")
    return int(row["number"])


def _span(row: Row) -> tuple[str, float, float]:
    """YouTube id, start and end in seconds."""
    match = _NUMBERED_CLIP.fullmatch(row["clip"])
    if not match:
        raise row.error(f"has '{row['clip']}', which is not a YouTube id, a start and perhaps an end joined by '_'")
    start, seconds = float(match["start"]), row.number("seconds")
    if match["end"] and float(match["end"]) - start != seconds:
        raise row.error(f"gives '{row['clip']}' a length of {row['seconds']} s")
    return match["video"], start, start + seconds
