"""Speed of the input pipeline alone: batches of features read from disk, without a network."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
import tensorflow as tf

from avfusion_benchmarks.measuring import seconds_per_call, seconds_per_call_in_turn
from avpipeline.datasets.ave_h5 import DATA_KEY, FEATURE_FILES, H5Source, write_ave_h5
from avpipeline.datasets.base import Source, Split
from avpipeline.datasets.batches import batches
from avpipeline.features.info import FeatureInfo
from avpipeline.features.shards import ClipRecord, ShardWriter
from avpipeline.features.store import FeatureShards, Manifest, write_manifest

BATCH = 64
SEGMENTS = 10
CLASSES = 29
FEATURES = {
    "audio": FeatureInfo("vggish", "embedding_relu", "none", "", (128,)),
    "visual": FeatureInfo("vgg19", "pool5", "none", "", (7, 7, 512)),
}
# Rows written for each second of measuring, so that at 1 GB/s the files are read a few times.
_ROWS_A_SECOND = 128
# Batches are read ahead and come in bursts: several are timed together.
_BATCHES_A_CALL = 8


def from_hdf5(seconds: float, *, number_type: str) -> dict[str, float]:
    """AVE's features in the files that its authors distribute, float64, or with float32 in their place."""
    return _speed(_writing_hdf5(number_type), seconds, np.dtype(number_type).itemsize)


def against_plain(seconds: float) -> dict[str, float]:
    """Epochs of the float64 files, in turn with what one would write oneself.

    Of whole epochs neither reads more than it hands over, and neither reads while the other is measured.
    """
    count = BATCH * _BATCHES_A_CALL
    with _written(_writing_hdf5("float64"), seconds) as (folder, sources):
        split = _split({modality: _Repeated(source, count) for modality, source in sources.items()}, count)
        plain = _plain_batches(folder, split.labels, len(sources["audio"]))
        epochs = batches(split, BATCH, shuffle=True, drop_remainder=True), plain
        calls = [lambda epoch=epoch: sum(1 for _ in epoch) for epoch in epochs]
        own, other = (taken / _BATCHES_A_CALL for taken in seconds_per_call_in_turn(calls, 4 * seconds))
    return {"ms a batch": 1e3 * own, "plain tf.data, ms a batch": 1e3 * other, "times as fast": other / own}


def _writing_hdf5(number_type: str) -> Callable:
    def write(folder: Path, rows: dict[str, Source], ids: Sequence[str]) -> dict[str, Source]:
        write_ave_h5(folder, rows, FEATURES, ids)
        for name in FEATURE_FILES.values():
            _rewrite(folder / name, number_type)
        return {modality: H5Source(folder / FEATURE_FILES[modality]) for modality in FEATURES}

    return write


def _rewrite(path: Path, number_type: str) -> None:
    with h5py.File(path, "r+") as file:
        values = file[DATA_KEY][()]
        del file[DATA_KEY]
        file.create_dataset(DATA_KEY, data=values.astype(number_type))


def _plain_batches(folder: Path, labels: np.ndarray, rows: int) -> tf.data.Dataset:
    """One row of the files after the other, in a drawn order, as float32; as many as are in `labels`, of `rows`."""

    def read() -> Iterator:
        with h5py.File(folder / FEATURE_FILES["audio"]) as audio, h5py.File(folder / FEATURE_FILES["visual"]) as visual:
            files = {"audio": audio[DATA_KEY], "visual": visual[DATA_KEY]}
            for row in np.random.default_rng(0).permutation(len(labels)):
                inputs = {modality: file[row % rows].astype(np.float32) for modality, file in files.items()}
                yield inputs, labels[row]

    inputs = {modality: tf.TensorSpec((SEGMENTS, *info.shape)) for modality, info in FEATURES.items()}
    signature = (inputs, tf.TensorSpec(labels.shape[1:]))
    dataset = tf.data.Dataset.from_generator(read, output_signature=signature)
    return dataset.batch(BATCH, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def from_shards(seconds: float) -> dict[str, float]:
    """The same features as `python -m avpipeline.extract` writes them."""

    def write(folder: Path, rows: dict[str, Source], ids: Sequence[str]) -> dict[str, Source]:
        manifest = Manifest(FEATURES, SEGMENTS, ids, complete=True)
        with ShardWriter(folder, manifest.shapes, shard_size=256) as writer:
            for index, clip in enumerate(ids):
                features = {modality: source.read(np.array([index]))[0] for modality, source in rows.items()}
                writer.add(ClipRecord(clip, f"{clip}.mp4", 1, True, True, 10.0, 10.0), features)
        write_manifest(folder, manifest)
        return FeatureShards(folder).sources

    return _speed(write, seconds)


class _RandomRows:
    """Random rows generated when read, so that writing a large file takes no memory."""

    def __init__(self, count: int, shape: tuple[int, ...]):
        self.count, self.shape = count, shape

    def __len__(self) -> int:
        return self.count

    def read(self, rows: np.ndarray) -> np.ndarray:
        return np.stack([np.random.default_rng(row).random(self.shape, np.float32) for row in rows])


class _Repeated:
    """The rows of a source several times over."""

    def __init__(self, source: Source, count: int):
        self.source, self.shape, self.count = source, source.shape, count

    def __len__(self) -> int:
        return self.count

    def read(self, rows: np.ndarray) -> np.ndarray:
        return self.source.read(rows % len(self.source))


def _speed(write: Callable, seconds: float, stored: int = 4) -> dict[str, float]:
    with _written(write, seconds) as (_, sources):
        count = len(sources["audio"])
        iterator = iter(batches(_split(sources, count), BATCH, shuffle=True, drop_remainder=True, repeat=True))

        def several():
            for _ in range(_BATCHES_A_CALL):
                next(iterator)

        taken = seconds_per_call(several, seconds) / _BATCHES_A_CALL
    numbers = sum(SEGMENTS * np.prod(info.shape) for info in FEATURES.values())
    row_bytes, stored_bytes = (size * numbers + 4 * SEGMENTS * CLASSES for size in (4, stored))
    return {
        "records/s": BATCH / taken,
        "MB/s": BATCH * row_bytes / taken / 1e6,
        "ms a batch": 1e3 * taken,
        "MB on disk": count * stored_bytes / 1e6,
    }


@contextlib.contextmanager
def _written(write: Callable, seconds: float) -> Iterator[tuple[Path, dict[str, Source]]]:
    """A folder with random features, which is removed afterwards, and their sources."""
    count = BATCH * max(2, round(seconds * _ROWS_A_SECOND / BATCH))
    rows = {modality: _RandomRows(count, (SEGMENTS, *info.shape)) for modality, info in FEATURES.items()}
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder), write(Path(folder), rows, _ids(count))


def _ids(count: int) -> tuple[str, ...]:
    return tuple(f"video{index:05d}" for index in range(count))


def _split(sources: dict[str, Source], count: int) -> Split:
    labels = np.zeros((count, SEGMENTS, CLASSES), np.float32)
    return Split("ave", "train", _ids(count), ("",) * CLASSES, sources, labels, FEATURES)
