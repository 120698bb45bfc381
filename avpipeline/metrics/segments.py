"""Metrics of segment-level event localization and of single-label video classification."""

import keras
import numpy as np
from sklearn import metrics


@keras.saving.register_keras_serializable(package="avpipeline")
class SegmentAccuracy(keras.metrics.CategoricalAccuracy):
    """Share of segments whose most probable class is the labelled one, over all segments of a split.

    Labels one-hot and probabilities, both `(batch, segments, classes)`; background is a class like any other
    (AVE, Section 6.2).
    """

    def __init__(self, name="segment_accuracy", **kwargs):
        super().__init__(name=name, **kwargs)


def segment_accuracy(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """`SegmentAccuracy` of whole arrays: segments `(videos, segments, classes)`, or videos `(videos, classes)`."""
    return float(np.mean(labels.argmax(-1) == probabilities.argmax(-1)))


def confusion_matrix(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Counts `(classes, classes)` of segments or videos: row = labelled class, column = predicted class."""
    true, predicted = labels.argmax(-1).ravel(), probabilities.argmax(-1).ravel()
    return metrics.confusion_matrix(true, predicted, labels=np.arange(labels.shape[-1]))


def per_class_accuracy(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Share of each class's segments or videos that are right, `(classes,)`; NaN for a class without any."""
    counts = confusion_matrix(labels, probabilities)
    with np.errstate(invalid="ignore"):
        return counts.diagonal() / counts.sum(1)
