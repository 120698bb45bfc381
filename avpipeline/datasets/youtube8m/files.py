"""TFRecord files of YouTube-8M: finding them, counting their records, and reading what is intact in a damaged one.

A TFRecord consists of the length of its data (8 bytes), a checksum of the length (4), the data, and a checksum of the
data (4). tf.data reads it fast, but stops at the first damaged record without naming the file.
"""

import contextlib
import dataclasses
import os
import struct
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from avpipeline.errors import InputError
from avpipeline.files import require_regular

_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")
# Bytes of a record besides its data.
FRAMING = _HEADER.size + _CHECKSUM.size
_READ_BUFFER = 1 << 20

# Split -> how its files' names begin, the authors' way first; they may also be in a folder of that name.
SPLIT_NAMES = {"train": ("train",), "val": ("validate", "val"), "test": ("test",)}

Paths = str | Path | Iterable[str | Path]


def list_shards(paths: Paths) -> list[str]:
    """The files that match patterns (`"yt8m/train*.tfrecord"`) or paths, sorted and unique; also `gs://` paths.

    Raises:
      InputError: a pattern that matches no file.
    """
    patterns = [paths] if isinstance(paths, str | Path) else list(paths)
    if not patterns:
        raise InputError("shards: none are named; give a path or a pattern such as 'yt8m/train*.tfrecord'.")
    found: set[str] = set()
    for pattern in patterns:
        matches = tf.io.gfile.glob(str(pattern))
        # A path may contain characters that are special in patterns.
        if not matches and tf.io.gfile.exists(str(pattern)):
            matches = [str(pattern)]
        matches = [match for match in matches if not tf.io.gfile.isdir(match)]
        if not matches:
            raise InputError(f"{pattern}: no file matches; give a path or a pattern such as 'yt8m/train*.tfrecord'.")
        found.update(matches)
    return sorted(found)


def count_records(paths: Paths, *, skip_corrupt: bool = False) -> int:
    """Number of records of all shards, from the lengths in their headers: no record is read.

    Args:
      skip_corrupt: count a file that is cut off or damaged up to that point; otherwise it is an error.

    Raises:
      InputError: no file, or one that is cut off.
    """
    count = 0
    for path in list_shards(paths):
        for _, position, length in _headers(path, 0):
            if length is None and not skip_corrupt:
                raise _damaged(path, position)
            count += length is not None
    return count


def first_record(path: str) -> bytes:
    """The first intact record of a shard; InputError if there is none."""
    data = next(intact_records(path, 0, Damage()), None)
    if data is None:
        what = "is damaged at its first record" if file_size(path) else "is empty"
        raise InputError(f"{path}: {what}, or is no TFRecord file; copy it again or leave it out.")
    return data


def first_usable(paths: Sequence[str], *, skip_corrupt: bool) -> tuple[str, bytes]:
    """The first shard and its first record; with `skip_corrupt`, the first shard that has an intact one.

    Raises:
      InputError: there is none.
    """
    for path in paths[:-1] if skip_corrupt else ():
        with contextlib.suppress(InputError):
            return path, first_record(path)
    path = paths[-1] if skip_corrupt else paths[0]
    return path, first_record(path)


def file_size(path: str) -> int:
    """Bytes of a file; InputError for a pipe or a device, which would never end."""
    try:
        if os.path.exists(path):
            require_regular(path)
        return tf.io.gfile.stat(path).length
    except tf.errors.OpError as error:
        raise InputError(f"{path}: cannot be read ({error.message}); check the file.") from error


def _size_if_readable(path: str) -> int:
    """Like `file_size`, of a file that can be opened now; InputError for any other."""
    size = file_size(path)
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            file.read(1)
    except tf.errors.OpError as error:
        raise InputError(f"{path}: cannot be read ({error.message}); check the file.") from error
    return size


def intact_beginning(path: str | tf.Tensor) -> tf.data.Dataset:
    """The records of a file up to the first damaged one, read by tf.data; none of a file that cannot be opened."""

    def openable(name: bytes) -> bytes:
        _size_if_readable(name.decode())
        return name

    def records(name: tf.Tensor) -> tf.data.Dataset:
        return tf.data.TFRecordDataset(name, buffer_size=_READ_BUFFER)

    # Where errors are ignored, tf.data tries for ever to open a file that has gone since the files were listed. So it
    # is opened in Python first; if that fails, the error is what is ignored.
    there = tf.data.Dataset.from_tensors(path).map(
        lambda name: tf.ensure_shape(tf.numpy_function(openable, [name], tf.string), [])
    )
    return there.flat_map(records).ignore_errors()


@dataclasses.dataclass
class Damage:
    """What is damaged in one file.

    Attributes:
      records: number of damaged records that were skipped.
      lost_bytes: bytes at the end of the file in which the beginning of a record cannot be found any more.
    """

    records: int = 0
    lost_bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.records or self.lost_bytes)

    def text(self) -> str:
        parts = [f"{self.records} damaged record{'s' * (self.records != 1)}"] if self.records else []
        parts += [f"the last {self.lost_bytes} bytes (cut off or damaged)"] if self.lost_bytes else []
        return " and ".join(parts)


class CorruptRecords:
    """Collects what was skipped while reading shards; each file counts once, however often it is read.

    Attributes:
      shards: path -> what is damaged in it.
    """

    def __init__(self):
        self.shards: dict[str, Damage] = {}

    def add(self, path: str, damage: Damage) -> None:
        if path not in self.shards:
            warnings.warn(f"{path}: skipped {damage.text()}.", UserWarning, stacklevel=2)
        self.shards[path] = damage

    def text(self) -> str:
        """One line for each damaged file, or that there was none."""
        if not self.shards:
            return "no damaged records"
        return "\n".join(f"{path}: skipped {damage.text()}" for path, damage in sorted(self.shards.items()))


def rest_of(path: str, position: int, *, skip: bool, corrupt: CorruptRecords) -> list[bytes]:
    """The intact records of a shard after byte `position`, where tf.data stopped: none if that is the end.

    Raises:
      InputError: the file cannot be read, or the record there is damaged, and damaged records are not skipped.
    """
    if position == _size_if_readable(path):
        return []
    if not skip:
        raise _damaged(path, position)
    damage = Damage()
    records = list(intact_records(path, position, damage))
    corrupt.add(path, damage)
    return records


def intact_records(path: str, position: int, damage: Damage) -> Iterator[bytes]:
    """The records from byte `position` on whose checksums are right; the others are noted in `damage`.

    If the length of a record is damaged, no later record can be found, and the rest of the file is lost. The checksums
    are computed in Python at 10 MB/s, which suffices for the rest of a damaged file.
    """
    for file, start, length in _headers(path, position):
        if length is None:
            damage.lost_bytes = file_size(path) - start
            return
        data = file.read(length)
        if _CHECKSUM.unpack(file.read(_CHECKSUM.size))[0] == _masked_crc(data):
            yield data
        else:
            damage.records += 1


def _headers(path: str, position: int) -> Iterator[tuple]:
    """For each record from byte `position` on: the file, open at the record's data; where it begins; the data's length.

    The length is None, and the record the last, where its header is damaged or the record cut off.

    Raises:
      InputError: the file cannot be read, or is compressed.
    """
    size = _size_if_readable(path)
    with tf.io.gfile.GFile(path, "rb") as file:
        while position < size:
            file.seek(position)
            header = file.read(_HEADER.size)
            length, checksum = _HEADER.unpack(header.ljust(_HEADER.size, b"\0"))
            end = position + FRAMING + length
            if end > size or checksum != _masked_crc(header[:8]):
                if header[:3] == b"\x1f\x8b\x08":
                    raise InputError(f"{path}: is compressed by gzip; unpack it first (gzip -d).")
                yield file, position, None
                return
            yield file, position, length
            position = end


def _damaged(path: str, position: int) -> InputError:
    return InputError(
        f"{path}: is cut off or damaged at byte {position} of {file_size(path)}; copy this file again, or skip what is "
        "damaged (--skip-corrupt)."
    )


_CRC_TABLE = np.arange(256, dtype=np.uint32)
for _ in range(8):
    _CRC_TABLE = (_CRC_TABLE >> 1) ^ np.where(_CRC_TABLE & 1, np.uint32(0x82F63B78), np.uint32(0))
_CRC_TABLE = _CRC_TABLE.tolist()


def _masked_crc(data: bytes) -> int:
    """The checksum of TFRecord: CRC-32C, rotated by 15 bits and added to a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
