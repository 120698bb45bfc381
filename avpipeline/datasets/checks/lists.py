"""Checks shared by the datasets of whole videos: their lists, and the features of their clips."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from avpipeline.datasets.checks.findings import Finding, expect, failed, missing, note, ok, tried, value_findings, wrong
from avpipeline.datasets.listings import some
from avpipeline.datasets.video_lists import VideoList, names_of
from avpipeline.errors import InputError
from avpipeline.features.store import MANIFEST, FeatureShards, has_features


def require_folder(folder: Path, files: Sequence[str], whose: str) -> None:
    """Raises InputError if the folder does not exist or holds none of the dataset's files."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder that holds {whose} files.")
    if not any((folder / name).exists() for name in files):
        raise InputError(f"{folder}: holds none of {whose} files ({', '.join(files[:3])}, ...).")


def split_findings(
    read: Callable[[str], VideoList], files: Mapping[str, Path], sizes: Mapping[str, int] | None = None
) -> Generator[Finding, None, list[VideoList]]:
    """Reads each split that has a list, and returns those that could be read.

    `read`, `files` and `sizes` are of the split's name: its videos, its list, its number of videos where published.
    """
    lists, said = [], set()
    for name, path in files.items():
        if not path.exists():
            yield missing(path.name, f"the {name} split")
            continue
        try:
            videos = read(name)
        except InputError as error:
            # Several splits may share a file.
            if str(error) not in said:
                yield failed(path, error)
            said.add(str(error))
            continue
        text = f"{videos.dataset}, {name}: {len(videos)} videos of {len(videos.class_names)} classes"
        size = len(videos) if sizes is None else sizes[name]
        yield expect(path.name, len(videos) == size, text, f"{size} videos")
        counts = videos.labels.sum(0)
        yield ok(path.name, f"{name}: {span(counts.min(), counts.max(), '.0f')} videos a class")
        empty = [videos.class_names[number] for number in np.flatnonzero(counts == 0)]
        if empty:
            yield note(path.name, f"{name}: {len(empty)} classes have no video ({some(empty)})")
        lists.append(videos)
    return lists


def span(least: float, most: float, form: str = "g") -> str:
    """`"2 to 4"`, or one number where both are written alike."""
    low, high = format(least, form), format(most, form)
    return low if low == high else f"{low} to {high}"


def overlap_findings(groups: Mapping[str, Sequence[str]], what: str) -> Iterator[Finding]:
    """Whether splits overlap: `groups` has the items of each split, `what` is their name in the plural."""
    for first, second in combinations(groups, 2):
        shared = sorted(set(groups[first]) & set(groups[second]))
        about = f"{first} and {second}"
        if shared:
            yield wrong(about, f"{len(shared)} {what} are in both ({some(shared)})")
        else:
            yield ok(about, f"no {what} in both")


def feature_findings(
    folder: Path, lists: Sequence[VideoList], values: bool
) -> Generator[Finding, None, FeatureShards | None]:
    """The features stored in the folder, which are returned, and how many of the listed videos they cover.

    With `values` they are read completely, to find damaged ones, NaN and infinite numbers.
    """
    if not has_features(folder):
        yield missing(MANIFEST, "features of the clips (python -m avpipeline.extract); training")
        return None
    shards = yield from tried(folder / MANIFEST, "", FeatureShards, folder)
    if shards is None:
        return None
    for modality, info in shards.features.items():
        form = f"{len(shards)} clips of shape {shards.sources[modality].shape}"
        weights = f"weights '{info.weights}' ({info.sha256[:12]})"
        yield ok(MANIFEST, f"{modality} features, {form}: {info.label}, {weights}")
    there = set(shards.ids)
    without = [[names[0] for names in names_of(videos) if there.isdisjoint(names)] for videos in lists]
    if lists and all(len(absent) == len(videos) for absent, videos in zip(without, lists, strict=True)):
        yield wrong(MANIFEST, f"has none of the listed videos (but {some(shards.ids)}); extract the dataset's clips")
    else:
        for videos, absent in zip(lists, without, strict=True):
            about = f"{videos.dataset}, {videos.name}: {len(videos)} videos"
            if absent:
                yield note(MANIFEST, f"{about}, {len(absent)} of them without features ({some(absent)})")
            else:
                yield ok(MANIFEST, f"{about}, all of them with features")
    if values:
        for modality, source in shards.sources.items():
            yield from value_findings(f"{MANIFEST} ({modality})", source, non_negative=False)
    return shards
