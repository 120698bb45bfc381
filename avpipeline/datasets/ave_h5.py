"""The HDF5 layout in which AVE's authors share features: one dataset a file, one row a video.

Files are read a few rows at a time (`H5Source`), never whole: the visual features of AVE alone take 7.7 GB.
"""

import json
import math
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from avpipeline.checkpoints.hdf5 import dataset_of, item_of, size_of
from avpipeline.datasets.base import Source
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.features.shards import HDF5_FORM, reserve
from avpipeline.files import atomic_path, make_folder, parse_json, reading, require_regular

DATA_KEY = "avadataset"
FEATURE_FILES = {"audio": "audio_feature.h5", "visual": "visual_feature.h5"}
# Features that only the models of the paper's supplement read.
SUPPLEMENT_FILES = {"audio_map": "audio_map_feature.h5", "motion": "c3d_feature.h5"}

# What our own files carry beside the authors' key: an attribute that says what the features are, and the
# video of each row. They are inside the file, so that a copied or half-replaced folder stays truthful.
INFO_ATTRIBUTE = "feature_info"
IDS_KEY = "ids"

# More videos than any dataset here has, and more numbers than any feature of one: what is larger is not read.
MOST_ROWS = 1_000_000
_MOST_ROW_BYTES = 1 << 28
_ROWS_AT_ONCE = 16
_LAYOUT_BYTES = 1 << 16


class H5Source:
    """Rows of one dataset of an HDF5 file, read when asked for, as float32 whatever the file's number type.

    The file stays open between reads; a forked worker opens its own. h5py lets one thread at a time into the
    library, so threads may share a source.

    Attributes:
      shape: shape of one row, e.g. `(10, 7, 7, 512)`.
      number_type: the file's own, e.g. `"float64"`.
    """

    def __init__(self, path, key: str = DATA_KEY, *, shape: Sequence[int | None] | None = None):
        """Opens the file and looks at its header only.

        Args:
          shape: shape that a row must have, None in it stands for any size; None allows every shape.

        Raises:
          InputError: no such file, not HDF5, no such dataset, another shape, not numeric.
        """
        self.path = Path(path)
        self.key = key
        self._lock = threading.Lock()
        self._file: h5py.File | None = None
        self._process = 0
        dataset = self._dataset()
        with reading(self.path, "is damaged", "download or extract it again"):
            self.shape = tuple(int(size) for size in (dataset.shape or ())[1:])
            self.number_type = str(dataset.dtype)
            self._check_form(dataset, shape)
            self._length = len(dataset)

    def __len__(self) -> int:
        return self._length

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Rows by index, any order and repeats allowed: `(len(rows), *shape)` float32.

        Raises:
          InputError: a row holds NaN or infinite numbers, or cannot be read.
        """
        dataset = self._dataset()
        result = np.empty((len(rows), *self.shape), np.float32)
        # NumPy turns float64, as the published features are, into float32 twice as fast as HDF5 does.
        stored = np.empty(self.shape, dataset.dtype)
        remedy = "the file is damaged, download or extract it again"
        for position, row in enumerate(rows):
            with reading(self.path, f"row {row} of '{self.key}' cannot be read", remedy):
                dataset.read_direct(stored, np.s_[row])
            with np.errstate(over="ignore"):
                result[position] = stored
            if not np.isfinite(result[position]).all():
                raise InputError(
                    f"{self.path}: row {row} of '{self.key}' holds NaN or infinite numbers; "
                    "download or extract the file again."
                )
        return result

    def feature_info(self) -> FeatureInfo | None:
        """The identity of the features, if the file states it (ours do, the authors' do not)."""
        attributes = self._dataset().file.attrs
        fault = f"its attribute '{INFO_ATTRIBUTE}' cannot be understood"
        with reading(self.path, fault, "extract the file again"):
            if INFO_ATTRIBUTE not in attributes:
                return None
            about = attributes[INFO_ATTRIBUTE]
            return FeatureInfo.from_json(parse_json(about if isinstance(about, bytes) else about.encode()))

    def ids(self) -> list[str] | None:
        """The video of each row of the file, if the file states them (ours do, the authors' do not)."""
        file = self._dataset().file
        with reading(self.path, f"its '{IDS_KEY}' are no list of names", "extract the file again"):
            if item_of(file, IDS_KEY) is None:
                return None
            names = dataset_of(file, IDS_KEY)
            if names.shape != (len(self),) or h5py.check_string_dtype(names.dtype) is None:
                raise TypeError(f"{names.dtype} {names.shape} where {len(self)} texts are needed")
            found = list(names.asstr()[()])
            if not all(found):  # zeros, such as a hole in the file, have the checksum 0
                raise ValueError("a name is empty")
            return found

    def _dataset(self) -> h5py.Dataset:
        with self._lock:
            if self._file is None or self._process != os.getpid():
                self._file, self._process = _open(self.path), os.getpid()
            with reading(self.path, "is damaged", "download or extract it again"):
                if isinstance(item_of(self._file, self.key), h5py.Dataset):
                    return dataset_of(self._file, self.key)
                found = ", ".join(f"'{name}'" for name in self._file) or "nothing"
        raise InputError(f"{self.path}: has no dataset '{self.key}' (found: {found[:200]}); this is another file.")

    def _check_form(self, dataset: h5py.Dataset, shape: Sequence[int | None] | None) -> None:
        if dataset.dtype.kind not in "fiub" or dataset.ndim == 0:
            raise InputError(
                f"{self.path}: '{self.key}' is not a table of numbers (type {dataset.dtype}, shape "
                f"{dataset.shape}); this is another file."
            )
        if len(dataset) > MOST_ROWS or math.prod(self.shape) * dataset.dtype.itemsize > _MOST_ROW_BYTES:
            raise InputError(
                f"{self.path}: '{self.key}' declares the shape {dataset.shape}, more than {MOST_ROWS:,} rows or "
                f"{_MOST_ROW_BYTES:,} bytes a row; this is another file."
            )
        if shape is None:
            return
        if len(shape) != len(self.shape) or any(n not in (None, own) for n, own in zip(shape, self.shape, strict=True)):
            needed = ", ".join("any" if size is None else str(size) for size in shape)
            raise InputError(
                f"{self.path}: rows of '{self.key}' have the shape {self.shape} where ({needed}) is needed; "
                "these are other features."
            )

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_file": None, "_lock": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state, _lock=threading.Lock())


def read_h5_array(path, key: str) -> np.ndarray:
    """A small dataset whole, with the file's own number type; raises as `H5Source` does."""
    dataset = H5Source(path, key)._dataset()
    with reading(path, "is damaged", "download it again"):
        if size_of(dataset) > _MOST_ROW_BYTES:
            raise ValueError(f"its '{key}' is no small table")
        return dataset[()]


def write_ave_h5(
    folder, sources: Mapping[str, Source], features: Mapping[str, FeatureInfo], ids: Sequence[str]
) -> list[Path]:
    """Writes features as the authors of AVE share them, e.g. in `audio_feature.h5`; returns each modality's path.

    Each has the key "avadataset" (float32, one row a video, in the order of `ids`) as the authors' files have, says in
    addition what its features are and which video each row is, and has a checksum of every row.

    Args:
      sources: modality ("audio", "visual", "audio_map" or "motion") -> rows, read a few at a time.

    Raises:
      InputError: a row is not finite, a folder or file cannot be written, the disk is full.
    """
    make_folder(folder)
    paths = []
    files = {**FEATURE_FILES, **SUPPLEMENT_FILES}
    for modality, source in sources.items():
        if not len(ids) or len(source) != len(ids):
            raise ValueError(f"{modality}: {len(source)} rows for {len(ids)} ids")
        path = Path(folder) / files[modality]
        with atomic_path(path) as temporary:
            _write_rows(temporary, source, features[modality], ids)
        paths.append(path)
    return paths


def _write_rows(path: Path, source: Source, info: FeatureInfo, ids: Sequence[str]) -> None:
    """Each row is a chunk with a checksum, which HDF5 verifies whenever it is read."""
    names = [name.encode() for name in ids]
    longest = max(map(len, names))
    reserve(path, _LAYOUT_BYTES + len(ids) * (4 * math.prod(source.shape) + longest + 64))
    with h5py.File(path, "r+", libver=HDF5_FORM) as file:
        about = json.dumps(info.to_json()).encode()
        # Fixed-length texts: HDF5's checksums do not cover others, and it can loop forever over damaged ones.
        file.attrs.create(INFO_ATTRIBUTE, about, dtype=h5py.string_dtype("utf-8", len(about)))
        text = h5py.string_dtype("utf-8", longest)
        stored = np.array(names, text)
        file.create_dataset(IDS_KEY, data=stored, chunks=stored.shape, fletcher32=True)
        shape = (len(source), *source.shape)
        table = file.create_dataset(DATA_KEY, shape, "<f4", chunks=(1, *source.shape), fletcher32=True)
        for start in range(0, len(source), _ROWS_AT_ONCE):
            rows = np.arange(start, min(start + _ROWS_AT_ONCE, len(source)))
            table[rows[0] : rows[-1] + 1] = source.read(rows)


def _open(path: Path) -> h5py.File:
    if path.is_dir() or not path.exists():
        raise InputError(f"{path}: no such file; check the folder, or download or extract it.")
    with reading(path, "not a complete HDF5 file", "download or extract it again"):
        return h5py.File(require_regular(path), "r")
