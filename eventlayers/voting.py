"""From the five heads' scores to one label, or to several (Section 4.2).

Everywhere `scores` is O of the paper, `(videos, heads, classes)`: the output of the heads' dense layers before the
softmax. A baseline has one head, and its vote is that head's label.
"""

import numpy as np


def vote(scores):
    """One label for each video by majority: `(videos,)`.

    The label that most heads predict. If several labels are predicted equally often there is no majority, and the label
    of the most confident head is taken, the one with the highest softmax probability of all heads.
    """
    from keras import ops

    given = ops.argmax(scores, axis=-1)
    counts = ops.sum(ops.one_hot(given, scores.shape[-1], dtype="int32"), axis=1)
    most = ops.max(counts, axis=-1, keepdims=True)
    unique = ops.sum(ops.cast(counts == most, "int32"), axis=-1) == 1
    confidence = ops.max(ops.softmax(scores, axis=-1), axis=-1)
    head = ops.argmax(confidence, axis=-1, keepdims=True)
    confident = ops.take_along_axis(given, head, axis=1)[:, 0]
    return ops.where(unique, ops.argmax(counts, axis=-1), confident)


def label_sets(scores: np.ndarray) -> np.ndarray:
    """The union of the heads' labels, `(videos, classes)` bool: one to as many labels as there are heads."""
    return np.eye(scores.shape[-1], dtype=bool)[np.asarray(scores).argmax(-1)].any(1)


def top_labels(scores: np.ndarray, count: int) -> np.ndarray:
    """The `count` labels with the highest scores of the first head, `(videos, classes)` bool.

    Table 2 compares the label sets with these, for Naive AV, which has one head. Of equal scores, lower classes win.
    """
    best = np.argsort(-np.asarray(scores)[:, 0], axis=-1, kind="stable")[:, :count]
    return np.eye(scores.shape[-1], dtype=bool)[best].any(1)


def multi_label_f1(labels: np.ndarray, predicted: np.ndarray, average: str = "videos") -> float:
    """F1 of predicted label sets, in [0, 1].

    Args:
      labels, predicted: `(videos, classes)`, true where a video has a label.
      average: "videos", the mean over videos of each one's F1, or "labels", the F1 of all labels of all videos pooled.
        The paper does not say which; LLP's own metric is the mean over videos.
    """
    labels, predicted = np.asarray(labels) > 0, np.asarray(predicted) > 0
    axis = {"videos": 1, "labels": None}[average]
    right = (labels & predicted).sum(axis)
    named = labels.sum(axis) + predicted.sum(axis)
    return float(np.mean(np.divide(2 * right, named, out=np.zeros(np.shape(named)), where=named > 0)))


def video_accuracy(labels: np.ndarray, scores: np.ndarray) -> float:
    """Share of videos whose vote is one of their labels, in [0, 1]; labels `(videos, classes)`."""
    from keras import ops

    labels = np.asarray(labels)
    return float(np.mean(labels[np.arange(len(labels)), ops.convert_to_numpy(vote(scores))] > 0))
