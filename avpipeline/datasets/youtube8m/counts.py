"""How many records the files of a dataset hold, remembered in the cache folder.

YouTube-8M's frame-level files are 1.5 TB, and even their headers take a pass over all of it. So every file is counted
once: by `python -m avpipeline.youtube8m check` or `std`, which read it anyway, or before the first training.
"""

import concurrent.futures
import hashlib
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from avpipeline.datasets.youtube8m.files import Paths, count_records, file_size, list_shards
from avpipeline.errors import InputError
from avpipeline.files import cache_dir, parse_json, read_bytes, reading, write_json

# Files counted at a time: the time goes into waiting for a disk or a network.
_AT_ONCE = 16


def counted(paths: Paths) -> int:
    """Number of records of all files; those that are not remembered are counted (`files.count_records`).

    Raises:
      InputError: no file, or one that is cut off.
    """
    shards = list_shards(paths)
    known = _remembered(shards)
    left = [path for path in shards if path not in known]
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        found = dict(zip(left, pool.map(count_records, left), strict=True))
    remember(found)
    return sum(known.values()) + sum(found.values())


def remember(counts: Mapping[str, int]) -> None:
    """Stores the numbers of records of intact files in the cache; does nothing if that cannot be written."""
    for folder, paths in _by_folder(counts).items():
        place, kept = _kept(folder)
        kept |= {Path(path).name: [*_state(path), counts[path]] for path in paths}
        try:
            write_json(place, kept)
        except InputError:
            return


def _remembered(shards: list[str]) -> dict[str, int]:
    known = {}
    for folder, paths in _by_folder(shards).items():
        _, kept = _kept(folder)
        for path in paths:
            *state, count = kept.get(Path(path).name, [None])
            # The cache may come from anybody; a file of this size cannot hold more records.
            if state == _state(path) and type(count) is int and 0 <= count <= file_size(path):
                known[path] = count
    return known


def _state(path: str) -> list[int]:
    """Size and modification time of a file, which change when it is written again."""
    size = file_size(path)
    return [size, tf.io.gfile.stat(path).mtime_nsec]


def _by_folder(paths) -> dict[str, list[str]]:
    folders: dict[str, list[str]] = {}
    for path in paths:
        parent = path.rpartition("/")[0]
        folders.setdefault(parent if "://" in parent else str(Path(parent).absolute()), []).append(path)
    return folders


def _kept(folder: str) -> tuple[Path, dict[str, list]]:
    """The file with the counts of a folder, and these; none if it is damaged, since the files can be counted again."""
    digest = hashlib.sha256(folder.encode("utf-8", "surrogateescape")).hexdigest()
    place = cache_dir() / "records" / f"{digest[:32]}.json"
    try:
        with reading(place, "is damaged"):
            kept = parse_json(read_bytes(place))
            return place, {name: entry for name, entry in kept.items() if isinstance(entry, list) and len(entry) == 3}
    except InputError:
        return place, {}
