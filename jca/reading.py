"""The accuracy as the authors' code reads it, beside the plain one."""

import keras
import numpy as np

from avpipeline import metrics
from avpipeline.datasets.base import Split
from avpipeline.results.evaluation import stored
from avpipeline.training.experiment import Outcome
from avpipeline.training.runs import predict

_BATCH = 64
_SHUFFLES = 1000


def author_reading(labels: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """The accuracy as the authors' code reads it: the unweighted mean over shuffled batches of 64 videos.

    AVE's 402 test videos are batches of 64, 64, 64, 64, 64, 64 and 18; a video in the last one counts 3.6 times as
    much as another, so the same predictions give another number with each shuffling. The paper describes the plain
    accuracy. Nothing is selected by this.

    Args:
      labels, predictions: `(videos, segments, classes)`; the class is the index of the highest value.

    Returns:
      `"author_reading"` and `"author_reading_std"`: mean and standard deviation over 1000 shufflings.
    """
    right = np.mean(labels.argmax(-1) == predictions.argmax(-1), axis=1)
    rng = np.random.default_rng(0)
    starts = range(0, len(right), _BATCH)
    readings = []
    for _ in range(_SHUFFLES):
        shuffled = rng.permutation(right)
        readings.append(np.mean([shuffled[start : start + _BATCH].mean() for start in starts]))
    return {"author_reading": float(np.mean(readings)), "author_reading_std": float(np.std(readings))}


def measured(model: keras.Model, split: Split) -> Outcome:
    """The segment accuracy on a split, with the authors' reading of it."""
    arrays = stored(split, predict(model, split))
    accuracy = metrics.segment_accuracy(arrays["labels"], arrays["predictions"])
    return Outcome(accuracy, arrays, author_reading(arrays["labels"], arrays["predictions"]))
