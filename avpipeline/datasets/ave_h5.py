"""The HDF5 layout in which AVE's authors share features: one dataset a file, one row a video.

Files are read a few rows at a time (`H5Source`), never whole: the visual features of AVE alone take 7.7 GB.
"""

import json
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from avpipeline.datasets.base import Source
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.files import atomic_path, make_folder

DATA_KEY = "avadataset"
FEATURE_FILES = {"audio": "audio_feature.h5", "visual": "visual_feature.h5"}
# Features that only the models of the paper's supplement read.
SUPPLEMENT_FILES = {"audio_map": "audio_map_feature.h5", "motion": "c3d_feature.h5"}

# What our own files carry beside the authors' key: an attribute that says what the features are, and the
# video of each row. They are inside the file, so that a copied or half-replaced folder stays truthful.
INFO_ATTRIBUTE = "feature_info"
IDS_KEY = "ids"

_ROWS_AT_ONCE = 16
_LAYOUT_BYTES = 1 << 16


class H5Source:
    """Rows of one dataset of an HDF5 file, read when asked for, as float32 whatever the file's number type.

    The file stays open between reads; a forked worker opens its own. h5py lets one thread at a time into the
    library, so threads may share a source.

    Attributes:
      path: the file.
      key: the dataset in it.
      shape: shape of one row, e.g. `(10, 7, 7, 512)`.
      number_type: the file's own, e.g. `"float64"`.
    """

    def __init__(
        self,
        path,
        key: str = DATA_KEY,
        *,
        shape: Sequence[int | None] | None = None,
    ):
        """Opens the file and looks at its header only.

        Args:
          shape: shape that a row must have, None in it stands for any size; None allows every shape.

        Raises:
          InputError: no such file, not HDF5, no such dataset, another shape, no numbers.
        """
        self.path = Path(path)
        self.key = key
        self._lock = threading.Lock()
        self._file: h5py.File | None = None
        self._process = 0
        dataset = self._dataset()
        self.shape = tuple(int(size) for size in dataset.shape[1:])
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
        for position, row in enumerate(rows):
            try:
                dataset.read_direct(stored, np.s_[row])
            except OSError as error:
                raise InputError(
                    f"{self.path}: row {row} of '{self.key}' cannot be read ({_first_line(error)}); "
                    "the file is damaged, download or extract it again."
                ) from error
            with np.errstate(over="ignore"):
                result[position] = stored
            if not np.isfinite(result[position]).all():
                raise InputError(
                    f"{self.path}: row {row} of '{self.key}' holds NaN or infinite numbers; "
                    "download or extract the file again."
                )
        return result

    def feature_info(self) -> FeatureInfo | None:
        """What the features are, where the file says so (ours do, the authors' do not)."""
        text = self._dataset().file.attrs.get(INFO_ATTRIBUTE)
        if text is None:
            return None
        try:
            return FeatureInfo.from_json(json.loads(text))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.path}: its attribute '{INFO_ATTRIBUTE}' cannot be understood; extract the file again."
            ) from error

    def ids(self) -> list[str] | None:
        """The video of each row of the file, where the file says so (ours do, the authors' do not)."""
        file = self._dataset().file
        return list(file[IDS_KEY].asstr()[()]) if IDS_KEY in file else None

    def _dataset(self) -> h5py.Dataset:
        with self._lock:
            if self._file is None or self._process != os.getpid():
                self._file, self._process = _open(self.path), os.getpid()
            dataset = self._file.get(self.key)
        if not isinstance(dataset, h5py.Dataset):
            found = ", ".join(f"'{name}'" for name in self._file) or "nothing"
            raise InputError(f"{self.path}: has no dataset '{self.key}' (found: {found}); this is another file.")
        return dataset

    def _check_form(self, dataset: h5py.Dataset, shape: Sequence[int | None] | None) -> None:
        if dataset.dtype.kind not in "fiub" or dataset.ndim == 0:
            raise InputError(
                f"{self.path}: '{self.key}' is not a table of numbers (type {dataset.dtype}, shape "
                f"{dataset.shape}); this is another file."
            )
        if shape is not None and not _fits(self.shape, shape):
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
    return H5Source(path, key)._dataset()[()]


def write_ave_h5(
    folder,
    sources: Mapping[str, Source],
    features: Mapping[str, FeatureInfo],
    ids: Sequence[str],
) -> list[Path]:
    """Writes features as the authors of AVE share them: a file for each modality in `folder`, e.g. `audio_feature.h5`.

    Each has the key "avadataset" (float32, contiguous, one row a video, in the order of `ids`) as the authors'
    files have, and says in addition what its features are and which video each row is.

    Args:
      sources: modality ("audio", "visual", "audio_map" or "motion") -> rows, read a few at a time.
      features: modality -> what those features are.
      ids: the video of each row.

    Returns:
      The paths that were written.

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
    """Lets HDF5 lay the file out and writes the rows at their place without it.

    HDF5 can end the whole process (segmentation fault) when a disk fills up under it; a plain write raises
    OSError. What HDF5 itself writes is small; room for it, and the file's length, are tried first.
    """
    layout = _LAYOUT_BYTES + 64 * len(ids)
    with open(path, "wb") as file:
        file.write(bytes(layout))
        file.truncate(layout + 4 * len(source) * int(np.prod(source.shape)))
    offset = _lay_out(path, (len(source), *source.shape), info, ids)
    with open(path, "r+b") as file:
        file.seek(offset)
        for start in range(0, len(source), _ROWS_AT_ONCE):
            rows = np.arange(start, min(start + _ROWS_AT_ONCE, len(source)))
            file.write(np.ascontiguousarray(source.read(rows), "<f4"))


def _lay_out(path: Path, shape: tuple[int, ...], info: FeatureInfo, ids: Sequence[str]) -> int:
    """Writes a file whose table of float32 is reserved but not filled; returns where in the file it begins."""
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    with h5py.File(path, "w") as file:
        file.attrs[INFO_ATTRIBUTE] = json.dumps(info.to_json())
        file.create_dataset(IDS_KEY, data=list(ids), dtype=h5py.string_dtype())
        space = h5py.h5s.create_simple(shape)
        table = h5py.h5d.create(file.id, DATA_KEY.encode(), h5py.h5t.IEEE_F32LE, space, layout)
        return table.get_offset()


def _open(path: Path) -> h5py.File:
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the folder, or download or extract it.")
    try:
        return h5py.File(path, "r")
    except PermissionError as error:
        raise InputError(f"{path}: cannot be read (permission denied); change its permissions.") from error
    except OSError as error:
        raise InputError(
            f"{path}: not a complete HDF5 file ({_first_line(error)}); download or extract it again."
        ) from error


def _fits(shape: tuple[int, ...], needed: Sequence[int | None]) -> bool:
    return len(shape) == len(needed) and all(
        size is None or size == given for given, size in zip(shape, needed, strict=True)
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no details"])[0]
