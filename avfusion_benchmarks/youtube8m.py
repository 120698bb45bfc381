"""YouTube-8M: speed of its input pipeline alone, and memory of its metrics."""

import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from avfusion_benchmarks.measuring import seconds_per_call
from avpipeline.datasets import youtube8m
from avpipeline.datasets.youtube8m.records import Video, encode_frames, encode_video
from avpipeline.datasets.youtube8m.writing import record_writer, summary
from avpipeline.metrics.ranking import F1, GAP, PERR, BestThreshold, HitAtOne, MeanAveragePrecision

WIDTHS = {"audio": 128, "visual": 1024}
CLASSES = 4716
# YouTube-8M's videos last four minutes on average and have three labels.
FRAMES, LABELS = 230, 3
BATCH = {"video": 512, "frame": 128}
_SHARDS = 8
# Distinct records that a shard repeats.
_DRAWN = 16
# Records written for each second of measuring, so that the files are read a few times.
_RECORDS_A_SECOND = {"video": 4096, "frame": 128}
_BATCHES_A_CALL = 4

METRICS = {
    "gap": GAP,
    "mean-ap": MeanAveragePrecision,
    "mean-ap-uncapped": lambda: MeanAveragePrecision(capped=False),
    "best-threshold": BestThreshold,
    "best-threshold-macro": lambda: BestThreshold("macro"),
    "f1-macro": lambda: F1(average="macro"),
    "hit-at-one": HitAtOne,
    "perr": PERR,
}
VIDEOS = 100_000
_METRIC_BATCH = 1024


def input_pipeline(seconds: float, level: str) -> dict[str, float]:
    """Shuffled batches of means and standard deviations with 4716 labels; at frame level they are computed."""
    count = _SHARDS * max(_DRAWN, round(seconds * _RECORDS_A_SECOND[level] / _SHARDS))
    with tempfile.TemporaryDirectory() as folder:
        size = _write(Path(folder), level, count // _SHARDS)
        batches = youtube8m.dataset(
            f"{folder}/*.tfrecord",
            level=level,
            num_classes=CLASSES,
            batch_size=BATCH[level],
            shuffle=True,
            repeat=True,
            window=4 * BATCH[level],
        )
        iterator = iter(batches)

        def several():
            for _ in range(_BATCHES_A_CALL):
                next(iterator)

        taken = seconds_per_call(several, seconds) / _BATCHES_A_CALL
    speed = BATCH[level] / taken
    return {
        "records/s": speed,
        "MB/s": speed * size / count / 1e6,
        "ms a batch": 1e3 * taken,
        "MB on disk": size / 1e6,
    }


def _write(folder: Path, level: str, videos: int) -> int:
    """Writes shards of that many videos each; returns their size in bytes."""
    rng = np.random.default_rng(0)
    records = []
    for number in range(_DRAWN):
        frames = {name: rng.uniform(-2, 2, (FRAMES, width)) for name, width in WIDTHS.items()}
        labels = rng.choice(CLASSES, LABELS, replace=False)
        if level == "frame":
            records.append(encode_frames(Video(f"video{number}", labels, frames)))
        else:
            summaries = {name: summary(values) for name, values in frames.items()}
            records.append(encode_video(f"video{number}", labels, summaries))
    size = 0
    for shard in range(_SHARDS):
        path = folder / f"train{shard}.tfrecord"
        with record_writer(path) as add:
            for index in range(videos):
                add(records[index % _DRAWN])
        size += path.stat().st_size
    return size


def metric_memory(seconds: float, name: str, videos: int = VIDEOS) -> dict[str, float]:
    """Memory and speed of a metric over that many videos of 4716 classes, whatever the seconds.

    The row's peak memory includes TensorFlow and one batch of 1024 (39 MB with its labels).
    """
    rng = np.random.default_rng(0)
    labels = np.zeros((_METRIC_BATCH, CLASSES), np.float32)
    np.put_along_axis(labels, rng.integers(0, CLASSES, (_METRIC_BATCH, LABELS)), 1, axis=1)
    # Most probabilities are near 0, as a trained network's are.
    scores = rng.random((_METRIC_BATCH, CLASSES), np.float32) ** 8
    metric = METRICS[name]()
    batches = tf.data.Dataset.from_tensors((labels, scores)).cache().repeat(-(-videos // _METRIC_BATCH))
    update = tf.function(metric.update_state, jit_compile=False)
    given, started = 0, time.perf_counter()
    for batch_labels, batch_scores in batches:
        update(batch_labels[: videos - given], batch_scores[: videos - given])
        given += min(_METRIC_BATCH, videos - given)
    updated = time.perf_counter()
    score = float(metric.result())
    return {
        "MB held": _bytes(metric) / 1e6,
        "videos/s": videos / (updated - started),
        "s for the result": time.perf_counter() - updated,
        "result": score,
    }


def _bytes(metric) -> int:
    variables = sum(np.asarray(variable).nbytes for variable in metric.variables)
    return variables + getattr(metric, "nbytes", 0)
