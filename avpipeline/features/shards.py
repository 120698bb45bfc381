"""Shards of features: HDF5 files with a dataset a modality, in which each clip is one checksummed chunk.

A shard also holds its clips' records, as JSON in the dataset "clips", and which features they are, in "features", so
that one that was copied in from another folder is noticed. HDF5, since it checks every chunk, keeps 200,000
clips in 782 files and is needed for AVE's own files anyway. One .npz a clip is slower in one thread and makes 200,000
files; ArrayRecord reads faster in several threads, but loses a whole file to a kill and would be one more dependency.

A clip is first written as a shard of its own in the folder `unfinished`; full shards are put together from these and
renamed, so that a kill loses only the clip that is being written.
"""

import contextlib
import dataclasses
import io
import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from avpipeline.checkpoints.hdf5 import item_of, opened_h5
from avpipeline.files import Unusable, atomic_path, first_line, parse_json, reading

# Modality -> shape of one clip's features, `(seconds, *feature shape)`.
Shapes = Mapping[str, tuple[int, ...]]

_CLIPS = "clips"
_FEATURES = "features"
_UNFINISHED = "unfinished"
# The oldest form of HDF5 that has checksums over all of its own tables too.
HDF5_FORM = "v110"
# What HDF5 adds to the numbers, at most: its own tables, and for each chunk a checksum and an entry in an index.
_FILE_OVERHEAD, _CHUNK_OVERHEAD = 1 << 16, 64


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


def shard_paths(folder) -> list[Path]:
    """The finished shards of a folder in order."""
    return sorted(Path(folder).glob("shard-[0-9]*.h5"))


def shard_path(folder, number: int) -> Path:
    """Where a writer puts its shard of this number."""
    return Path(folder) / f"shard-{number:05d}.h5"


def shard_number(name: str) -> int | None:
    """The number in a shard's name; None for another file."""
    match = re.fullmatch(r"shard-(\d+)\.h5", name)
    return int(match[1]) if match else None


class ShardWriter:
    """Writes clips into new shards of a folder; a context manager, for one process at a time.

    Leaving it normally finishes the last shard. An exception or a kill leaves clips outside of shards, which the next
    writer takes over.

    Attributes:
      records: of all clips in the folder, beginning with those that were there before.
    """

    def __init__(self, folder, shapes: Shapes, shard_size: int, made_of: str = ""):
        """Raises InputError where a finished shard is damaged or holds other features.

        Args:
          made_of: which features these are (`store.Manifest.made_of`), noted in every shard; "" notes nothing.
        """
        self._folder = Path(folder)
        self._unfinished = self._folder / _UNFINISHED
        self._shapes = shapes
        self._made_of = made_of
        self._shard_size = shard_size
        finished = self._finished()
        self._next_shard = max(finished, default=-1) + 1
        # Of all clips in the folder, beginning with those that were there before.
        self.records = [record for records in finished.values() for record in records]
        self._waiting: list[tuple[Path, ClipRecord]] = []
        self._next_clip = 0
        self._salvage()

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind, value, trace) -> None:
        if kind is None:
            self._finish_shard()
            shutil.rmtree(self._unfinished, ignore_errors=True)

    def add(self, record: ClipRecord, features: Mapping[str, np.ndarray]) -> None:
        """Writes one clip, `features` being modality -> `(seconds, *shape)`; a kill after this does not lose it.

        Raises:
          InputError: a full disk, a folder that cannot be written.
        """
        for modality, shape in self._shapes.items():
            if features[modality].shape != shape:
                raise ValueError(f"{modality}: {features[modality].shape} where {shape} was agreed")
        path = self._unfinished / f"{self._next_clip:06d}.h5"
        self._next_clip += 1
        self._write(path, [record], [features])
        self._waiting.append((path, record))
        self.records.append(record)
        if len(self._waiting) >= self._shard_size:
            self._finish_shard()

    def _finished(self) -> dict[int, list[ClipRecord]]:
        """Number of each finished shard -> its clips."""
        return {
            int(path.stem.removeprefix("shard-")): read_records(path, self._shapes, self._made_of)
            for path in shard_paths(self._folder)
        }

    def _salvage(self) -> None:
        """Takes over the clips that were written before a kill; one that is damaged is extracted again."""
        known = {record.id for record in self.records}
        for path in sorted(self._unfinished.glob("[0-9]*.h5")):
            try:
                (record,) = read_records(path, self._shapes, self._made_of)
                _read_clip(path, self._shapes)
            except ValueError:  # an InputError, or another number of clips
                continue
            self._next_clip = int(path.stem) + 1
            # A kill after a shard was finished leaves its clips here too.
            if record.id not in known:
                self._waiting.append((path, record))
                self.records.append(record)

    def _finish_shard(self) -> None:
        if not self._waiting:
            return
        paths, records = zip(*self._waiting, strict=True)
        final = shard_path(self._folder, self._next_shard)
        self._write(final, records, (_read_clip(path, self._shapes) for path in paths))
        self._next_shard += 1
        self._waiting = []
        for path in paths:
            path.unlink()

    def _write(self, final: Path, records: Sequence[ClipRecord], clips: Iterable[Mapping[str, np.ndarray]]) -> None:
        """Writes a shard whole or not at all."""
        texts = {_CLIPS: json.dumps([dataclasses.asdict(record) for record in records]), _FEATURES: self._made_of}
        texts = {name: np.frombuffer(text.encode(), np.uint8) for name, text in texts.items() if text}
        clip_size = sum(4 * math.prod(shape) + _CHUNK_OVERHEAD for shape in self._shapes.values())
        with atomic_path(final) as path:
            reserve(path, _FILE_OVERHEAD + sum(map(len, texts.values())) + len(records) * clip_size)
            with h5py.File(path, "r+", libver=HDF5_FORM) as file:
                for name, text in texts.items():
                    file.create_dataset(name, data=text, chunks=text.shape, fletcher32=True)
                tables = {
                    name: file.create_dataset(name, (len(records), *shape), "<f4", chunks=(1, *shape), fletcher32=True)
                    for name, shape in self._shapes.items()
                }
                for row, features in enumerate(clips):
                    for modality, table in tables.items():
                        table[row] = features[modality]


def reserve(path: Path, size: int) -> None:
    """Makes an empty HDF5 file with room for `size` bytes, which HDF5 gives back when it closes the file.

    HDF5 ends the whole process (segmentation fault) where a disk fills up under it; this raises OSError.
    """
    empty = io.BytesIO()
    h5py.File(empty, "w", libver=HDF5_FORM).close()
    with open(path, "wb") as file:
        file.write(empty.getvalue())
        file.flush()
        os.posix_fallocate(file.fileno(), 0, size)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """A shard, opened; what HDF5 cannot read in it becomes an InputError."""
    # The chunks of a shuffled epoch never come twice: no cache.
    fault, remedy = "is cut off or damaged", "delete it and extract again"
    with reading(path, fault, remedy), opened_h5(path, rdcc_nbytes=0) as file:
        yield file


def read_records(path: Path, shapes: Shapes, made_of: str = "") -> list[ClipRecord]:
    """The clips of a shard; InputError where it is damaged, or holds other features than `shapes` and `made_of` say."""
    with opened(path) as file:
        return records_of(file, shapes, made_of)


def records_of(file: h5py.File, shapes: Shapes, made_of: str) -> list[ClipRecord]:
    """As `read_records`, for a shard that is already open; call it inside `files.reading`."""
    if made_of and _made_of(file) not in (made_of, None):
        raise Unusable("holds features of an extraction with other settings; move it to the folder it came from.")
    text = table_of(file, _CLIPS, None)[()].tobytes()
    try:
        records = [_record(fields) for fields in parse_json(text)]
    except (ValueError, TypeError, RecursionError) as error:
        raise Unusable("its list of clips cannot be understood; delete it and extract again.") from error
    for modality, shape in shapes.items():
        table = table_of(file, modality, shape)
        if len(table) != len(records) or table.id.get_num_chunks() != len(records):
            raise Unusable(
                f"holds {table.id.get_num_chunks()} clips' {modality} features of {len(records)} clips; delete it "
                "and extract again."
            )
    return records


def states_features(path: Path) -> bool:
    """Whether a shard says which features it holds; those written by earlier versions do not."""
    with opened(path) as file:
        return _made_of(file) is not None


def _made_of(file: h5py.File) -> str | None:
    if item_of(file, _FEATURES) is None:
        return None
    return table_of(file, _FEATURES, None)[()].tobytes().decode(errors="replace")


def _record(fields: dict) -> ClipRecord:
    """A record from JSON; TypeError or ValueError for anything else."""
    record = ClipRecord(**fields)
    for field in dataclasses.fields(ClipRecord):
        if not isinstance(getattr(record, field.name), (int, float) if field.type is float else field.type):
            raise TypeError(f"{field.name} is no {field.type}")
    if not (0 <= record.audio_seconds < math.inf and 0 <= record.video_seconds < math.inf):
        raise ValueError("a clip's length is no number of seconds")
    return record


def _read_clip(path: Path, shapes: Shapes) -> dict[str, np.ndarray]:
    """The features of the only clip of an unfinished shard."""
    features = {modality: np.empty(shape, np.float32) for modality, shape in shapes.items()}
    with opened(path) as file:
        for modality, values in features.items():
            read_row(table_of(file, modality, values.shape), 0, values, f"its {modality} features")
    return features


def table_of(file: h5py.File, name: str, row_shape: tuple[int, ...] | None) -> h5py.Dataset:
    """A dataset of a shard, exactly of the form that a `ShardWriter` gives it; `row_shape` None is for the clips.

    A file may ask for much: for another file (links, external and virtual storage), for a plugin (filters), for
    more memory than there is. None of it is followed.
    """
    table = item_of(file, name)
    if not isinstance(table, h5py.Dataset):
        raise Unusable(f"has no dataset '{name}' of its own; extract into another folder.")
    if row_shape is not None and table.shape[1:] != row_shape:
        raise Unusable(
            f"its {name} features have the shape {table.shape[1:]} where {row_shape} is needed; extract into another "
            "folder."
        )
    created = table.id.get_create_plist()
    is_ours = (
        table.dtype == np.dtype(np.uint8 if row_shape is None else "<f4")
        and (row_shape is not None or table.ndim == 1)
        and table.chunks == (table.shape if row_shape is None else (1, *row_shape))
        and created.get_nfilters() == 1
        and created.get_filter(0)[0] == h5py.h5z.FILTER_FLETCHER32
        and table.nbytes <= file.id.get_filesize()
    )
    if not is_ours:
        raise Unusable(f"its dataset '{name}' is not as an extraction writes it; extract into another folder.")
    return table


def read_row(table: h5py.Dataset, row: int, values: np.ndarray, what: str) -> None:
    try:
        table.read_direct(values, np.s_[row])
    except OSError as error:
        raise Unusable(f"{what} are damaged ({first_line(error)}); delete this shard and extract again.") from error
    if not np.isfinite(values).all():
        raise Unusable(f"{what} hold NaN or infinite numbers; delete this shard and extract again.")
