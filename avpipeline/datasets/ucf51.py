"""UCF51: the 51 classes of UCF101 whose videos have sound, 6836 videos, three official splits (Soomro et al.,
"UCF101: A dataset of 101 human action classes from videos in the wild", 2012).

The official lists are those of UCF101 with its 101 classes, of which the rows of the 51 are read. They spell one class
in two ways, HandstandPushups and HandStandPushups, which are the same here.
"""

import re
from pathlib import Path

from avpipeline.datasets.base import require_choice, require_split
from avpipeline.datasets.listings import Row, read_lines, require_unique
from avpipeline.datasets.video_lists import VideoList, of_official_list, one_hot
from avpipeline.errors import InputError

OFFICIAL_SPLITS = (1, 2, 3)
CLASS_INDEX = "classInd.txt"
ALL_CLASSES = 101

_NAMES = (
    "ApplyEyeMakeup ApplyLipstick Archery BabyCrawling BalanceBeam BandMarching BasketballDunk BlowDryHair "
    "BlowingCandles BodyWeightSquats Bowling BoxingPunchingBag BoxingSpeedBag BrushingTeeth CliffDiving "
    "CricketBowling CricketShot CuttingInKitchen FieldHockeyPenalty FloorGymnastics FrisbeeCatch FrontCrawl "
    "Haircut HammerThrow Hammering HandstandPushups HandstandWalking HeadMassage IceDancing Knitting LongJump "
    "MoppingFloor ParallelBars PlayingCello PlayingDaf PlayingDhol PlayingFlute PlayingSitar Rafting ShavingBeard "
    "Shotput SkyDiving SoccerPenalty StillRings SumoWrestling Surfing TableTennisShot Typing UnevenBars "
    "WallPushups WritingOnBoard"
)
CLASS_NAMES = tuple(_NAMES.split())

# In the lists, but not in UCF51's annotation: the lists have 6845 videos with them, the paper counts 6836.
NOT_ANNOTATED = (
    *(f"v_BasketballDunk_g15_c{clip:02d}" for clip in range(4, 8)),
    *(f"v_HandStandPushups_g14_c{clip:02d}" for clip in range(1, 5)),
    "v_PlayingCello_g19_c06",
)

# The second is the spelling of the clips' files, the first that of their folder and class.
_SPELLING = ("v_HandstandPushups", "v_HandStandPushups")
_CLIP = re.compile(r"(?P<folder>[A-Za-z]+)/(?P<id>v_(?P<label>[A-Za-z]+)_(?P<group>g\d\d)_c\d\d)\.avi")


def read_ucf51(data_dir, name: str, split: int = 1) -> VideoList:
    """One split of UCF51, without the nine videos that have no annotation.

    There is no official validation split: a tenth of each class's groups in the training list is held out. A group is
    one recording, from which several clips were cut, and is never split.

    Args:
      data_dir: folder with classInd.txt, trainlist01.txt, testlist01.txt, ...
      split: which of the three official splits, 1 to 3.

    Raises:
      InputError: a file is missing or malformed, a label number does not match its class, a video is listed twice.
    """
    require_split("ucf51", name)
    kind = "test" if name == "test" else "train"
    listed = [row for row in read_ucf51_list(data_dir, kind, split) if row["id"] not in NOT_ANNOTATED]
    ids = tuple(row["id"] for row in listed)
    labels = one_hot([CLASS_NAMES.index(row["class"]) for row in listed], len(CLASS_NAMES))
    respelled = [clip.replace(*reversed(_SPELLING)) for clip in ids]
    aliases = tuple(() if other == clip else (other,) for clip, other in zip(ids, respelled, strict=True))
    videos = VideoList(f"ucf51-{split}", name, ids, CLASS_NAMES, labels, aliases=aliases)
    return of_official_list(videos, [row["group"] for row in listed])


def read_ucf51_list(data_dir, kind: str, split: int) -> list[Row]:
    """All rows of the 51 classes in trainlist0N.txt or, for the `kind` "test", testlist0N.txt.

    Their columns are "id", "class" (as in `CLASS_NAMES`) and "group" (class and number of the recording).

    Raises:
      InputError: as `read_ucf51`.
    """
    require_choice("ucf51", "official split", split, OFFICIAL_SPLITS)
    path = Path(data_dir) / f"{kind}list0{split}.txt"
    numbers = read_class_index(Path(data_dir) / CLASS_INDEX)
    rows = [_row(path, line, text, kind, numbers) for line, text in enumerate(read_lines(path), 1)]
    require_unique(rows, lambda row: row["id"])
    return [row for row in rows if row["class"] in CLASS_NAMES]


def read_class_index(path) -> dict[str, int]:
    """Class name -> its number, 1 to 101, from classInd.txt.

    Raises:
      InputError: a line is malformed, the classes are not UCF101's.
    """
    path = Path(path)
    numbers: dict[str, int] = {}
    for line, text in enumerate(read_lines(path), 1):
        fields = text.split()
        if len(fields) != 2 or fields[0] != str(line) or fields[1] in numbers:
            raise Row(path, line, {}).error(f"is not '{line} ClassName' ({text.strip()!r})")
        numbers[fields[1]] = line
    missing = [name for name in CLASS_NAMES if name not in numbers]
    if missing or len(numbers) != ALL_CLASSES:
        lacks = f" and lacks {missing[0]}" if missing else ""
        raise InputError(
            f"{path}: has {len(numbers)} classes where UCF101 has {ALL_CLASSES}{lacks}; download it again."
        )
    return numbers


def _row(path: Path, line: int, text: str, kind: str, numbers: dict[str, int]) -> Row:
    row = Row(path, line, {})
    fields = text.split()
    match = _CLIP.fullmatch(fields[0]) if fields else None
    if not match or len(fields) != (2 if kind == "train" else 1):
        form = "Class/v_Class_g01_c01.avi" + (" 1" if kind == "train" else "")
        raise row.error(f"is not of the form '{form}' ({text.strip()!r})")
    name = match["folder"]
    if name not in numbers or match["label"].lower() != name.lower():
        raise row.error(f"names a class that {CLASS_INDEX} does not have, or two ({text.strip()!r})")
    if kind == "train" and fields[1] != str(numbers[name]):
        raise row.error(f"has the label {fields[1]} where {CLASS_INDEX} gives {name} the number {numbers[name]}")
    clip = match["id"].replace(*_SPELLING)
    return Row(path, line, {"id": clip, "class": name, "group": f"{name}_{match['group']}"})
