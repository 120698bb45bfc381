"""Metrics of multi-label video classification, as the YouTube-8M challenge computes them, batch by batch.

All are Keras metrics of labels `(batch, classes)`, 0 or 1, and probabilities `(batch, classes)`, for `compile`,
`fit` and `evaluate`, or on their own. None stores the predictions, which would take 21 GB for the 1.1 million videos
and 4716 classes of YouTube-8M's validation split: each docstring says how much memory its metric takes there.

Conventions, the same everywhere:
- Within a video, the lower class number wins a tie. In a ranking over videos, tied entries count as the average over
  all their orders.
- A video without labels still counts: no prediction for it is right, and its entries are negatives.
- A class without positive videos is left out of averages over classes.

`GAP`, `MeanAveragePrecision` and `BestThreshold` keep their counts in NumPy on the host: they need
`compile(jit_compile=False)`, as everywhere in this project, and a single process. For millions of videos their
result takes seconds to compute, too long for every step: while `fit` or `evaluate` runs, the progress bar shows a
result that is updated whenever the number of videos has doubled; the final one (the history's, `evaluate`'s,
`result()`'s) covers all videos.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from avpipeline.metrics.average_precision import average_precision, average_precision_bounds
from avpipeline.metrics.score_counts import ClassHistograms, Entries, Histogram

TOP_K = 20
# The result shown during an epoch is computed again once there are so many times the videos.
_GROWTH = 2
# Bits of the histograms' bins (`ScoreBins`): of one for all classes, and of one for each class.
_POOLED_BITS, _CLASS_BITS = 12, 6

_serializable = keras.saving.register_keras_serializable(package="avpipeline")


@_serializable
class HitAtOne(keras.metrics.MeanMetricWrapper):
    """Share of videos whose most probable class is one of their labels. Memory: two numbers."""

    def __init__(self, name="hit_at_one", dtype=None):
        super().__init__(_hits, name=name, dtype=dtype)

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}


@_serializable
class PERR(keras.metrics.MeanMetricWrapper):
    """Precision at equal recall rate: of a video's n most probable classes, the share that are among its n labels.

    As in the challenge, a class of probability 0 is never right, and a video without labels counts as 0. Memory:
    two numbers.
    """

    def __init__(self, name="perr", dtype=None):
        super().__init__(_precisions_at_equal_recall, name=name, dtype=dtype)

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}


def _hits(labels, probabilities):
    best = tf.argmax(probabilities, -1)
    return tf.gather(tf.cast(labels, tf.float32), best, axis=-1, batch_dims=1)


def _precisions_at_equal_recall(labels, probabilities):
    labels = tf.cast(labels, tf.float32)
    counts = tf.reduce_sum(labels, -1)
    # As many as the video with the most labels needs, and at least one for `top_k`.
    most = tf.cast(tf.maximum(tf.reduce_max(counts), 1), tf.int32)
    scores, classes = tf.math.top_k(tf.cast(probabilities, tf.float32), most)
    asked = tf.sequence_mask(tf.cast(counts, tf.int32), most, tf.float32)
    right = tf.gather(labels, classes, axis=-1, batch_dims=1) * tf.cast(scores > 0, tf.float32) * asked
    return tf.reduce_sum(right, -1) / tf.maximum(counts, 1)


@_serializable
class F1(keras.metrics.Metric):
    """2 TP / (2 TP + FP + FN), a label being predicted where its probability is at least the threshold.

    Keras's `F1Score` predicts above the threshold only, counts in float32, which is exact up to 16.7 million, and
    averages over classes without positives too.

    Args:
      threshold: the lowest probability of a label that counts as predicted.
      average: "micro" pools the counts of all videos and classes; "macro" is the mean F1 of the classes that have
        positive videos.

    Memory: 3 numbers, or 3 for each class (113 kB for 4716 classes).
    """

    def __init__(self, threshold=0.5, average="micro", name="f1", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.threshold, self.average = threshold, _known_average(average)
        self._counts = None

    def update_state(self, y_true, y_pred, sample_weight=None):
        _no_weights(self, sample_weight)
        labels, predicted = tf.cast(y_true, tf.bool), tf.cast(y_pred, tf.float32) >= self.threshold
        axis = 0 if self.average == "macro" else None
        if self._counts is None:
            shape = (3, labels.shape[-1]) if self.average == "macro" else (3,)
            self._counts = self.add_variable(shape, "zeros", "int64", name="counts")
        found = [labels & predicted, ~labels & predicted, labels & ~predicted]
        self._counts.assign_add(tf.stack([tf.math.count_nonzero(each, axis) for each in found]))

    def result(self):
        if self._counts is None:
            return ops.zeros((), self.dtype)
        right, wrong, missed = tf.unstack(tf.cast(self._counts.value, tf.float64))
        f1 = tf.math.divide_no_nan(2 * right, 2 * right + wrong + missed)
        if self.average == "macro":
            there = tf.cast(right + missed > 0, tf.float64)
            f1 = tf.math.divide_no_nan(tf.reduce_sum(f1 * there), tf.reduce_sum(there))
        return tf.cast(f1, self.dtype)

    def get_config(self):
        return {"threshold": self.threshold, "average": self.average, "name": self.name, "dtype": self.dtype}


class HostMetric(keras.metrics.Metric):
    """A metric whose counts are kept in NumPy arrays; the module's docstring says what that means in `fit`.

    A subclass implements `_gather`, which reduces a batch inside the graph, `_add`, `_computed` and `_clear`.
    """

    def __init__(self, name, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self._shown = self.add_variable((), "zeros", "float32", name="shown")
        self.reset_state()

    def _gather(self, labels: tf.Tensor, probabilities: tf.Tensor) -> list[tf.Tensor]:
        """What `_add` gets of a batch."""
        raise NotImplementedError

    def _add(self, *arrays: np.ndarray) -> None:
        raise NotImplementedError

    def _computed(self) -> float:
        """The metric over all that has been added."""
        raise NotImplementedError

    def _clear(self) -> None:
        raise NotImplementedError

    def update_state(self, y_true, y_pred, sample_weight=None):
        _no_weights(self, sample_weight)
        labels, probabilities = tf.convert_to_tensor(y_true), tf.cast(y_pred, tf.float32)
        tf.debugging.assert_equal(
            tf.reduce_all((probabilities >= 0) & (probabilities <= 1)),
            True,
            f"{self.name}: the model's outputs are not probabilities between 0 and 1 (or NaN).",
        )
        batch = self._gather(labels, probabilities)
        shown = tf.numpy_function(self._receive, [tf.shape(labels)[0], *batch], tf.float32)
        self._shown.assign(tf.ensure_shape(shown, ()))

    def _receive(self, videos: np.ndarray, *arrays: np.ndarray) -> np.float32:
        self._add(*arrays)
        self._videos += int(videos)
        if self._videos >= self._next:
            self._latest, self._next = self._computed(), _GROWTH * self._videos
        return np.float32(self._latest)

    def result(self):
        """The metric over all videos; inside a graph, the latest that was computed."""
        if not tf.executing_eagerly():
            return tf.convert_to_tensor(self._shown)
        return ops.convert_to_tensor(self._computed() if self._videos else 0.0, "float32")

    @property
    def nbytes(self) -> int:
        """Bytes that the counts take at present."""
        return self._counts.nbytes

    def reset_state(self):
        self._videos, self._next, self._latest = 0, 1, 0.0
        self._shown.assign(0.0)
        self._clear()


@_serializable
class GAP(HostMetric):
    """Global average precision: each video's `top_k` classes, all videos pooled, ranked by probability.

    The average precision over that ranking; positives outside their video's `top_k` count as not found.

    Args:
      top_k: entries of a video, 20 in the challenge.

    Memory: 4 bytes an entry, 88 MB for 1.1 million videos, and 0.4 GB while the result is computed.
    """

    def __init__(self, top_k=TOP_K, name="gap", dtype=None):
        self.top_k = top_k
        self._counts = Entries(np.uint32)
        super().__init__(name, dtype)

    def _gather(self, labels, probabilities):
        scores, _, positive = _top(labels, probabilities, self.top_k)
        return [scores, positive, tf.math.count_nonzero(labels)]

    def _add(self, scores, positive, positives):
        self._counts.add(scores.ravel(), positive.ravel())
        self._positives += int(positives)

    def _computed(self):
        return average_precision(*self._counts.levels(), self._positives) if self._positives else 0.0

    def _clear(self):
        self._positives = 0
        self._counts.clear()

    def get_config(self):
        return {"top_k": self.top_k, "name": self.name, "dtype": self.dtype}


@_serializable
class MeanAveragePrecision(HostMetric):
    """Mean over classes of the average precision of their videos, ranked by the probability of the class.

    Args:
      capped: as the challenge's code computes it: a video is ranked only in its `top_k` classes, and positives
        elsewhere count as not found. False ranks every video in every class, by a histogram for each class: scores
        in one bin differ by at most 1/64 of their distance from 0 or 1 and count as tied, which usually changes the
        result by about 2e-4; `bounds` tells how much it can be.
      top_k: entries of a video.

    Memory: capped, 8 bytes an entry: 176 MB for 1.1 million videos, and twice that while the result is computed.
    Uncapped, 24 kB a class: 111 MB for 4716 classes, whatever the number of videos, and another 0.2 GB while a batch
    of 1024 is added.
    """

    def __init__(self, capped=True, top_k=TOP_K, name="mean_ap", dtype=None):
        self.capped, self.top_k = capped, top_k
        self._counts = Entries(np.uint64) if capped else ClassHistograms(_CLASS_BITS)
        super().__init__(name, dtype)

    def _gather(self, labels, probabilities):
        positives = tf.math.count_nonzero(labels, 0)
        if not self.capped:
            return [probabilities, tf.cast(labels, tf.bool), positives]
        scores, classes, positive = _top(labels, probabilities, self.top_k)
        return [scores, positive, positives, classes]

    def _add(self, scores, positive, positives, classes=None):
        if self.capped:
            self._counts.add(scores.ravel(), positive.ravel(), classes.ravel())
        else:
            self._counts.add(scores, positive)
        self._positives = self._positives + positives

    def _computed(self):
        found = [average_precision(*levels, total) for levels, total in self._classes()]
        return float(np.mean(found)) if found else 0.0

    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest result that scores in these bins can have: the exact one lies between them."""
        found = [average_precision_bounds(*levels, total) for levels, total in self._classes()]
        lowest, highest = np.mean(found, axis=0).tolist() if found else (0.0, 0.0)
        return lowest, highest

    def per_class(self) -> np.ndarray:
        """Average precision of each class, `(classes,)`; NaN for a class without positive videos."""
        result = np.full(np.shape(self._positives), np.nan)
        for number, (levels, total) in zip(np.flatnonzero(self._positives), self._classes(), strict=True):
            result[number] = average_precision(*levels, total)
        return result

    def _classes(self):
        """(levels, positives) of each class with positive videos."""
        numbers = np.flatnonzero(self._positives)
        levels = self._counts.levels_of(numbers)
        return zip(levels, np.asarray(self._positives)[numbers], strict=True)

    def _clear(self):
        self._positives = 0
        self._counts.clear()

    def get_config(self):
        return {"capped": self.capped, "top_k": self.top_k, "name": self.name, "dtype": self.dtype}


@_serializable
class BestThreshold(HostMetric):
    """The probability threshold, one for all classes, with the highest F1; `best` also gives that F1.

    Candidates are the edges of histogram bins (`ScoreBins`), where F1 is exact; they lie within 1/4096 ("micro") or
    1/64 ("macro") of their distance from 0 or 1. The highest of equally good thresholds is taken.

    Args:
      average: "micro" or "macro", as in `F1`.

    Memory: 3 MB for "micro", 24 kB a class for "macro" (111 MB for 4716 classes), whatever the number of videos, and
    another 0.2 GB while a batch of 1024 is added.
    """

    def __init__(self, average="micro", name="best_threshold", dtype=None):
        self.average = _known_average(average)
        self._counts = Histogram(_POOLED_BITS) if average == "micro" else ClassHistograms(_CLASS_BITS)
        super().__init__(name, dtype)

    def _gather(self, labels, probabilities):
        return [probabilities, tf.cast(labels, tf.bool)]

    def _add(self, scores, positive):
        self._counts.add(scores, positive)

    def _computed(self):
        return self.best()[0]

    def best(self) -> tuple[float, float]:
        """(threshold, F1 at it); the threshold is a float32 number."""
        f1 = self._f1()
        place = int(f1.argmax())
        return _float32_at_least(self._counts.bins.edges[::-1][place]), float(f1[place])

    def _f1(self) -> np.ndarray:
        """F1 at the edges of the bins, from the highest down."""
        f1, count = 0.0, 0
        for entries, positives in self._counts.all_levels():
            total = positives.sum()
            if total:
                predicted, right = np.cumsum(entries, dtype=np.float64), np.cumsum(positives, dtype=np.float64)
                f1 = f1 + 2 * right / (predicted + total)
                count += 1
        return f1 / count if count else np.zeros(1)

    def _clear(self):
        self._counts.clear()

    def get_config(self):
        return {"average": self.average, "name": self.name, "dtype": self.dtype}


def measure(metric: keras.metrics.Metric, labels: np.ndarray, probabilities: np.ndarray, batch_size=1024) -> float:
    """A metric's result for whole arrays `(videos, classes)`, added a batch at a time."""
    metric.reset_state()
    for start in range(0, len(labels), batch_size):
        metric.update_state(labels[start : start + batch_size], probabilities[start : start + batch_size])
    return float(metric.result())


def _top(labels: tf.Tensor, probabilities: tf.Tensor, top_k: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """(scores, classes, whether they are labels) of each video's `top_k` classes, all `(batch, top_k)`."""
    most = tf.minimum(top_k, tf.shape(probabilities)[-1])
    scores, classes = tf.math.top_k(probabilities, most)
    return scores, classes, tf.gather(tf.cast(labels, tf.bool), classes, axis=-1, batch_dims=1)


def _float32_at_least(value: float) -> float:
    nearest = np.float32(value)
    return float(nearest if nearest >= value else np.nextafter(nearest, np.float32(np.inf)))


def _known_average(average: str) -> str:
    if average not in ("micro", "macro"):
        raise ValueError(f"average '{average}': is neither 'micro' nor 'macro'.")
    return average


def _no_weights(metric: keras.metrics.Metric, sample_weight) -> None:
    if sample_weight is not None:
        raise ValueError(f"{metric.name}: is not defined with sample weights; put it into compile(metrics=...).")
