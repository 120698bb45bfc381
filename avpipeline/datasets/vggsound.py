"""VGGSound: some 200,000 ten-second clips of 309 sounds whose source is seen (Chen et al., "VGGSound: a
large-scale audio-visual dataset", 2020)."""

import re
from pathlib import Path

from avpipeline.datasets.base import require_split
from avpipeline.datasets.listings import Row, class_number, numbered, read_table, require_unique
from avpipeline.datasets.video_lists import VideoList, clip_names, of_official_list, one_hot

CLASSES = 309
SECONDS = 10
FULL_LIST, TEST_LIST, STATISTICS = "vggsound.csv", "test.csv", "stat.csv"

_YOUTUBE = re.compile(r"[\w-]{11}", re.ASCII)
_TEST_FILE = re.compile(r"(?P<video>[\w-]{11})_(?P<start>\d{6})\.mp4", re.ASCII)


def read_vggsound(data_dir, name: str) -> VideoList:
    """One split of VGGSound; classes are numbered in the order of their sorted names.

    There is no official validation split: a tenth of each class's training videos is held out.

    Args:
      data_dir: folder with vggsound.csv (YouTube id, start, label, train/test; no heading). For the test split
        alone test.csv is enough (`id_%06d.mp4,label`). If stat.csv is present, only its classes are accepted.

    Raises:
      InputError: a file is missing or malformed, a class is unknown, a clip is listed twice.
    """
    require_split("vggsound", name)
    folder = Path(data_dir)
    if (folder / FULL_LIST).exists() or name != "test":
        rows = read_full_list(folder / FULL_LIST)
    else:
        rows = read_test_list(folder / TEST_LIST)
    # Without the authors' counts of each class, the classes are those of the list.
    counted = read_statistics(folder / STATISTICS) if (folder / STATISTICS).exists() else rows
    names = tuple(sorted({row["label"] for row in counted}))
    numbers = numbered(names)
    labels = one_hot([class_number(row, row["label"], numbers, "VGGSound") for row in rows], len(names))
    aliases = tuple(clip_names(row["video"], row.number("start"), SECONDS) for row in rows)
    everything = VideoList("vggsound", name, tuple(map(clip_name, rows)), names, labels, aliases=aliases)
    kind = "test" if name == "test" else "train"
    chosen = [number for number, row in enumerate(rows) if row["split"] == kind]
    return of_official_list(everything.select(chosen), [rows[number]["video"] for number in chosen])


def read_full_list(path) -> list[Row]:
    """The rows of vggsound.csv with the columns "video", "start", "label" and "split" ("train" or "test")."""
    rows = read_table(path, ("video", "start", "label", "split"), heading=False)
    for row in rows:
        if not _YOUTUBE.fullmatch(row["video"]):
            raise row.error(f"has the YouTube id '{row['video']}', which is not of 11 characters")
        row.number("start")
        if row["split"] not in ("train", "test"):
            raise row.error(f"has the split '{row['split']}', which is neither train nor test")
    require_unique(rows, clip_name)
    return rows


def read_test_list(path) -> list[Row]:
    """The rows of test.csv with the columns of `read_full_list`."""
    rows = []
    for row in read_table(path, ("file", "label"), heading=False):
        match = _TEST_FILE.fullmatch(row["file"])
        if not match:
            raise row.error(f"has the file '{row['file']}', which is not of the form YouTubeId_000030.mp4")
        fields = {"video": match["video"], "start": match["start"], "label": row["label"], "split": "test"}
        rows.append(Row(row.path, row.line, fields))
    require_unique(rows, clip_name)
    return rows


def read_statistics(path) -> list[Row]:
    """The rows of stat.csv, one for each class, with the columns "label", "videos" and "group"."""
    rows = read_table(path, ("label", "videos", "group"), heading=False)
    require_unique(rows, lambda row: row["label"])
    return rows


def clip_name(row: Row) -> str:
    """The name of a clip as in the official test list: `id_%06d`."""
    return f"{row['video']}_{int(row.number('start')):06d}"
