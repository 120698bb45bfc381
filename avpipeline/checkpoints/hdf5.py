"""HDF5 files of others: what may be opened in one, and how much of it is read.

A file may point to other files (links, external and virtual storage), ask for a plugin (filters), declare rows that it
does not hold, or link in a circle. None of it is followed: groups are entered by hard links only, and a dataset must
hold its numbers itself.
"""

import contextlib
import math
from collections.abc import Iterator

import h5py
import numpy as np

from avpipeline.files import Unusable, require_regular

# The highest ratio at which deflate can compress.
_RATIO = 1100
# The most that is read at once: a layer of 500 million weights.
MOST_BYTES = 1 << 31
_FILTERS = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF)


@contextlib.contextmanager
def opened_h5(path, **options) -> Iterator[h5py.File]:
    """An HDF5 file for reading; call it inside `files.reading`."""
    with h5py.File(require_regular(path), "r", **options) as file:
        yield file


def item_of(group: h5py.Group, name: str) -> h5py.Dataset | h5py.Group | None:
    """A dataset or group by its path, None where there is none; Unusable where a link leads elsewhere."""
    for part in filter(None, name.split("/")):
        links = group.id.links if isinstance(group, h5py.Group) else None
        if links is None or not links.exists(part.encode()):
            return None
        if links.get_info(part.encode()).type != h5py.h5l.TYPE_HARD:
            raise Unusable(f"its '{name}' is a link to another place; give a file that holds its data itself.")
        group = group[part]
    return group


def dataset_of(group: h5py.Group, name: str) -> h5py.Dataset:
    """A dataset whose numbers are in the file itself, declared or stored; Unusable or KeyError for anything else."""
    dataset = item_of(group, name)
    if not isinstance(dataset, h5py.Dataset):
        raise KeyError(f"there is no dataset '{name}'")
    created = dataset.id.get_create_plist()
    filters = {created.get_filter(number)[0] for number in range(created.get_nfilters())}
    if created.get_layout() == h5py.h5d.VIRTUAL or created.get_external_count() or filters - set(_FILTERS):
        raise Unusable(f"its '{name}' is stored in other files or by a plugin; write it again plainly.")
    return dataset


def size_of(dataset: h5py.Dataset) -> int:
    """Bytes that a dataset takes in memory, going by the shape and type that it declares."""
    return math.prod(dataset.shape or (0,)) * dataset.dtype.itemsize


def _require_held(dataset: h5py.Dataset) -> None:
    """Raises Unusable unless the file can hold the numbers that a dataset declares."""
    ratio = _RATIO if dataset.id.get_create_plist().get_nfilters() else 1
    if size_of(dataset) > ratio * dataset.id.get_storage_size():
        raise Unusable(
            f"its '{dataset.name}' declares the shape {dataset.shape} and does not hold as much; get the file again."
        )


def require_all_plain(file) -> None:
    """Raises Unusable unless every dataset of an open file is plain and every link stays within the file."""
    with h5py.File(file, "r") as root:
        waiting, seen = [root], set()
        while waiting:
            group = waiting.pop()
            for name in group:
                item = item_of(group, name)
                place = h5py.h5o.get_info(item.id).addr
                if place in seen:
                    continue
                seen.add(place)
                if isinstance(item, h5py.Dataset):
                    _require_held(dataset_of(group, name))
                else:
                    waiting.append(item)


def small_array(group: h5py.Group, name: str, most: int = MOST_BYTES) -> np.ndarray:
    """A dataset of numbers, read whole; Unusable where it takes more than `most` bytes."""
    dataset = dataset_of(group, name)
    if dataset.dtype.kind not in "fiub" or size_of(dataset) > most:
        raise Unusable(f"its '{name}' is no table of numbers of at most {most:,} bytes; give the right file.")
    _require_held(dataset)
    return dataset[()]


def attribute_texts(group: h5py.Group, name: str) -> list[str]:
    """An attribute that is a list of texts."""
    return [value.decode() if isinstance(value, bytes) else str(value) for value in group.attrs[name]]
