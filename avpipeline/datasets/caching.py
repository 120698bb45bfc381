"""Rows kept in memory or on disk once they have been read: they are the same rows, read faster in later epochs."""

import dataclasses
import os
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from avpipeline.datasets.base import ArraySource, JoinedRows, SelectedRows, Source, Split, Stream, row_dtype
from avpipeline.datasets.batches import CachedSource
from avpipeline.errors import InputError
from avpipeline.files import first_line

Cache = Literal["auto", "memory", "disk", "none"]
# Files that state the memory limit and usage of a container, which may have less memory than the machine.
_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def with_cache(
    splits: Mapping[str, Split | Stream], how: Cache, modalities: Collection[str]
) -> tuple[dict[str, Split | Stream], str]:
    """The splits with their rows cached once they are read, and a sentence that says so ("": nothing to say).

    Args:
      how: "memory"; "disk", a temporary file, for rows that are slow to decode; "none"; or "auto", in memory if the
        rows fit into half of what is free.
      modalities: the inputs that are read.

    Raises:
      InputError: "memory" or "disk" for a dataset that is read as a stream, or there is no room on the disk.
    """
    splits = dict(splits)
    # Split -> the sources that are not in memory.
    read = {
        name: {key: source for key, source in split.inputs.items() if key in modalities and not _in_memory(source)}
        for name, split in splits.items()
        if isinstance(split, Split)
    }
    size = sum(_bytes(source) for sources in read.values() for source in sources.values())
    for split in splits.values():
        if isinstance(split, Stream) and how in ("memory", "disk"):
            raise InputError(f"--cache {how}: {split.dataset} is read as a stream, which is not kept; leave it out.")
    if how == "none" or not size:
        return splits, ""
    what = f"the features of {' and '.join(name for name, sources in read.items() if sources)} ({_amount(size)})"
    if how == "auto":
        available = free_memory()
        if available is None or size > available / 2:
            much = "unknown" if available is None else f"{_amount(available)} free"
            return splits, f"Every epoch reads {what} again, as half of the memory ({much}) is too little for them."
    room = _rows_on_disk if how == "disk" else np.empty
    for name, sources in read.items():
        if sources:
            kept = {key: CachedSource(source, room) for key, source in sources.items()}
            splits[name] = dataclasses.replace(splits[name], inputs={**splits[name].inputs, **kept})
    place = "on disk" if how == "disk" else "in memory"
    return splits, f"Once read, {what} are kept {place} (--cache none switches that off)."


def free_memory() -> int | None:
    """Bytes of memory that this process could take now; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found = [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    except (OSError, ValueError):
        return None
    for most, used in _LIMITS:
        try:
            found.append(int(Path(most).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):  # no such limit, or "max"
            continue
    return max(0, min(found)) if found else None


def _in_memory(source: Source) -> bool:
    if isinstance(source, SelectedRows):
        return _in_memory(source.source)
    if isinstance(source, JoinedRows):
        return all(map(_in_memory, source.sources))
    return isinstance(source, ArraySource | CachedSource)


def _amount(size: int) -> str:
    """A number of bytes in words."""
    return f"{size / 1e9:.2g} GB" if size >= 1e8 else f"{size / 1e6:.2g} MB"


def _bytes(source: Source) -> int:
    return len(source) * int(np.prod(source.shape)) * row_dtype(source).itemsize


def _rows_on_disk(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Room for rows in a file without a name, which the system removes with the process."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    with tempfile.TemporaryFile() as file:
        try:
            # A disk that fills up later would end the process.
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise InputError(
                f"--cache disk: {tempfile.gettempdir()} has no room for {_amount(size)} ({first_line(error)}); "
                "free some, set TMPDIR or choose --cache none."
            ) from error
        return np.memmap(file, dtype, "r+", shape=shape)
