"""Speed of the input pipeline alone: batches of features read from disk, without a network."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from avfusion_benchmarks.measuring import seconds_per_call
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

    def write(folder: Path, rows: dict[str, Source], ids: list[str]) -> dict[str, Source]:
        write_ave_h5(folder, rows, FEATURES, ids)
        for name in FEATURE_FILES.values():
            _rewrite(folder / name, number_type)
        return {modality: H5Source(folder / FEATURE_FILES[modality]) for modality in FEATURES}

    return _speed(write, seconds, np.dtype(number_type).itemsize)


def _rewrite(path: Path, number_type: str) -> None:
    with h5py.File(path, "r+") as file:
        values = file[DATA_KEY][()]
        del file[DATA_KEY]
        file.create_dataset(DATA_KEY, data=values.astype(number_type))


def from_shards(seconds: float) -> dict[str, float]:
    """The same features as `python -m avpipeline.extract` writes them."""

    def write(folder: Path, rows: dict[str, Source], ids: list[str]) -> dict[str, Source]:
        manifest = Manifest(FEATURES, SEGMENTS, tuple(ids), complete=True)
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


def _speed(write: Callable, seconds: float, stored: int = 4) -> dict[str, float]:
    count = BATCH * max(2, round(seconds * _ROWS_A_SECOND / BATCH))
    ids = [f"video{index:05d}" for index in range(count)]
    rows = {modality: _RandomRows(count, (SEGMENTS, *info.shape)) for modality, info in FEATURES.items()}
    labels = np.zeros((count, SEGMENTS, CLASSES), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        sources = write(Path(folder), rows, ids)
        split = Split("ave", "train", tuple(ids), ("",) * CLASSES, sources, labels, FEATURES)
        iterator = iter(batches(split, BATCH, shuffle=True, drop_remainder=True, repeat=True))

        def several():
            for _ in range(_BATCHES_A_CALL):
                next(iterator)

        taken = seconds_per_call(several, seconds) / _BATCHES_A_CALL
    numbers = sum(np.prod(source.shape) for source in rows.values())
    row_bytes, stored_bytes = (size * numbers + 4 * labels[0].size for size in (4, stored))
    return {
        "records/s": BATCH / taken,
        "MB/s": BATCH * row_bytes / taken / 1e6,
        "ms a batch": 1e3 * taken,
        "MB on disk": count * stored_bytes / 1e6,
    }
