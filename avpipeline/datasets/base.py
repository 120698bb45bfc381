"""Splits: the form in which every dataset is handed to batches, training and evaluation."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo

if TYPE_CHECKING:
    import tensorflow as tf

SPLITS = ("train", "val", "test")


class Source(Protocol):
    """Rows of one input, in memory or on disk.

    Attributes:
      shape: shape of one row, e.g. `(10, 7, 7, 512)`.
      dtype: of the rows, where it is not float32 (a clip's frames are uint8); see `row_dtype`.
    """

    shape: tuple[int, ...]

    def __len__(self) -> int: ...

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Rows by index, in the order given: `(len(rows), *shape)`; InputError on NaN."""
        ...


def row_dtype(source: Source) -> np.dtype:
    """The type of a source's rows: float32 unless it says otherwise."""
    return np.dtype(getattr(source, "dtype", np.float32))


class ArraySource:
    """Rows of an array in memory."""

    def __init__(self, array: np.ndarray):
        self.array = array
        self.shape = tuple(array.shape[1:])

    def __len__(self) -> int:
        return len(self.array)

    def read(self, rows: np.ndarray) -> np.ndarray:
        values = np.asarray(self.array[rows], dtype=np.float32)
        finite = np.isfinite(values).reshape(len(values), -1).all(1)
        if not finite.all():
            row = np.asarray(rows)[~finite][0]
            raise InputError(f"array in memory, row {row}: holds NaN or infinite values; correct or remove it.")
        return values


class SelectedRows:
    """A selection of another source's rows, in an order of its own."""

    def __init__(self, source: Source, rows: np.ndarray):
        self.source = source
        self.rows = np.asarray(rows, np.int64)
        self.shape = tuple(source.shape)
        self.dtype = row_dtype(source)

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, rows: np.ndarray) -> np.ndarray:
        return self.source.read(self.rows[rows])


class JoinedRows:
    """The concatenated rows of several sources."""

    def __init__(self, *sources: Source):
        self.sources = sources
        self.shape = tuple(sources[0].shape)
        self._ends = np.cumsum([len(source) for source in sources])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def read(self, rows: np.ndarray) -> np.ndarray:
        rows = np.asarray(rows)
        result = np.empty((len(rows), *self.shape), np.float32)
        for source, end in zip(self.sources, self._ends, strict=True):
            mine = (rows < end) & (rows >= end - len(source))
            if mine.any():
                result[mine] = source.read(rows[mine] - (end - len(source)))
        return result


# Rows of maps in memory at a time.
_ROWS_AT_ONCE = 16


@dataclasses.dataclass(frozen=True)
class Split:
    """One split of a dataset: inputs by modality and one label array.

    Attributes:
      dataset: name as in `--dataset`, e.g. `"ave"`, `"rendered"`.
      name: `"train"`, `"val"` or `"test"`.
      ids: one for each video.
      class_names: in label order; for segment labels the last is "background".
      inputs: modality (`"audio"`, `"visual"`; for some models `"audio_map"`, `"motion"`) -> rows.
      labels: float32, one-hot `(videos, segments, classes)` for segments; `(videos, classes)` for whole videos, which
        may have several.
      features: modality -> what those features are.
    """

    dataset: str
    name: str
    ids: tuple[str, ...]
    class_names: tuple[str, ...]
    inputs: Mapping[str, Source]
    labels: np.ndarray
    features: Mapping[str, FeatureInfo]

    def __len__(self) -> int:
        return len(self.ids)


@dataclasses.dataclass(frozen=True)
class Stream:
    """One split of a dataset that is read file by file, as it has too many videos to be read by index.

    Attributes:
      dataset, name, class_names, features: as in `Split`.
      videos: number of videos.
      read: returns the batches, given the batch size and the keywords of `datasets.batches.batches`, with the same
        guarantees; `details=True` adds the input "id", the names of the videos.
    """

    dataset: str
    name: str
    class_names: tuple[str, ...]
    features: Mapping[str, FeatureInfo]
    videos: int
    read: "Callable[..., tf.data.Dataset]"

    def __len__(self) -> int:
        return self.videos


def require_split(dataset: str, name: str) -> None:
    """Raises InputError unless `name` is that of a split."""
    if name not in SPLITS:
        raise InputError(f"{dataset}: has no split '{name}', only {', '.join(SPLITS)}.")


def require_choice(dataset: str, what: str, value, choices: Iterable) -> None:
    """Raises InputError unless `value` is one of `choices`."""
    if value not in choices:
        raise InputError(f"{dataset}: has no {what} '{value}'; choose one of {', '.join(map(str, choices))}.")


def mean_over_regions(source: Source) -> np.ndarray:
    """Maps `(segments, height, width, channels)` a row, averaged over their regions: `(rows, segments, channels)`."""
    blocks = np.array_split(np.arange(len(source)), max(1, -(-len(source) // _ROWS_AT_ONCE)))
    return np.concatenate([source.read(rows).mean(axis=(2, 3)) for rows in blocks])
