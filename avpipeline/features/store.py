"""Extracted features: what a folder of shards holds, and its rows read lazily in any order.

A folder holds `features.json` (each modality's `FeatureInfo`, the seconds of a clip, the ids in order, whether
the extraction was finished) and the shards, whose form `shards` describes.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.features.shards import ClipRecord, Shapes, opened, read_records, read_row, shard_paths, table_of
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
    """

    features: Mapping[str, FeatureInfo]
    seconds: int
    ids: tuple[str, ...] = ()
    complete: bool = False

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
    manifest = Manifest(features, fields["seconds"], tuple(fields["ids"]), fields["complete"])
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
    }
    write_json(Path(folder) / MANIFEST, fields)


@dataclasses.dataclass(frozen=True)
class _Entry:
    """A clip and its place: a row of the datasets of a shard."""

    record: ClipRecord
    shard: Path
    row: int


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
          InputError: no manifest, an unfinished extraction, a shard that is missing, cut off or of other shapes.
        """
        self.folder = Path(folder)
        manifest = read_manifest(self.folder)
        if not manifest.complete:
            raise InputError(f"{self.folder}: its extraction was not finished; run the same command again.")
        entries = {
            record.id: _Entry(record, path, row)
            for path in shard_paths(self.folder)
            for row, record in enumerate(read_records(path, manifest.shapes))
        }
        missing = [clip for clip in manifest.ids if clip not in entries]
        if missing:
            raise InputError(f"{self.folder}: the shard with clip '{missing[0]}' is missing; extract again.")
        rows = [entries[clip] for clip in manifest.ids]
        self.ids = manifest.ids
        self.records = tuple(entry.record for entry in rows)
        self.features = dict(manifest.features)
        self.seconds = manifest.seconds
        self.sources = {
            modality: ShardSource(rows, modality, shape) for modality, shape in manifest.shapes.items()
        }
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
        self.shape = shape

    def __len__(self) -> int:
        return len(self._entries)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Rows by index, in the order asked for: `(len(rows), *shape)` float32.

        Raises:
          InputError: naming shard and clip: a damaged shard, NaN.
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
