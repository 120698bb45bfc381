"""A metric of whole arrays."""

import keras
import numpy as np


def measure(metric: keras.metrics.Metric, labels: np.ndarray, probabilities: np.ndarray, batch_size=1024) -> float:
    """A metric's result for whole arrays `(videos, classes)`, added a batch at a time."""
    metric.reset_state()
    for start in range(0, len(labels), batch_size):
        metric.update_state(labels[start : start + batch_size], probabilities[start : start + batch_size])
    return float(metric.result())
