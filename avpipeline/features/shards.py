"""The files of a folder of feature shards: TFRecords of clips, and beside each the list of its clips.

`records` is what the rest of the project uses; here is how a shard looks on disk, and how it survives a kill.

- `shard-00000.tfrecord`: one `tf.train.Example` a clip (see `encode`),
- `shard-00000.json`: its clips and where in it each one's numbers lie, so that rows are read in any order
  without going through the shard; made again from the shard where it is missing.

A shard is written as `.tfrecord.partial` and renamed when it is full. Every record is flushed and carries
checksums, so after a kill all whole records of the partial shard are kept (`salvage`).
"""

import contextlib
import dataclasses
import errno
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from avpipeline.errors import InputError
from avpipeline.files import atomic_path, write_failure

# Modality -> shape of one clip's features, `(seconds, *feature shape)`.
Shapes = Mapping[str, tuple[int, ...]]

_PARTIAL = ".partial"
# A TFRecord is 8 bytes of length and 4 of checksum, the data, 4 bytes of checksum.
_BEFORE_DATA, _AFTER_DATA = 12, 4


@dataclasses.dataclass(frozen=True)
class ClipRecord:
    """One clip of a folder of shards.

    Attributes:
      id: its name, unique in the folder.
      path: the media file it was made from.
      file_size: of that file in bytes, so that another file of the same name is noticed.
      has_audio, has_video: whether the file has such a stream; the features of a missing one are zeros.
      audio_seconds, video_seconds: how much of the clip's length is really from the file, to the millisecond.
    """

    id: str
    path: str
    file_size: int
    has_audio: bool
    has_video: bool
    audio_seconds: float
    video_seconds: float


@dataclasses.dataclass(frozen=True)
class Entry:
    """A clip and where its numbers lie: `data` is modality -> (first byte in the shard, CRC-32)."""

    record: ClipRecord
    shard: Path
    data: Mapping[str, tuple[int, int]]

    def read_into(self, values: np.ndarray, modality: str) -> None:
        """Fills `values`, little-endian float32 of the clip's shape, with one modality's numbers.

        Raises:
          InputError: the shard cannot be read or is damaged, or the numbers are not finite.
        """
        offset, checksum = self.data[modality]
        buffer = memoryview(values.reshape(-1)).cast("B")
        try:
            with open(self.shard, "rb", buffering=0) as file:
                file.seek(offset)
                count = file.readinto(buffer)
        except OSError as error:
            raise InputError(f"{self.shard}: cannot be read ({error.strerror}); check the file.") from error
        clip = f"the {modality} features of clip '{self.record.id}'"
        if count != len(buffer) or zlib.crc32(buffer) != checksum:
            raise InputError(f"{self.shard}: {clip} are damaged; delete this shard and extract again.")
        if not np.isfinite(values).all():
            raise InputError(f"{self.shard}: {clip} hold NaN or infinite numbers; delete it and extract again.")


class ShardWriter:
    """Writes clips into new shards of a folder; a context manager.

    Leaving it normally finishes the last shard. Leaving it by an exception, or by a kill, leaves a partial
    shard, which `salvage` finishes.

    Attributes:
      entries: the clips of finished shards.
    """

    def __init__(self, folder, shapes: Shapes, shard_size: int):
        self.entries: list[Entry] = []
        self._folder = Path(folder)
        self._shapes = shapes
        self._shard_size = shard_size
        taken = [int(path.name.split(".")[0].removeprefix("shard-")) for path in shard_paths(self._folder)]
        self._next = max(taken, default=-1) + 1
        self._writer: tf.io.TFRecordWriter | None = None
        self._path = Path()
        self._size = 0
        self._waiting: list[Entry] = []

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind, value, trace) -> None:
        if kind is None and self._writer is not None:
            self._finish()
        elif self._writer is not None:
            # The exception on its way says what is wrong.
            with contextlib.suppress(tf.errors.OpError):
                self._writer.close()

    def add(self, record: ClipRecord, features: Mapping[str, np.ndarray]) -> None:
        """Writes one clip, `features` being modality -> `(seconds, *shape)`; a kill after this does not lose it.

        Raises:
          InputError: a full disk, a folder that cannot be written.
        """
        for modality, shape in self._shapes.items():
            if features[modality].shape != shape:
                raise ValueError(f"{modality}: {features[modality].shape} where {shape} was agreed")
        data = encode(record, features)
        try:
            if self._writer is None:
                self._path = self._folder / f"shard-{self._next:05d}.tfrecord{_PARTIAL}"
                self._next, self._size = self._next + 1, 0
                self._writer = tf.io.TFRecordWriter(str(self._path))
            self._writer.write(data)
            self._writer.flush()
        except tf.errors.OpError as error:
            raise tensorflow_write_failure(self._path, error) from error
        self._waiting.append(_located(self._path, self._size, data, record, features))
        self._size += _BEFORE_DATA + len(data) + _AFTER_DATA
        if len(self._waiting) == self._shard_size:
            self._finish()

    def _finish(self) -> None:
        try:
            self._writer.close()
        except tf.errors.OpError as error:
            raise tensorflow_write_failure(self._path, error) from error
        self.entries += _commit(self._path, self._waiting, self._shapes)
        self._writer, self._waiting = None, []


def salvage(folder, shapes: Shapes) -> list[Entry]:
    """The clips that are already in the shards of `folder`, after finishing what a kill left half-written.

    A shard that is cut off loses its incomplete record only. For one process at a time.

    Raises:
      InputError: a record that does not fit `shapes`; a folder that cannot be written.
    """
    entries = []
    for path in shard_paths(folder):
        found = None if path.suffix == _PARTIAL else _listed(path, shapes)
        if found is None:
            found, size = _scanned(path, shapes)
            try:
                if found:
                    os.truncate(path, size)
                    found = _commit(path, found, shapes)
                else:
                    path.unlink()
            except OSError as error:
                raise write_failure(path, error) from error
        entries += found
    return entries


def read_entries(folder, shapes: Shapes) -> list[Entry]:
    """The clips of the finished shards; InputError where one is cut off, damaged or has other shapes."""
    entries = []
    for path in shard_paths(folder):
        if path.suffix == _PARTIAL:
            continue
        found = _listed(path, shapes)
        if found is None:
            found, size = _scanned(path, shapes)
            if size != path.stat().st_size:
                where = f"after clip '{found[-1].record.id}'" if found else "at its first clip"
                raise InputError(f"{path}: is cut off or damaged {where}; run the extraction again.")
        entries += found
    return entries


def shard_paths(folder) -> list[Path]:
    """All shards of a folder in order, finished and partial."""
    found = Path(folder).glob("shard-[0-9]*.tfrecord*")
    return sorted(path for path in found if path.suffix in (".tfrecord", _PARTIAL))


def write_json(path: Path, content: dict) -> None:
    """Writes a .json file whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def encode(record: ClipRecord, features: Mapping[str, np.ndarray]) -> bytes:
    """One clip as a serialised `tf.train.Example`.

    Its features: `id`, `path` (bytes), `file_size`, `has_audio`, `has_video` (int64), `audio_seconds`,
    `video_seconds` (float), and for each modality `MODALITY` (the numbers, little-endian float32, last axis
    fastest) and `MODALITY/shape` (int64).
    """
    fields = {
        "id": _bytes(os.fsencode(record.id)),
        "path": _bytes(os.fsencode(record.path)),
        "file_size": _integers([record.file_size]),
        "has_audio": _integers([record.has_audio]),
        "has_video": _integers([record.has_video]),
        "audio_seconds": _floats([record.audio_seconds]),
        "video_seconds": _floats([record.video_seconds]),
    }
    for modality, array in features.items():
        fields[modality] = _bytes(_raw(array))
        fields[f"{modality}/shape"] = _integers(array.shape)
    return tf.train.Example(features=tf.train.Features(feature=fields)).SerializeToString(deterministic=True)


def decode(data: bytes) -> tuple[ClipRecord, dict[str, np.ndarray]]:
    """The clip and its features, as `encode` wrote them; ValueError or IndexError for another kind of Example."""
    fields = tf.train.Example.FromString(data).features.feature
    record = ClipRecord(
        id=os.fsdecode(fields["id"].bytes_list.value[0]),
        path=os.fsdecode(fields["path"].bytes_list.value[0]),
        file_size=fields["file_size"].int64_list.value[0],
        has_audio=bool(fields["has_audio"].int64_list.value[0]),
        has_video=bool(fields["has_video"].int64_list.value[0]),
        audio_seconds=round(fields["audio_seconds"].float_list.value[0], 3),
        video_seconds=round(fields["video_seconds"].float_list.value[0], 3),
    )
    modalities = [name.removesuffix("/shape") for name in fields if name.endswith("/shape")]
    features = {}
    for modality in modalities:
        values = np.frombuffer(fields[modality].bytes_list.value[0], "<f4")
        features[modality] = values.reshape(tuple(fields[f"{modality}/shape"].int64_list.value))
    return record, features


def _scanned(path: Path, shapes: Shapes) -> tuple[list[Entry], int]:
    """The whole records at the start of a shard, and how many bytes they take."""
    entries, position = [], 0
    for data in _intact(path):
        try:
            record, features = decode(data)
        except (DecodeError, IndexError, ValueError) as error:
            raise InputError(f"{path}: holds a record of something else; choose another folder.") from error
        _require_shapes(path, record.id, {modality: array.shape for modality, array in features.items()}, shapes)
        entries.append(_located(path, position, data, record, features))
        position += _BEFORE_DATA + len(data) + _AFTER_DATA
    return entries, position


def _intact(path: Path) -> Iterator[bytes]:
    """Records up to the first one whose length or checksum is wrong."""
    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    while True:
        try:
            yield next(records)
        except (StopIteration, tf.errors.DataLossError, tf.errors.OutOfRangeError):
            return
        except tf.errors.OpError as error:
            raise InputError(f"{path}: cannot be read ({error.message}); check the file.") from error


def _located(path: Path, position: int, data: bytes, record: ClipRecord, features) -> Entry:
    """Where the record `data`, which begins at byte `position` of the shard, holds each modality's numbers."""
    places = {}
    for modality, array in features.items():
        raw = _raw(array)
        places[modality] = (position + _BEFORE_DATA + data.index(raw), zlib.crc32(raw))
    return Entry(record, path, places)


def _commit(path: Path, entries: list[Entry], shapes: Shapes) -> list[Entry]:
    """Writes the list of a closed shard's clips and gives the shard its final name."""
    final = path.with_name(path.name.removesuffix(_PARTIAL))
    content = {
        "bytes": path.stat().st_size,
        "shapes": shapes,
        "clips": [{**dataclasses.asdict(entry.record), "data": entry.data} for entry in entries],
    }
    try:
        write_json(final.with_suffix(".json"), content)
        os.replace(path, final)
    except OSError as error:
        raise write_failure(final, error) from error
    return [dataclasses.replace(entry, shard=final) for entry in entries]


def _listed(path: Path, shapes: Shapes) -> list[Entry] | None:
    """The clips of a finished shard by its list; None where there is no list that fits the shard."""
    try:
        content = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if content["bytes"] != path.stat().st_size:
            return None
        stored = {modality: tuple(shape) for modality, shape in content["shapes"].items()}
        entries = []
        for clip in content["clips"]:
            data = {modality: tuple(place) for modality, place in clip.pop("data").items()}
            entries.append(Entry(ClipRecord(**clip), path, data))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if entries:
        _require_shapes(path, entries[0].record.id, stored, shapes)
    return entries


def _require_shapes(path: Path, clip: str, given: Shapes, shapes: Shapes) -> None:
    for modality, shape in shapes.items():
        if given.get(modality) != shape:
            raise InputError(
                f"{path}: the {modality} features of clip '{clip}' have the shape {given.get(modality)} where "
                f"{shape} is needed; extract into another folder."
            )


def tensorflow_write_failure(path: Path, error: tf.errors.OpError) -> InputError:
    """The sentence for a write that failed inside TensorFlow."""
    codes = {tf.errors.ResourceExhaustedError: errno.ENOSPC, tf.errors.PermissionDeniedError: errno.EACCES}
    return write_failure(path, OSError(codes.get(type(error)), error.message))


def _raw(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array, "<f4").tobytes()


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _integers(values) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value) for value in values]))


def _floats(values) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))
