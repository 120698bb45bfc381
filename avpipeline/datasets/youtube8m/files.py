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

import tensorflow as tf

from avpipeline.errors import InputError
from avpipeline.files import require_regular

_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")
# Bytes of a record besides its data.
FRAMING = _HEADER.size + _CHECKSUM.size

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
    return sum(_count(path, skip_corrupt) for path in list_shards(paths))


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

    @property
    def records(self) -> int:
        """Number of damaged records; the lost end of a file counts as one."""
        return sum(damage.records + bool(damage.lost_bytes) for damage in self.shards.values())

    def text(self) -> str:
        """One line for each damaged file, or that there was none."""
        if not self.shards:
            return "no damaged records"
        return "\n".join(f"{path}: skipped {damage.text()}" for path, damage in sorted(self.shards.items()))


def rest_of(path: str, position: int, *, skip: bool, corrupt: CorruptRecords) -> list[bytes]:
    """The intact records of a shard after byte `position`, where tf.data stopped: none if that is the end.

    Raises:
      InputError: the record there is damaged, and damaged records are not skipped.
    """
    if position == file_size(path):
        return []
    if not skip:
        raise InputError(
            f"{path}: is damaged or cut off at byte {position} of {file_size(path)}; copy this file again, or skip "
            "what is damaged (--skip-corrupt)."
        )
    damage = Damage()
    records = list(intact_records(path, position, damage))
    corrupt.add(path, damage)
    return records


def intact_records(path: str, position: int, damage: Damage) -> Iterator[bytes]:
    """The records from byte `position` on whose checksums are right; the others are noted in `damage`.

    If the length of a record is damaged, no later record can be found, and the rest of the file is lost. The checksums
    are computed in Python at 10 MB/s, which suffices for the rest of a damaged file.
    """
    size = file_size(path)
    with tf.io.gfile.GFile(path, "rb") as file:
        while position < size:
            length = _length(file, path, position, size)
            if length is None:
                damage.lost_bytes = size - position
                return
            data = file.read(length)
            if _CHECKSUM.unpack(file.read(_CHECKSUM.size))[0] == _masked_crc(data):
                yield data
            else:
                damage.records += 1
            position += FRAMING + length


def _count(path: str, skip_corrupt: bool) -> int:
    size, position, count = file_size(path), 0, 0
    with tf.io.gfile.GFile(path, "rb") as file:
        while position < size:
            length = _length(file, path, position, size)
            if length is None:
                if skip_corrupt:
                    break
                raise InputError(
                    f"{path}: is cut off or damaged at byte {position} of {size}; copy this file again, or skip "
                    "what is damaged (--skip-corrupt)."
                )
            position += FRAMING + length
            count += 1
    return count


def _length(file, path: str, position: int, size: int) -> int | None:
    """Length of a record's data, from its header; None if the header is damaged or the record cut off.

    Raises:
      InputError: the file, of `size` bytes, is compressed.
    """
    file.seek(position)
    header = file.read(_HEADER.size)
    if len(header) == _HEADER.size:
        length, checksum = _HEADER.unpack(header)
        if checksum == _masked_crc(header[:8]) and position + FRAMING + length <= size:
            return length
    if header[:3] == b"\x1f\x8b\x08":
        raise InputError(f"{path}: is compressed by gzip; unpack it first (gzip -d).")
    return None


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC_TABLE = _crc_table()


def _masked_crc(data: bytes) -> int:
    """The checksum of TFRecord: CRC-32C, rotated by 15 bits and added to a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
