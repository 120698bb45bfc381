"""`python -m avpipeline.youtube8m`: check shards, store standard deviations, write shards from features."""

import csv
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import tyro
from tqdm import tqdm

from avpipeline.cli import run
from avpipeline.datasets.youtube8m import VOCABULARY_FILE, read_vocabulary, write_vocabulary
from avpipeline.datasets.youtube8m_checks import check_shards
from avpipeline.errors import InputError
from avpipeline.files import make_folder
from avpipeline.records import FeatureShards
from avpipeline.validate import verdict
from avpipeline.youtube8m.files import CorruptRecords, list_shards
from avpipeline.youtube8m.reading import summaries
from avpipeline.youtube8m.records import encode_video
from avpipeline.youtube8m.writing import (
    DESCRIPTION_FILE,
    FeatureVideos,
    description_of,
    read_description,
    record_writer,
    write_description,
    write_shards,
)

# Split in a CSV of labels -> how YouTube-8M calls its files.
_FILE_NAMES = {"train": "train", "val": "validate", "test": "test"}


@dataclasses.dataclass(frozen=True)
class Check:
    """Counts the videos of shards and reads every record: what there is, and what cannot be used."""

    shards: tyro.conf.Positional[tuple[str, ...]]
    """Files or patterns in quotes, e.g. "yt8m/train*.tfrecord"."""
    num_classes: int | None = None
    """Labels have to be below this: 3862 for YouTube-8M of 2018, 4716 for that of 2017. [default: any]"""
    values: bool = True
    """Read every record; without it they are counted, which takes a moment."""


@dataclasses.dataclass(frozen=True)
class Std:
    """Stores mean and standard deviation of frame-level shards as video-level shards, one file a file."""

    shards: tyro.conf.Positional[tuple[str, ...]]
    """Frame-level files or patterns in quotes, e.g. "yt8m/frame/train*.tfrecord"."""
    out: Path
    """Folder for files of the same names; those that are there already are kept, so a run can be continued."""
    skip_corrupt: bool = False
    """Leave out records that are damaged, and say how many; otherwise the first of them ends the run."""


@dataclasses.dataclass(frozen=True)
class Write:
    """Writes extracted features and a CSV of labels as shards.

    The CSV has the columns `id` (the media file's name without ending), `labels` (names or numbers, joined by ";")
    and, if you like, `split` (train, val or test).
    """

    features: tyro.conf.Positional[Path]
    """Folder of extracted features (python -m avpipeline.extract)."""
    labels: tyro.conf.Positional[Path]
    """CSV file of labels."""
    out: Path
    """Folder for the shards, and a vocabulary.csv where none is given."""
    vocabulary: Path | None = None
    """CSV file with the columns Index and Name. [default: the names in --labels, sorted]"""
    level: Literal["frame", "video"] = "frame"
    """Every second as a frame, or mean and standard deviation of each video."""
    shards: int = 1
    """Files a split."""
    scale: bool = True
    """Multiply each modality so that its largest number becomes 2: a frame's bytes reach from -2 to 2. Without it,
    what is outside is cut off: for features that are made for it, as vggish:embedding_pca_quantized."""


def main(command: Check | Std | Write) -> int:
    """Record files of YouTube-8M: checks them, stores standard-deviation features, writes your own."""
    return {Check: check, Std: store_std, Write: write}[type(command)](command)


def check(command: Check) -> int:
    """Prints findings; exit status 0 when nothing is wrong, else 2."""
    findings = []
    for pattern in command.shards:
        paths = list_shards(pattern)
        for finding in check_shards(pattern, paths, num_classes=command.num_classes, values=command.values):
            print(f"  {finding.kind:<8}{finding.about}: {finding.text}", flush=True)
            findings.append(finding)
    print(verdict(findings))
    return 2 if any(finding.kind == "wrong" for finding in findings) else 0


def store_std(command: Std) -> int:
    """Writes one video-level shard for each frame-level one."""
    paths = list_shards(command.shards)
    targets = {path: command.out / Path(path).name for path in paths}
    if len(set(targets.values())) < len(paths):
        raise InputError(
            f"{command.out}: two of the shards have the same name; store them in folders of their own."
        )
    own = [
        path for path, target in targets.items() if target.exists() and Path(path).absolute() == target.absolute()
    ]
    if own:
        raise InputError(f"{own[0]}: would be written over by its own result; choose another --out.")
    make_folder(command.out)
    _take_over_description(paths, command.out)
    corrupt = CorruptRecords()
    todo = [path for path in paths if not targets[path].exists()]
    made = summaries(todo, skip_corrupt=command.skip_corrupt, corrupt=corrupt) if todo else ()
    videos = 0
    for path, group in itertools.groupby(
        tqdm(made, desc="standard deviations", unit="video"), lambda each: each[0]
    ):
        with record_writer(targets[path]) as add:
            for _, name, labels, summary in group:
                add(encode_video(name, labels, summary))
                videos += 1
    print(
        f"{videos} videos in {len(todo)} files written into {command.out}; {len(paths) - len(todo)} files were there"
    )
    print(corrupt.text())
    return 0


def _take_over_description(paths: Sequence[str], out: Path) -> None:
    """What the frames are holds for their means, too; YouTube-8M's own files say nothing of themselves."""
    folders = {Path(path).parent for path in paths}
    described = [read_description(folder) for folder in sorted(folders) if (folder / DESCRIPTION_FILE).exists()]
    if described and (len(described) < len(folders) or any(each != described[0] for each in described)):
        raise InputError(f"{out}: the shards hold different features; store each folder's in a folder of its own.")
    if described:
        write_description(out, described[0])


def write(command: Write) -> int:
    """Writes the shards, the vocabulary and what the features are."""
    videos = read_labels(command.labels)
    names = _class_names(command.vocabulary, videos)
    numbers = {name: number for number, name in enumerate(names)}
    features = FeatureShards(command.features)
    labels = {name: _numbers(command.labels, name, given, numbers) for name, (_, given) in videos.items()}
    if any(command.out.glob("*.tfrecord")):
        raise InputError(
            f"{command.out}: already holds shards, which would be mixed with these; choose another --out."
        )
    description = description_of(features, scale=command.scale)
    splits = {}
    for split in _FILE_NAMES:
        chosen = {name: labels[name] for name, (own_split, _) in videos.items() if own_split == split}
        if chosen:
            splits[split] = FeatureVideos(features, chosen, description)
    make_folder(command.out)
    for split, rows in splits.items():
        written = write_shards(command.out, _FILE_NAMES[split], rows, shards=command.shards, level=command.level)
        print(f"{split}: {len(rows)} videos in {len(written)} files")
    write_description(command.out, description)
    train = [label for name, (split, _) in videos.items() if split == "train" for label in labels[name]]
    counts = np.bincount(train, minlength=len(names)).tolist()
    write_vocabulary(command.out / VOCABULARY_FILE, names, counts)
    print(f"{len(names)} classes, shards and {VOCABULARY_FILE} are in {command.out}")
    return 0


def read_labels(path: Path) -> dict[str, tuple[str, list[str]]]:
    """Id -> (split, labels as they are written), of a CSV file.

    Raises:
      InputError: no such file, no such columns, an id twice, an unknown split.
    """
    videos: dict[str, tuple[str, list[str]]] = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            for line, row in enumerate(csv.DictReader(file), 2):
                name, split = row["id"].strip(), (row.get("split") or "train").strip()
                if name in videos:
                    raise InputError(
                        f"{path}, row {line}: has the video '{name}' again; put its labels into one row."
                    )
                if split not in _FILE_NAMES:
                    raise InputError(f"{path}, row {line}: has the split '{split}'; write train, val or test.")
                videos[name] = (split, [label.strip() for label in row["labels"].split(";") if label.strip()])
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text in UTF-8; save it as a CSV file in UTF-8.") from error
    except (KeyError, AttributeError, csv.Error) as error:
        raise InputError(
            f"{path}: needs the columns id and labels (joined by ';') in every row; split is optional."
        ) from error
    if not videos:
        raise InputError(f"{path}: names no video; write one row a video.")
    return videos


def _class_names(vocabulary: Path | None, videos: Mapping[str, tuple[str, Sequence[str]]]) -> tuple[str, ...]:
    if vocabulary:
        return read_vocabulary(vocabulary)
    return tuple(sorted({label for _, labels in videos.values() for label in labels}))


def _numbers(path: Path, video: str, labels: Sequence[str], numbers: Mapping[str, int]) -> list[int]:
    """Class numbers of labels that are given by name or, where no class has that name, by number."""
    result = []
    for label in labels:
        number = numbers.get(label, int(label) if label.isdecimal() else -1)
        if not 0 <= number < len(numbers):
            raise InputError(
                f"{path}: video '{video}' has the label '{label}', which is not in the vocabulary; add it there or "
                "correct it."
            )
        result.append(number)
    return sorted(set(result))


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avpipeline.youtube8m"))
