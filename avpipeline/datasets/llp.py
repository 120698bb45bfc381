"""LLP, "Look, Listen and Parse": 11,849 ten-second videos with one or more of 25 event categories each (Tian et
al., "Unified multisensory perception: weakly-supervised audio-visual video parsing", ECCV 2020)."""

import dataclasses
import re
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from avpipeline.datasets.base import require_choice, require_split
from avpipeline.datasets.listings import Row, class_number, numbered, read_table, require_unique
from avpipeline.datasets.video_lists import VideoList, clip_names, name_hash, unshared

LIST_FILES = {"train": "AVVP_train.csv", "val": "AVVP_val_pd.csv", "test": "AVVP_test_pd.csv"}
EVENT_FILES = {"audio": "AVVP_eval_audio.csv", "visual": "AVVP_eval_visual.csv"}
COLUMNS = ("filename", "event_labels")
SECONDS = 10

# In the authors' numbering.
_NAMES = (
    "Speech Car Cheering Dog Cat Frying_(food) Basketball_bounce Fire_alarm Chainsaw Cello Banjo Singing "
    "Chicken_rooster Violin_fiddle Vacuum_cleaner Baby_laughter Accordion Lawn_mower Motorcycle Helicopter "
    "Acoustic_guitar Telephone_bell_ringing Baby_cry_infant_cry Blender Clapping"
)
CLASS_NAMES = tuple(_NAMES.split())
_NUMBERS = numbered(CLASS_NAMES)
_CLIP = re.compile(r"(?P<video>[\w-]{11})_(?P<start>\d{1,9}(\.\d+)?)_(?P<end>\d{1,9}(\.\d+)?)", re.ASCII)

TrainingLabels = Literal["all", "drawn", "single"]


@dataclasses.dataclass(frozen=True)
class Event:
    """One line of AVVP_eval_audio.csv or AVVP_eval_visual.csv.

    Attributes:
      clip: the video, as in the lists; a few are spelled differently and match no listed video.
      onset, offset: seconds of the clip. Some published rows have `onset >= offset`: such an event has no length.
      label: class number.
    """

    clip: str
    onset: float
    offset: float
    label: int


def read_llp(data_dir, name: str, training_labels: TrainingLabels = "all") -> VideoList:
    """One split of LLP, with all labels of every video or, for training, with one label a video.

    The paper of the event layers trains "with the restriction of a single label per video" and tests on all labels; it
    does not say how that label is chosen. "drawn" keeps all training videos with one of their labels, chosen by the
    SHA-256 of the video's name, whatever the seed. "single" keeps only the training videos that have one label.
    Validation and test videos have all their labels in either case.

    Args:
      data_dir: folder with AVVP_train.csv, AVVP_val_pd.csv and AVVP_test_pd.csv, tab-separated with the columns
        filename and event_labels.

    Raises:
      InputError: a file is missing or malformed, a class is unknown, a video is listed twice.
    """
    require_split("llp", name)
    require_choice("llp", "training labels", training_labels, get_args(TrainingLabels))
    rows = read_table(Path(data_dir) / LIST_FILES[name], COLUMNS, heading=True, delimiter="\t")
    require_unique(rows, lambda row: row["filename"])
    ids = tuple(row["filename"] for row in rows)
    labels = np.zeros((len(rows), len(CLASS_NAMES)), np.float32)
    for video, row in zip(labels, rows, strict=True):
        video[[class_number(row, label, _NUMBERS, "LLP") for label in row["event_labels"].split(",")]] = 1
    dataset = "llp" if training_labels == "all" else f"llp-{training_labels}"
    aliases = unshared(ids, [_other_names(row) for row in rows])
    videos = VideoList(dataset, name, ids, CLASS_NAMES, labels, aliases=aliases)
    if name != "train" or training_labels == "all":
        return videos
    if training_labels == "single":
        return videos.select(np.flatnonzero(labels.sum(1) == 1))
    return dataclasses.replace(videos, labels=one_of_each(labels, ids))


def read_llp_events(data_dir, modality: str) -> tuple[Event, ...]:
    """The timed "audio" or "visual" events of validation and test videos, as published.

    Raises:
      InputError: the file is missing or malformed, a class is unknown, a time lies outside the clip.
    """
    columns = (*COLUMNS, "onset", "offset")
    events = []
    for row in read_table(Path(data_dir) / EVENT_FILES[modality], columns, heading=True, delimiter="\t"):
        onset, offset = row.number("onset"), row.number("offset")
        if max(onset, offset) > SECONDS:
            raise row.error(f"has an event from {onset:g} to {offset:g} s in a clip of {SECONDS} s")
        events.append(Event(row["filename"], onset, offset, class_number(row, row["event_labels"], _NUMBERS, "LLP")))
    return tuple(events)


def _other_names(row: Row) -> tuple[str, ...]:
    match = _CLIP.fullmatch(row["filename"])
    if not match or float(match["start"]) >= float(match["end"]):
        raise row.error(f"has the filename '{row['filename']}', which is not a YouTube id, start and end joined by '_'")
    start, end = float(match["start"]), float(match["end"])
    return (match["video"], *clip_names(match["video"], start, end - start))


def one_of_each(labels: np.ndarray, ids: tuple[str, ...]) -> np.ndarray:
    """One label of each video, chosen by its name: `(videos, classes)` one-hot."""
    drawn = np.zeros_like(labels)
    for row, clip in enumerate(ids):
        classes = np.flatnonzero(labels[row])
        drawn[row, classes[int(name_hash(clip), 16) % len(classes)]] = 1
    return drawn
