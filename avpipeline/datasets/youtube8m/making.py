"""Shards made from others: standard deviations of frame-level shards, records of extracted features."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from avpipeline.cli.progress import ProgressBar, link
from avpipeline.datasets.listings import class_number, numbered
from avpipeline.datasets.own_clips import read_clips
from avpipeline.datasets.youtube8m.counts import remember
from avpipeline.datasets.youtube8m.files import SPLIT_NAMES, CorruptRecords, Damage, list_shards
from avpipeline.datasets.youtube8m.reading import summaries
from avpipeline.datasets.youtube8m.records import encode_video
from avpipeline.datasets.youtube8m.splits import VOCABULARY_FILE, read_vocabulary, write_vocabulary
from avpipeline.datasets.youtube8m.writing import (
    DESCRIPTION_FILE,
    FeatureVideos,
    description_of,
    read_description,
    record_writer,
    write_description,
    write_shards,
)
from avpipeline.errors import InputError
from avpipeline.features.store import FeatureShards
from avpipeline.files import make_folder


def store_std(
    shards: Sequence[str], out: Path, each: Callable[[Callable, Sequence], Iterable], *, skip_corrupt: bool
) -> None:
    """Stores mean and standard deviation of frame-level shards as video-level shards, one for each file.

    Args:
      shards: files or patterns.
      out: folder for files of the same names; those that exist are kept.
      each: like `map`: applies a function to each of several items (`cli.cluster.mapped` on a Ray cluster).
      skip_corrupt: skip damaged records and report how many.

    Raises:
      InputError: no such files, two of one name, or `out` is where they are.
    """
    paths = list_shards(shards)
    targets = {path: out / Path(path).name for path in paths}
    if len(set(targets.values())) < len(paths):
        raise InputError(f"{out}: two of the shards have the same name; store them in separate folders.")
    own = [path for path, target in targets.items() if target.exists() and Path(path).absolute() == target.absolute()]
    if own:
        raise InputError(f"{own[0]}: would be overwritten by its own result; choose another --out.")
    make_folder(out)
    _take_over_description(paths, out)
    corrupt = CorruptRecords()
    todo = [path for path in paths if not targets[path].exists()]
    # On a cluster each file is a task; one process reads the next file while it writes.
    groups = [todo] * bool(todo) if each is map else [[path] for path in todo]
    store = partial(_store, targets=targets, like=todo, skip_corrupt=skip_corrupt, quiet=len(groups) > 1)
    counts: dict[str, int] = {}
    for written, damage in ProgressBar(each(store, groups), total=len(groups), unit="file", disable=len(groups) < 2):
        counts |= written
        corrupt.shards |= damage
    remember({str(targets[path]): count for path, count in counts.items()})
    remember({path: count for path, count in counts.items() if path not in corrupt.shards})
    print(
        f"{sum(counts.values())} videos in {len(todo)} files written to {out}; {len(paths) - len(todo)} files "
        "existed already"
    )
    print(corrupt.text())


def _store(
    paths: Sequence[str], targets: dict[str, Path], like: Sequence[str], skip_corrupt: bool, quiet: bool
) -> tuple[dict[str, int], dict[str, Damage]]:
    """Writes the video-level shards of these files; returns file -> its videos, and file -> what is damaged in it."""
    corrupt, counts = CorruptRecords(), {}
    made = summaries(paths, skip_corrupt=skip_corrupt, corrupt=corrupt, like=like)
    videos = ProgressBar(made, desc="standard deviations", unit="video", disable=quiet)
    for path, group in itertools.groupby(videos, lambda each: each[0]):
        counts[path] = 0
        with record_writer(targets[path]) as add:
            for _, name, labels, summary in group:
                add(encode_video(name, labels, summary))
                counts[path] += 1
    for path in paths:
        # One without videos is not to be made again each time; a damaged one is, as a better copy may take its place.
        if path not in counts and path not in corrupt.shards:
            counts[path] = 0
            with record_writer(targets[path]):
                pass
    return counts, corrupt.shards


def _take_over_description(paths: Sequence[str], out: Path) -> None:
    """Copies the description of the frames, which also holds for their means; YouTube-8M's own files have none."""
    folders = {Path(path).parent for path in paths}
    described = [read_description(folder) for folder in sorted(folders) if (folder / DESCRIPTION_FILE).exists()]
    if described and (len(described) < len(folders) or any(each != described[0] for each in described)):
        raise InputError(f"{out}: the shards hold different features; store those of each folder separately.")
    if described:
        write_description(out, described[0])


def write_features(
    features: Path, labels: Path, out: Path, vocabulary: Path | None, level: str, shards: int, scale: bool
) -> None:
    """Writes extracted features and a table of labels as shards, with a vocabulary and a description of the features.

    Args:
      features: folder of extracted features.
      labels: a table of clips.
      out: folder for all of these files.
      vocabulary: CSV file of the classes; None takes the names in `labels`.
      level: "frame" or "video".
      shards: number of files for each split.
      scale: scale each modality to the range of a frame's bytes.
    """
    clips = read_clips(labels, only="train")
    of_clips = {event.label for clip in clips for event in clip.events}
    names = read_vocabulary(vocabulary) if vocabulary else tuple(sorted(of_clips))
    # A label is the name of a class or, where no class has that name, its number.
    numbers = numbered(map(str, range(len(names)))) | numbered(names)
    known = partial(class_number, numbers=numbers, of=str(vocabulary or labels))
    classes = {clip.name: sorted({known(event.row, event.label) for event in clip.events}) for clip in clips}
    stored = FeatureShards(features)
    if any(out.glob("*.tfrecord")):
        raise InputError(f"{out}: already holds shards, which would be mixed up with these; choose another --out.")
    description = description_of(stored, scale=scale)
    splits = {}
    for split in SPLIT_NAMES:
        chosen = {clip.name: classes[clip.name] for clip in clips if clip.split == split}
        if chosen:
            splits[split] = FeatureVideos(stored, chosen, description)
    make_folder(out)
    for split, videos in splits.items():
        written = write_shards(out, SPLIT_NAMES[split][0], videos, shards=shards, level=level)
        print(f"{split}: {len(videos)} videos in {len(written)} files")
    write_description(out, description)
    train = [label for clip in clips if clip.split == "train" for label in classes[clip.name]]
    counts = np.bincount(train, minlength=len(names)).tolist()
    write_vocabulary(out / VOCABULARY_FILE, names, counts)
    print(f"{len(names)} classes, shards and {VOCABULARY_FILE} are in {link(out)}")
