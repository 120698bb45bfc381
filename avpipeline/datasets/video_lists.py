"""Annotated videos: what a dataset's lists say about each of them, and their features or clips.

The datasets of whole videos differ in their official files only. Each has a reader that returns a `VideoList`;
`join_features` finds the features that `python -m avpipeline.extract` computed from the clips, `find_clips` the clips
themselves.
"""

import dataclasses
import hashlib
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from avpipeline.cli.progress import link
from avpipeline.datasets.base import ArraySource, SelectedRows, Source, Split
from avpipeline.datasets.listings import some
from avpipeline.datasets.padding import ZeroPadded, whole_segments
from avpipeline.errors import InputError
from avpipeline.features.store import FeatureShards
from avpipeline.files import write_text

# Input of `join_features` besides the modalities: which seconds a clip really has.
MASK = "mask"
# None of UCF51, Kinetics-Sounds and VGGSound has an official validation split: this share of the training videos is
# held out, whatever a run's seed, so that all runs are compared on the same videos.
VALIDATION_SHARE = 0.1

_TIMED = re.compile(r"(?P<video>[\w-]{11})(_\d+(\.\d+)?){1,2}", re.ASCII)
_Place = TypeVar("_Place")


@dataclasses.dataclass(frozen=True)
class VideoList:
    """The videos of one split of a dataset and their labels.

    Attributes:
      dataset: name as in `--dataset`, e.g. `"ucf51-1"`.
      name: `"train"`, `"val"` or `"test"`.
      ids: for each video the name of its clip without folder and extension, which is its id in extraction too.
      class_names: in label order.
      labels: `(videos, classes)` float32, 1 for each class of the video (several where the dataset has them).
      files: the clips' paths within the folder of clips, as the dataset distributes them; None if it has no rule.
      aliases: other names of a video's clip, without extension (e.g. the YouTube id alone); None for none.
    """

    dataset: str
    name: str
    ids: tuple[str, ...]
    class_names: tuple[str, ...]
    labels: np.ndarray
    files: tuple[str, ...] | None = None
    aliases: tuple[tuple[str, ...], ...] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, rows: Iterable[int]) -> "VideoList":
        """Some of the videos, in the order of `rows`."""
        rows = np.asarray(list(rows), np.int64)
        columns = {"ids": self.ids, "files": self.files, "aliases": self.aliases}
        chosen = {name: tuple(of[row] for row in rows) for name, of in columns.items() if of is not None}
        return dataclasses.replace(self, labels=self.labels[rows], **chosen)


def join_features(
    videos: VideoList, folder, *, modalities: Iterable[str] | None = None, zero_padded: bool = True
) -> Split:
    """The stored features of `videos`, as a split with labels `(videos, classes)`.

    Videos without features are left out, with a warning that counts and names them. After the end of a short video
    its features are zeros (`padding.ZeroPadded`); the input `"mask"`, `(seconds,)`, is 0 there and 1 before.

    Args:
      folder: written by `python -m avpipeline.extract`.
      modalities: the inputs needed, which may include `"mask"`; None for all stored modalities, without the mask.
      zero_padded: False leaves the features after the end of a short video as extracted, of silence and black frames.

    Raises:
      InputError: no features, a modality that is not stored, none of the videos in the folder.
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
    inputs: dict[str, Source] = {name: SelectedRows(shards.sources[name], rows) for name in wanted if name != MASK}
    if zero_padded:
        inputs = {name: ZeroPadded(source, segments) for name, source in inputs.items()}
    if MASK in wanted:
        inputs[MASK] = ArraySource((np.arange(shards.seconds) < segments[:, np.newaxis]).astype(np.float32))
    features = {name: shards.features[name] for name in wanted if name != MASK}
    return Split(videos.dataset, videos.name, videos.ids, videos.class_names, inputs, videos.labels, features)


def find_clips(videos: VideoList, folder) -> tuple[VideoList, tuple[Path, ...]]:
    """The videos whose media files are in `folder` or below it, and these files.

    A file is recognised by its name without extension. Videos without a file are left out, with a warning that counts
    and names them.

    Raises:
      InputError: no such folder, no media in it, two files of the same name, none of the videos in it.
    """
    # Imported only here: the module brings the decoders.
    from avpipeline.media import by_id, list_media

    videos, found = _with_places(videos, by_id(list_media(folder)), folder, "clips", "add them")
    return videos, tuple(found)


def write_clip_list(lists: Iterable[VideoList], folder, out: Path) -> None:
    """Writes the files in `folder` that are clips of the lists to a .txt file, and prints how many each list has.

    Raises:
      InputError: as `find_clips`, or the file has another name.
    """
    if out.suffix.lower() != ".txt":
        raise InputError(f"{out}: a list of files must end in .txt; choose such a name.")
    paths: dict[Path, None] = {}
    for videos in lists:
        _, found = find_clips(videos, folder)
        print(f"{videos.dataset}, {videos.name}: {len(found)} of {len(videos)} clips")
        paths |= dict.fromkeys(path.resolve() for path in found)
    write_text(out, "".join(f"{path}\n" for path in paths))
    print(f"{len(paths)} clips listed in {link(out)}")


def _with_places(
    videos: VideoList, places: Mapping[str, _Place], folder, what: str, remedy: str
) -> tuple[VideoList, list[_Place]]:
    """The videos found in `places` under one of their names, and where; a warning names the others."""
    known = {**by_youtube_id(places), **places}
    found = [next((known[name] for name in names if name in known), None) for names in names_of(videos)]
    rows = [row for row, place in enumerate(found) if place is not None]
    missing = [videos.ids[row] for row, place in enumerate(found) if place is None]
    about = f"{len(videos)} videos of {videos.dataset}, split {videos.name}"
    if not rows:
        names = "' or '".join(dict.fromkeys(names_of(videos)[0])) if len(videos) else ""
        first = f" (the first was looked for as '{names}')" if names else ""
        raise InputError(f"{folder}: has {what} of none of the {about}{first}; name another folder or {remedy}.")
    if missing:
        warnings.warn(
            f"{folder}: has no {what} of {len(missing)} of the {about} ({some(missing)}); they are left out, "
            f"{remedy} where you have them.",
            stacklevel=3,
        )
    return videos.select(rows), [found[row] for row in rows]


def names_of(videos: VideoList) -> list[tuple[str, ...]]:
    """All names that each video's clip may have, the usual one first."""
    stems = [()] * len(videos) if videos.files is None else [(Path(file).stem,) for file in videos.files]
    aliases = videos.aliases or [()] * len(videos)
    return [(name, *stem, *others) for name, stem, others in zip(videos.ids, stems, aliases, strict=True)]


def clip_names(video: str, start: float, seconds: float) -> tuple[str, ...]:
    """The names that tools for cutting YouTube videos give a clip, besides those of a dataset's own lists.

    The id with start and end in seconds, as decimals or whole, or in milliseconds, or with the start alone.
    """
    end = start + seconds
    places = (f"{start:.3f}_{end:.3f}", f"{start:.1f}_{end:.1f}", f"{start:g}_{end:g}")
    places += (f"{start * 1000:.0f}_{end * 1000:.0f}", f"{start:06.0f}_{end:06.0f}", f"{start:06.0f}", f"{start:g}")
    return tuple(dict.fromkeys(f"{video}_{place}" for place in places))


def by_youtube_id(places: Mapping[str, _Place]) -> dict[str, _Place]:
    """YouTube id -> the place of the only clip of that video, for clips whose names are an id and times."""
    found = defaultdict(list)
    for name, place in places.items():
        if match := _TIMED.fullmatch(name):
            found[match["video"]].append(place)
    return {video: places[0] for video, places in found.items() if len(places) == 1}


def unshared(ids: Sequence[str], aliases: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    """The aliases without ambiguous ones, such as the YouTube id of a video from which two clips were cut."""
    owners = defaultdict(set)
    for name, others in zip(ids, aliases, strict=True):
        for other in {name, *others}:
            owners[other].add(name)
    return tuple(tuple(other for other in others if len(owners[other]) == 1) for others in aliases)


def of_official_list(videos: VideoList, groups: Sequence[str]) -> VideoList:
    """The videos of their split where one official list serves both "train" and "val": see `hold_out`."""
    if videos.name == "test":
        return videos
    train, val = hold_out(videos.labels.argmax(1), groups)
    return videos.select(train if videos.name == "train" else val)


def one_hot(classes: Sequence[int], count: int) -> np.ndarray:
    """Float32 labels of videos, or of their seconds, with one class each: `(..., count)`."""
    return np.eye(count, dtype=np.float32)[np.asarray(classes, np.int64)]


def with_background(labels: np.ndarray) -> np.ndarray:
    """Labels of whole videos with background as the last class, which those without another have."""
    return np.concatenate([labels, 1 - labels.max(1, keepdims=True)], 1)


def is_one_hot(labels: np.ndarray) -> bool:
    """Whether each video, or each of its seconds, has exactly one label."""
    return bool(np.isin(labels, (0, 1)).all() and (labels.sum(-1) == 1).all())


def name_hash(name: str) -> str:
    """A sort key that puts names into an order that is as good as random, but always the same."""
    return hashlib.sha256(name.encode()).hexdigest()


def hold_out(classes: Sequence[int], groups: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows held out for validation, int64, ascending: `VALIDATION_SHARE` of each class's groups.

    Which groups are held out depends on their names alone (the smallest SHA-256), neither on the order of the lists
    nor on a seed. A group is never split: clips cut from one recording stay together. A class with a single group
    is not held out.

    Args:
      groups: group of each video, e.g. the recording it was cut from; its own id if it has none.
    """
    members = defaultdict(set)
    for number, group in zip(classes, groups, strict=True):
        members[number].add(group)
    held = set()
    for number, names in members.items():
        count = min(max(1, round(VALIDATION_SHARE * len(names))), len(names) - 1)
        held.update((number, name) for name in sorted(names, key=name_hash)[:count])
    validation = np.array([pair in held for pair in zip(classes, groups, strict=True)], bool)
    return np.flatnonzero(~validation), np.flatnonzero(validation)
