"""Annotated clips: what a dataset's lists say of each video, and the features or files that belong to them.

The datasets of whole videos differ in their official files only. Each has a reader that gives a `VideoList`;
`join_features` finds the features that `python -m avpipeline.extract` made of the clips, `find_clips` the clips
themselves.
"""

import dataclasses
import hashlib
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from avpipeline.datasets.base import ArraySource, SelectedRows, Split
from avpipeline.datasets.listings import some
from avpipeline.datasets.padding import ZeroPadded, whole_segments
from avpipeline.errors import InputError
from avpipeline.features.store import FeatureShards

# Input of `join_features` beside the modalities: which seconds of a clip are really there.
MASK = "mask"
# None of UCF51, Kinetics-Sounds and VGGSound has an official validation split: this share of the training
# videos is held out. It does not depend on a run's seed, so that all runs are compared on the same videos.
VALIDATION_SHARE = 0.1

_Place = TypeVar("_Place")


@dataclasses.dataclass(frozen=True)
class VideoList:
    """The videos of one split of a dataset and their labels.

    Attributes:
      dataset: name as in `--dataset`, e.g. `"ucf51-1"`.
      name: `"train"`, `"val"` or `"test"`.
      ids: one a video: the name of its clip without folder and ending, which is the id that extraction gives.
      class_names: in label order.
      labels: `(videos, classes)` float32, 1 for each class of the video (several where the dataset has them).
      files: the clips' paths relative to the folder of clips, as the dataset hands them out; None where it has
        no rule for them.
      starts, ends: `(videos,)` float64, seconds in the video that the clip was cut from; None where the lists do
        not say.
      aliases: other names, without ending, that a video's clip goes by (e.g. the YouTube id alone); None for none.
    """

    dataset: str
    name: str
    ids: tuple[str, ...]
    class_names: tuple[str, ...]
    labels: np.ndarray
    files: tuple[str, ...] | None = None
    starts: np.ndarray | None = None
    ends: np.ndarray | None = None
    aliases: tuple[tuple[str, ...], ...] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, rows: Iterable[int], name: str | None = None) -> "VideoList":
        """Some of the videos, in the order of `rows`; with `name`, as the split of that name."""
        rows = np.asarray(list(rows), np.int64)

        def of_rows(column):
            if column is None:
                return None
            return column[rows] if isinstance(column, np.ndarray) else tuple(column[row] for row in rows)

        columns = {field: of_rows(getattr(self, field)) for field in _COLUMNS}
        return dataclasses.replace(self, name=name or self.name, **columns)


_COLUMNS = ("ids", "labels", "files", "starts", "ends", "aliases")


def join_features(videos: VideoList, folder, *, modalities: Iterable[str] | None = None) -> Split:
    """The features of `videos` in a folder of shards, as a split with labels `(videos, classes)`.

    Videos without features are left out and a warning counts and names them. The features of a shorter video are
    zeros after its end (`padding.ZeroPadded`); the input `"mask"`, `(seconds,)`, is 0 there and 1 before.

    Args:
      folder: written by `python -m avpipeline.extract`.
      modalities: the inputs needed, `"mask"` if it is; None for all modalities in the shards, without mask.

    Raises:
      InputError: no shards, a modality that they do not hold, none of the videos in them.
    """
    shards = FeatureShards(folder)
    wanted = tuple(shards.features if modalities is None else modalities)
    for modality in wanted:
        if modality not in (*shards.features, MASK):
            raise InputError(
                f"{folder}: its shards hold no {modality} features, only {', '.join(shards.features)}; extract "
                "them into a folder of their own together with those."
            )
    row_of = {clip: row for row, clip in enumerate(shards.ids)}
    videos, rows = _with_places(videos, row_of, folder, "features", "extract their clips too")
    rows = np.asarray(rows, np.int64)
    segments = whole_segments(np.maximum(shards.audio_seconds, shards.video_seconds)[rows], shards.seconds)
    inputs = {
        name: ZeroPadded(SelectedRows(shards.sources[name], rows), segments) for name in wanted if name != MASK
    }
    if MASK in wanted:
        inputs[MASK] = ArraySource((np.arange(shards.seconds) < segments[:, np.newaxis]).astype(np.float32))
    return Split(
        dataset=videos.dataset,
        name=videos.name,
        ids=videos.ids,
        class_names=videos.class_names,
        inputs=inputs,
        labels=videos.labels,
        features={name: shards.features[name] for name in wanted if name != MASK},
    )


def find_clips(videos: VideoList, folder) -> tuple[VideoList, tuple[Path, ...]]:
    """The videos whose media files are in `folder` or below it, and these files.

    A file is recognised by its name without ending. Videos without a file are left out and a warning counts and
    names them.

    Raises:
      InputError: no such folder, no media in it, two files of one name, none of the videos in it.
    """
    # Imported only here: their module brings the decoders.
    from avpipeline.media import by_id, list_media

    videos, found = _with_places(videos, by_id(list_media(folder)), folder, "clips", "add them")
    return videos, tuple(found)


def _with_places(
    videos: VideoList, places: Mapping[str, _Place], folder, what: str, remedy: str
) -> tuple[VideoList, list[_Place]]:
    """The videos that have a place by one of their names, and those places; a warning names the others."""
    found = [_place(names, places) for names in names_of(videos)]
    rows = [row for row, place in enumerate(found) if place is not None]
    missing = [videos.ids[row] for row, place in enumerate(found) if place is None]
    about = f"{len(videos)} videos of {videos.dataset}, split {videos.name}"
    if not rows:
        first = f" (the first is '{videos.ids[0]}')" if len(videos) else ""
        raise InputError(f"{folder}: has {what} of none of the {about}{first}; name another folder or {remedy}.")
    if missing:
        warnings.warn(
            f"{folder}: has no {what} of {len(missing)} of the {about} ({some(missing)}); they are left out, "
            f"{remedy} where you have them.",
            stacklevel=3,
        )
    return videos.select(rows), [found[row] for row in rows]


def names_of(videos: VideoList) -> list[tuple[str, ...]]:
    """All names that each video's clip may go by, the usual one first."""
    stems = [()] * len(videos) if videos.files is None else [(Path(file).stem,) for file in videos.files]
    aliases = videos.aliases or [()] * len(videos)
    return [(name, *stem, *others) for name, stem, others in zip(videos.ids, stems, aliases, strict=True)]


def _place(names: Sequence[str], places: Mapping[str, _Place]) -> _Place | None:
    return next((places[name] for name in names if name in places), None)


def unshared(ids: Sequence[str], aliases: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """The aliases without those that name two videos: a YouTube id of which two clips were cut says not which."""
    owners = defaultdict(set)
    for name, others in zip(ids, aliases, strict=True):
        for other in {name, *others}:
            owners[other].add(name)
    return tuple(tuple(other for other in others if len(owners[other]) == 1) for others in aliases)


def one_hot(classes: Sequence[int], count: int) -> np.ndarray:
    """`(videos, count)` float32 labels of one class a video."""
    return np.eye(count, dtype=np.float32)[np.asarray(classes, np.int64)]


def hold_out(
    classes: Sequence[int], groups: Sequence[str], share: float = VALIDATION_SHARE
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows held out for validation: the same share of each class's groups.

    Which groups are held out follows from their names alone (the smallest SHA-256), neither from the order of the
    lists nor from a seed. A group is never divided: clips cut from one recording stay together. A class of one
    group is not held out.

    Args:
      classes: class of each video.
      groups: what each video belongs to, e.g. the recording it was cut from; its own id where it stands alone.

    Returns:
      int64 rows in the order given, for training and for validation.
    """
    members = defaultdict(set)
    for number, group in zip(classes, groups, strict=True):
        members[number].add(group)
    held = set()
    for number, names in members.items():
        by_hash = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
        count = min(max(1, round(share * len(names))), len(names) - 1)
        held.update((number, name) for name in by_hash[:count])
    validation = np.array([pair in held for pair in zip(classes, groups, strict=True)], bool)
    return np.flatnonzero(~validation), np.flatnonzero(validation)
