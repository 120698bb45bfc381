"""Extracted features: what a folder of shards holds, and its rows read lazily in any order.

A folder holds `features.json` (each modality's `FeatureInfo`, the seconds of a clip, the ids in order, whether
the extraction was finished) and the shards, whose form `shards` describes; or a folder like that for each part
(`parts`).
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.features.parts import Part, all_parts, part_folders
from avpipeline.features.shards import (
    ClipRecord,
    Shapes,
    opened,
    read_records,
    read_row,
    shard_paths,
    states_features,
    table_of,
)
from avpipeline.files import parse_json, read_bytes, reading, write_json

MANIFEST = "features.json"
_SCHEMA = 2
_TFRECORD_SCHEMA = 1
# The longest clip whose features are stored.
MOST_SECONDS = 24 * 3600


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a folder of shards holds.

    Attributes:
      features: modality -> what its features are.
      seconds: segments of every clip.
      ids: of the clips, in order; empty while the extraction is not finished.
      complete: whether it is finished.
      part: which part of an extraction this is; None for a whole one.
    """

    features: Mapping[str, FeatureInfo]
    seconds: int
    ids: tuple[str, ...] = ()
    complete: bool = False
    part: Part | None = None

    @property
    def made_of(self) -> str:
        """Which features of how many seconds, as text to compare."""
        infos = {modality: info.to_json() for modality, info in self.features.items()}
        return json.dumps({"features": infos, "seconds": self.seconds}, sort_keys=True)

    @property
    def shapes(self) -> Shapes:
        """Modality -> shape of one clip's features, `(seconds, *feature shape)`."""
        return {modality: (self.seconds, *info.shape) for modality, info in self.features.items()}


def read_manifest(folder) -> Manifest:
    """The manifest of a folder of shards; InputError where it is missing, damaged or of another version."""
    path = Path(folder) / MANIFEST
    if not path.exists():
        raise InputError(f"{path}: there is no such file; name a folder of extracted features.")
    with reading(path, "is damaged and cannot be understood", "extract into another folder"):
        fields = parse_json(read_bytes(path))
        schema = fields["schema"]
        if schema == _SCHEMA:
            return _manifest(fields)
    if schema == _TFRECORD_SCHEMA:
        raise InputError(
            f"{path}: is of an earlier version, which kept features in TFRecord files; extract again into another "
            "folder."
        )
    raise InputError(f"{path}: has version {schema!r:.20} where {_SCHEMA} is known; extract into another folder.")


def _manifest(fields: Mapping) -> Manifest:
    """KeyError, TypeError or ValueError for anything that `write_manifest` does not write."""
    features = {modality: FeatureInfo.from_json(info) for modality, info in fields["features"].items()}
    part = Part(**fields["part"]) if "part" in fields else None
    manifest = Manifest(features, fields["seconds"], tuple(fields["ids"]), fields["complete"], part)
    if type(manifest.seconds) is not int or not 0 < manifest.seconds <= MOST_SECONDS:
        raise ValueError(f"a clip has 1 to {MOST_SECONDS} seconds")
    if type(manifest.complete) is not bool or not all(type(name) is str for name in manifest.ids):
        raise TypeError("ids are texts, and an extraction is complete or not")
    if len(set(manifest.ids)) < len(manifest.ids):
        raise ValueError("an id is there twice")
    return manifest


def write_manifest(folder, manifest: Manifest) -> None:
    """Writes `features.json`."""
    fields = {
        "schema": _SCHEMA,
        "complete": manifest.complete,
        "seconds": manifest.seconds,
        "features": {modality: info.to_json() for modality, info in manifest.features.items()},
        "ids": list(manifest.ids),
        **({"part": dataclasses.asdict(manifest.part)} if manifest.part else {}),
    }
    write_json(Path(folder) / MANIFEST, fields)


@dataclasses.dataclass(frozen=True)
class _Entry:
    """A clip and its place: a row of the datasets of a shard."""

    record: ClipRecord
    shard: Path
    row: int


def has_features(folder) -> bool:
    """Whether features were extracted into a folder, in parts or not."""
    return (Path(folder) / MANIFEST).exists() or bool(part_folders(folder))


def _entries(folder: Path, manifest: Manifest) -> dict[str, _Entry]:
    """Id -> place of each clip of a folder: those that the manifest lists, then those in shards added by hand.

    Raises:
      InputError: an unfinished extraction, a shard that is missing, damaged or of other features, a clip in two shards.
    """
    if not manifest.complete:
        raise InputError(f"{folder}: its extraction was not finished; run the same command again.")
    found: dict[str, _Entry] = {}
    for path in shard_paths(folder):
        for row, record in enumerate(read_records(path, manifest.shapes, manifest.made_of)):
            _add(found, _Entry(record, path, row))
    missing = [clip for clip in manifest.ids if clip not in found]
    if missing:
        raise InputError(f"{folder}: the shard with clip '{missing[0]}' is missing; extract again.")
    listed = {clip: found[clip] for clip in manifest.ids}
    unlisted = {clip: entry for clip, entry in found.items() if clip not in listed}
    for path in {entry.shard: None for entry in unlisted.values()}:
        if not states_features(path):
            raise InputError(
                f"{path}: has clips that {MANIFEST} does not list, and does not say of which features; move it to the "
                "folder it came from, or extract its clips again."
            )
    return {**listed, **unlisted}


def _add(entries: dict[str, _Entry], entry: _Entry) -> None:
    other = entries.setdefault(entry.record.id, entry)
    if other is not entry:
        raise InputError(
            f"{entry.shard}: has the clip '{entry.record.id}', which is in {other.shard} too; keep one of them."
        )


def _of_parts(folder: Path, folders: Sequence[Path]) -> tuple[Manifest, dict[str, _Entry]]:
    """The first part's manifest and the clips of all parts; InputError if they are not parts of one extraction."""
    if (folder / MANIFEST).exists():
        raise InputError(
            f"{folder}: holds {MANIFEST} and parts ({folders[0].name}); move one extraction to another folder."
        )
    first, entries = read_manifest(folders[0]), {}
    for path in folders:
        manifest = read_manifest(path)
        problem = _difference(first, manifest, path.name)
        if problem:
            raise InputError(f"{path}: {problem}; extract it again in the way of {folders[0].name}.")
        for entry in _entries(path, manifest).values():
            _add(entries, entry)
    return first, entries


def _difference(first: Manifest, other: Manifest, name: str) -> str | None:
    """Why the part in a folder called `name` is not one of the same extraction as the first, or None."""
    if other.part is None or other.part.folder != name:
        return f"holds part {other.part}" if other.part else "holds a whole extraction, no part"
    if other.made_of != first.made_of:
        return "holds features of an extraction with other settings"
    return None if other.part.files == first.part.files else "is part of another list of files"


class FeatureShards:
    """The features of a finished extraction, read lazily.

    Attributes:
      folder: holds the shards.
      ids: one a clip.
      records: one a clip, with its file, flags and lengths.
      features: modality -> what its features are.
      seconds: segments of every clip.
      sources: modality -> rows `(seconds, *shape)`, see `datasets.base.Source`.
      has_audio, has_video: `(clips,)` bool; audio_seconds, video_seconds: `(clips,)` float32.
    """

    def __init__(self, folder):
        """Reads the manifest and the shards' records of clips, no features.

        Raises:
          InputError: no manifest, an unfinished extraction, a part or a shard that is missing, a shard that is cut off
            or of other features, parts of different extractions, a clip that is there twice.
        """
        self.folder = Path(folder)
        parts = all_parts(self.folder)
        if parts:
            manifest, entries = _of_parts(self.folder, parts)
        else:
            manifest = read_manifest(self.folder)
            entries = _entries(self.folder, manifest)
        rows = list(entries.values())
        self.ids = tuple(entries)
        self.records = tuple(entry.record for entry in rows)
        self.features = dict(manifest.features)
        self.seconds = manifest.seconds
        self.sources = {name: ShardSource(rows, name, shape) for name, shape in manifest.shapes.items()}
        self.has_audio = np.array([record.has_audio for record in self.records], bool)
        self.has_video = np.array([record.has_video for record in self.records], bool)
        self.audio_seconds = np.array([record.audio_seconds for record in self.records], np.float32)
        self.video_seconds = np.array([record.video_seconds for record in self.records], np.float32)

    def __len__(self) -> int:
        return len(self.ids)


class ShardSource:
    """Rows of one modality of a folder of shards; only the chunks asked for are read, by any number of threads.

    Each call opens the shards that it needs, so that neither the number of shards nor a fork matters.

    Attributes:
      shape: of one row, `(seconds, *feature shape)`.
    """

    def __init__(self, entries: Sequence[_Entry], modality: str, shape: tuple[int, ...]):
        self._entries = entries
        self._modality = modality
        self.shape = shape  # of one row, `(seconds, *feature shape)`

    def __len__(self) -> int:
        return len(self._entries)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Rows by index, in the order asked for: `(len(rows), *shape)` float32.

        Raises:
          InputError: a shard is damaged or a clip's features hold NaN; the sentence names both.
        """
        result = np.empty((len(rows), *self.shape), np.float32)
        wanted: dict[Path, list[tuple[int, int]]] = {}
        for position, row in enumerate(rows):
            entry = self._entries[row]
            wanted.setdefault(entry.shard, []).append((entry.row, position))
        for path, places in wanted.items():
            with opened(path) as file:
                table = table_of(file, self._modality, self.shape)
                for place, position in sorted(places):
                    clip = self._entries[rows[position]].record.id
                    read_row(table, place, result[position], f"the {self._modality} features of clip '{clip}'")
        return result
