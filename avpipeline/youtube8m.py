"""`python -m avpipeline.youtube8m`: checks shards, stores standard deviations, writes shards from features."""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import tyro

from avpipeline.cli import Count, MaybeCount, run
from avpipeline.cli.progress import ProgressBar
from avpipeline.datasets.checks.youtube8m import check_shards
from avpipeline.datasets.listings import class_number, numbered
from avpipeline.datasets.own_clips import Clip, read_clips
from avpipeline.engines.cluster import EngineName, connected, mapped, require_engine, require_folders
from avpipeline.errors import InputError
from avpipeline.features.store import FeatureShards
from avpipeline.files import make_folder
from avpipeline.validate import verdict

if TYPE_CHECKING:
    from avpipeline.datasets.youtube8m.files import Damage

# Split in a CSV of labels -> what YouTube-8M calls its files.
_FILE_NAMES = {"train": "train", "val": "validate", "test": "test"}


@dataclasses.dataclass(frozen=True)
class Check:
    """Counts the videos in shards and reads every record: what is there, and what cannot be used."""

    shards: tyro.conf.Positional[tuple[str, ...]]
    """Files or patterns in quotes, e.g. "yt8m/train*.tfrecord"."""
    num_classes: MaybeCount = None
    """Number of classes, which labels must be below: 3862 for YouTube-8M of 2018, 4716 for 2017. [default: any]"""
    values: bool = True
    """Read every record; otherwise records are only counted, which is quick."""
    engine: EngineName = "local"
    """local: this process; ray: a Ray cluster, one file a task."""
    address: str | None = None
    """Of the Ray cluster: auto, or HOST:PORT. [default: this machine alone]"""


@dataclasses.dataclass(frozen=True)
class Std:
    """Stores mean and standard deviation of frame-level shards as video-level shards, one for each file."""

    shards: tyro.conf.Positional[tuple[str, ...]]
    """Frame-level files or patterns in quotes, e.g. "yt8m/frame/train*.tfrecord"."""
    out: Path
    """Folder for files of the same names; files that exist already are kept, so an interrupted run resumes."""
    skip_corrupt: bool = False
    """Skip damaged records and report how many; otherwise the first one ends the run."""
    engine: EngineName = "local"
    """local: this process; ray: a Ray cluster, one file a task."""
    address: str | None = None
    """Of the Ray cluster: auto, or HOST:PORT. [default: this machine alone]"""


@dataclasses.dataclass(frozen=True)
class Write:
    """Writes extracted features and a CSV of labels as shards.

    The CSV has the columns `id` (the media file's name without extension), `labels` (names or numbers, separated by
    ";") and, optionally, `split` (train, val or test); the CSV of the dataset "csv" will do.
    """

    features: tyro.conf.Positional[Path]
    """Folder of extracted features (python -m avpipeline.extract)."""
    labels: tyro.conf.Positional[Path]
    """CSV file of labels."""
    out: Path
    """Folder for the shards and vocabulary.csv."""
    vocabulary: Path | None = None
    """CSV file with the columns Index and Name. [default: the names in --labels, sorted]"""
    level: Literal["frame", "video"] = "frame"
    """Every second as a frame, or the mean and standard deviation of each video."""
    shards: Count = 1
    """Number of files for each split."""
    scale: bool = True
    """Scale each modality so that its largest value becomes 2, since a frame's bytes span -2 to 2. Without it, values
    outside are clipped: for features made for that range, such as vggish:embedding_pca_quantized."""


def main(command: Check | Std | Write) -> int:
    """YouTube-8M records: checks them, stores standard deviations, writes records of your own videos.

    Examples:
      python -m avpipeline.youtube8m check "yt8m/train*.tfrecord"
      python -m avpipeline.youtube8m write FEATURES labels.csv --out OUT
    """
    return {Check: check, Std: store_std, Write: write}[type(command)](command)


def check(command: Check) -> int:
    """Prints findings; exit status 0 when nothing is wrong, else 2."""
    from avpipeline.datasets.youtube8m.files import list_shards

    findings = []
    with _engine(command) as each:
        for pattern in command.shards:
            settings = {"num_classes": command.num_classes, "values": command.values, "each": each}
            for finding in check_shards(pattern, list_shards(pattern), **settings):
                print(f"  {finding.kind:<8}{finding.about}: {finding.text}", flush=True)
                findings.append(finding)
    print(verdict(findings))
    return 2 if any(finding.kind == "wrong" for finding in findings) else 0


@contextlib.contextmanager
def _engine(command: Check | Std) -> Iterator[Callable[[Callable, Sequence], Iterable]]:
    """What computes a function of each of several items: `map`, or a Ray cluster that is used meanwhile."""
    require_engine(command.engine, command.address)
    if command.engine == "local":
        yield map
        return
    with connected(command.address):
        yield mapped


def store_std(command: Std) -> int:
    """Writes one video-level shard for each frame-level one."""
    from avpipeline.datasets.youtube8m.counts import remember
    from avpipeline.datasets.youtube8m.files import CorruptRecords, list_shards

    require_folders([command.out], "standard deviations are written")
    paths = list_shards(command.shards)
    targets = {path: command.out / Path(path).name for path in paths}
    if len(set(targets.values())) < len(paths):
        raise InputError(
            f"{command.out}: two of the shards have the same name; store them in separate folders."
        )
    own = [
        path for path, target in targets.items() if target.exists() and Path(path).absolute() == target.absolute()
    ]
    if own:
        raise InputError(f"{own[0]}: would be overwritten by its own result; choose another --out.")
    make_folder(command.out)
    _take_over_description(paths, command.out)
    corrupt = CorruptRecords()
    todo = [path for path in paths if not targets[path].exists()]
    # On a cluster each file is a task; one process reads the next file while it writes.
    groups = [[path] for path in todo] if command.engine == "ray" else [todo] * bool(todo)
    store = partial(_store, targets=targets, like=todo, skip_corrupt=command.skip_corrupt, quiet=len(groups) > 1)
    counts: dict[str, int] = {}
    with _engine(command) as each:
        stored = ProgressBar(each(store, groups), total=len(groups), unit="file", disable=len(groups) < 2)
        for written, damage in stored:
            counts |= written
            corrupt.shards |= damage
    remember({str(targets[path]): count for path, count in counts.items()})
    remember({path: count for path, count in counts.items() if path not in corrupt.shards})
    print(
        f"{sum(counts.values())} videos in {len(todo)} files written to {command.out}; {len(paths) - len(todo)} files "
        "existed already"
    )
    print(corrupt.text())
    return 0


def _store(
    paths: Sequence[str], targets: dict[str, Path], like: Sequence[str], skip_corrupt: bool, quiet: bool
) -> tuple[dict[str, int], dict[str, "Damage"]]:
    """Writes the video-level shards of these files; returns file -> its videos, and file -> what is damaged in it."""
    from avpipeline.datasets.youtube8m.files import CorruptRecords
    from avpipeline.datasets.youtube8m.reading import summaries
    from avpipeline.datasets.youtube8m.records import encode_video
    from avpipeline.datasets.youtube8m.writing import record_writer

    corrupt, counts = CorruptRecords(), {}
    made = summaries(paths, skip_corrupt=skip_corrupt, corrupt=corrupt, like=like)
    videos = ProgressBar(made, desc="standard deviations", unit="video", disable=quiet)
    for path, group in itertools.groupby(videos, lambda each: each[0]):
        counts[path] = 0
        with record_writer(targets[path]) as add:
            for _, name, labels, summary in group:
                add(encode_video(name, labels, summary))
                counts[path] += 1
    return counts, corrupt.shards


def _take_over_description(paths: Sequence[str], out: Path) -> None:
    """The description of the frames also holds for their means; YouTube-8M's own files have none."""
    from avpipeline.datasets.youtube8m.writing import DESCRIPTION_FILE, read_description, write_description

    folders = {Path(path).parent for path in paths}
    described = [read_description(folder) for folder in sorted(folders) if (folder / DESCRIPTION_FILE).exists()]
    if described and (len(described) < len(folders) or any(each != described[0] for each in described)):
        raise InputError(f"{out}: the shards hold different features; store those of each folder separately.")
    if described:
        write_description(out, described[0])


def write(command: Write) -> int:
    """Writes the shards, the vocabulary and the description of the features."""
    from avpipeline.datasets.youtube8m.splits import VOCABULARY_FILE, read_vocabulary, write_vocabulary
    from avpipeline.datasets.youtube8m.writing import FeatureVideos, description_of, write_description, write_shards

    clips = read_clips(command.labels, only="train")
    names = read_vocabulary(command.vocabulary) if command.vocabulary else _own_names(clips)
    labels = {clip.name: _class_numbers(clip, names, command.vocabulary or command.labels) for clip in clips}
    features = FeatureShards(command.features)
    if any(command.out.glob("*.tfrecord")):
        raise InputError(
            f"{command.out}: already holds shards, which would be mixed up with these; choose another --out."
        )
    description = description_of(features, scale=command.scale)
    splits = {}
    for split in _FILE_NAMES:
        chosen = {clip.name: labels[clip.name] for clip in clips if clip.split == split}
        if chosen:
            splits[split] = FeatureVideos(features, chosen, description)
    make_folder(command.out)
    for split, videos in splits.items():
        written = write_shards(command.out, _FILE_NAMES[split], videos, shards=command.shards, level=command.level)
        print(f"{split}: {len(videos)} videos in {len(written)} files")
    write_description(command.out, description)
    train = [label for clip in clips if clip.split == "train" for label in labels[clip.name]]
    counts = np.bincount(train, minlength=len(names)).tolist()
    write_vocabulary(command.out / VOCABULARY_FILE, names, counts)
    print(f"{len(names)} classes, shards and {VOCABULARY_FILE} are in {command.out}")
    return 0


def _own_names(clips: Sequence[Clip]) -> tuple[str, ...]:
    return tuple(sorted({event.label for clip in clips for event in clip.events}))


def _class_numbers(clip: Clip, names: Sequence[str], of: Path) -> list[int]:
    """Class indices of a clip's labels, given by name or, where no class has that name, by number."""
    numbers = numbered(str(number) for number in range(len(names))) | numbered(names)
    return sorted({class_number(event.row, event.label, numbers, str(of)) for event in clip.events})


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avpipeline.youtube8m"))
