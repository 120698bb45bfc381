"""Metrics of segment-level event localization; each is computed from real predictions."""

import keras
import numpy as np


@keras.saving.register_keras_serializable(package="avpipeline")
class SegmentAccuracy(keras.metrics.CategoricalAccuracy):
    """Share of segments whose most probable class is the labelled one, over all segments of a split.

    Labels one-hot and probabilities, both `(batch, segments, classes)`; background is a class like any other
    (AVE, Section 6.2).
    """

    def __init__(self, name="segment_accuracy", **kwargs):
        super().__init__(name=name, **kwargs)


def segment_accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """As `SegmentAccuracy`, of whole arrays `(videos, segments, classes)`, or of videos, `(videos, classes)`."""
    return float(np.mean(labels.argmax(-1) == probabilities.argmax(-1)))


def confusion_matrix(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Counts `(classes, classes)` of segments or videos: row = labelled class, column = predicted class."""
    classes = labels.shape[-1]
    pairs = labels.argmax(-1).ravel() * classes + probabilities.argmax(-1).ravel()
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def per_class_accuracy(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Share of each class's segments or videos that are right, `(classes,)`; NaN for a class without any."""
    counts = confusion_matrix(labels, probabilities)
    totals = counts.sum(1)
    return np.divide(np.diag(counts), totals, out=np.full(len(counts), np.nan), where=totals > 0)
