"""Metrics of multi-label video classification, as the YouTube-8M challenge computes them, batch by batch.

All are Keras metrics of labels `(batch, classes)`, 0 or 1, and probabilities `(batch, classes)`, for `compile`,
`fit` and `evaluate`, or on their own. None keeps the predictions: each class says how much memory it takes, also
for the 1.1 million videos and 4716 classes of YouTube-8M's validation split, whose predictions would take 21 GB.

Conventions, the same everywhere:
- Of equal scores the class with the lower number counts as the higher one within a video. In a ranking over videos
  tied entries count as they do on average over all their orders.
- A video without labels is a video: nothing can be right about it, and its entries are negatives.
- A class that no video has is left out of averages over classes.

`GAP`, `MeanAveragePrecision` and `BestThreshold` keep their counts in NumPy on the host: they need
`compile(jit_compile=False)`, as everywhere in this project, and one process. Their figure over everything takes
seconds for millions of videos, too long for every step: while `fit` or `evaluate` runs, the progress bar shows the
figure as it was when it was last brought up to date, each time the number of videos has doubled; what comes
out at the end (history, `evaluate`'s result, `result()`) is that of all videos.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from avpipeline.metrics.average_precision import average_precision, average_precision_bounds
from avpipeline.metrics.score_counts import ClassHistograms, Entries, Histogram

TOP_K = 20
# Growth of the number of videos between two computations of the figure that is shown on the way.
_GROWTH = 2

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
    """Precision at equal recall rate: of a video with n labels, the share of right ones among its n most probable.

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
    # As many as the video with the most labels needs; never none, for which top_k has no place.
    most = tf.cast(tf.maximum(tf.reduce_max(counts), 1), tf.int32)
    scores, classes = tf.math.top_k(tf.cast(probabilities, tf.float32), most)
    asked = tf.sequence_mask(tf.cast(counts, tf.int32), most, tf.float32)
    right = tf.gather(labels, classes, axis=-1, batch_dims=1) * tf.cast(scores > 0, tf.float32) * asked
    return tf.reduce_sum(right, -1) / tf.maximum(counts, 1)


@_serializable
class F1(keras.metrics.Metric):
    """2 TP / (2 TP + FP + FN) of the labels whose probability is at least the threshold.

    Args:
      threshold: the least probability of a label that counts as predicted.
      average: "micro" counts over all videos and classes; "macro" is the mean of the classes' own F1 over the
        classes that a video has.

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
            # Integers: a float stops counting at 16.7 million.
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
    """A metric whose counts live in NumPy arrays; see the module for what that means in `fit`.

    A subclass gives `_gather`, which runs in the graph and makes a batch small, `_add`, `_figure` and `_clear`.
    """

    def __init__(self, name, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self._shown = self.add_variable((), "zeros", "float32", name="shown")
        self.reset_state()

    def _gather(self, labels: tf.Tensor, probabilities: tf.Tensor) -> list[tf.Tensor]:
        """What of a batch is handed to `_add`."""
        raise NotImplementedError

    def _add(self, *arrays: np.ndarray) -> None:
        raise NotImplementedError

    def _figure(self) -> float:
        """The metric over everything that was added."""
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
            self._latest, self._next = self._figure(), _GROWTH * self._videos
        return np.float32(self._latest)

    def result(self):
        """The figure of all videos; inside a graph the latest one that was computed."""
        if not tf.executing_eagerly():
            return tf.convert_to_tensor(self._shown)
        return ops.convert_to_tensor(self._figure() if self._videos else 0.0, "float32")

    @property
    def nbytes(self) -> int:
        """Bytes that the counts take now."""
        return self._counts.nbytes

    def reset_state(self):
        self._videos, self._next, self._latest = 0, 1, 0.0
        self._shown.assign(0.0)
        self._clear()


@_serializable
class GAP(HostMetric):
    """Global average precision: each video's `top_k` classes, all videos pooled, ranked by probability.

    The average precision over that ranking; positives outside their video's `top_k` are never found, but counted.

    Args:
      top_k: entries of a video, 20 in the challenge.
      histogram: count the entries in 188,418 bins (see `ScoreBins`) and not keep them. `bounds` says between which
        figures the exact one lies; 1e-5 from it is usual.

    Memory: 4 bytes an entry, 88 MB for 1.1 million videos, and 0.4 GB while the figure is computed; 3 MB with
    `histogram`, whatever the number of videos.
    """

    def __init__(self, top_k=TOP_K, histogram=False, name="gap", dtype=None):
        self.top_k, self.histogram = top_k, histogram
        self._counts = Histogram() if histogram else Entries(np.uint32)
        super().__init__(name, dtype)

    def _gather(self, labels, probabilities):
        scores, _, positive = _top(labels, probabilities, self.top_k)
        return [scores, positive, tf.math.count_nonzero(labels)]

    def _add(self, scores, positive, positives):
        self._counts.add(scores.ravel(), positive.ravel())
        self._positives += int(positives)

    def _figure(self):
        return average_precision(*self._counts.levels(), self._positives) if self._positives else 0.0

    def bounds(self) -> tuple[float, float]:
        """Between which figures the exact one lies, whatever the order of entries that cannot be told apart."""
        return average_precision_bounds(*self._counts.levels(), self._positives)

    def _clear(self):
        self._positives = 0
        self._counts.clear()

    def get_config(self):
        return {"top_k": self.top_k, "histogram": self.histogram, "name": self.name, "dtype": self.dtype}


@_serializable
class MeanAveragePrecision(HostMetric):
    """Mean over classes of the average precision of their videos, ranked by the probability of the class.

    Args:
      capped: as the challenge's code computes it, a video is ranked only in its `top_k` classes, and positives
        elsewhere are never found, but counted. False ranks every video in every class, by a histogram a class.
      top_k: entries of a video.
      bits: of the histograms' bins (`ScoreBins`): scores in a bin differ by less than `2 ** -bits` of their
        distance from 0 or 1, and their order counts as any. 2e-4 from the exact figure is usual; `bounds` says
        between which figures it lies.

    Memory: capped, 8 bytes an entry: 176 MB for 1.1 million videos, and twice that while the figure is computed.
    Uncapped, 24 kB a class at 6 bits: 111 MB for 4716 classes, whatever the number of videos; a batch of 1024
    takes 0.2 GB for a moment.
    """

    def __init__(self, capped=True, top_k=TOP_K, bits=6, name="mean_ap", dtype=None):
        self.capped, self.top_k, self.bits = capped, top_k, bits
        self._counts = Entries(np.uint64) if capped else ClassHistograms(bits)
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

    def _figure(self):
        found = [average_precision(*levels, total) for levels, total in self._classes()]
        return float(np.mean(found)) if found else 0.0

    def bounds(self) -> tuple[float, float]:
        """Between which figures the exact one lies, whatever the order of entries that cannot be told apart."""
        found = [average_precision_bounds(*levels, total) for levels, total in self._classes()]
        return tuple(np.mean(found, 0).tolist()) if found else (0.0, 0.0)

    def per_class(self) -> np.ndarray:
        """Average precision of each class, `(classes,)`; NaN for a class that no video has."""
        result = np.full(np.shape(self._positives), np.nan)
        for number, (levels, total) in zip(np.flatnonzero(self._positives), self._classes(), strict=True):
            result[number] = average_precision(*levels, total)
        return result

    def _classes(self):
        """(levels, positives) of each class that a video has."""
        numbers = np.flatnonzero(self._positives)
        levels = self._counts.levels_of(numbers)
        return zip(levels, np.asarray(self._positives)[numbers], strict=True)

    def _clear(self):
        self._positives = 0
        self._counts.clear()

    def get_config(self):
        sizes = {"capped": self.capped, "top_k": self.top_k, "bits": self.bits}
        return {**sizes, "name": self.name, "dtype": self.dtype}


@_serializable
class BestThreshold(HostMetric):
    """The threshold of probability, one for all classes, with the highest F1; `best` also gives that F1.

    Candidates are the edges of histogram bins (`ScoreBins`), where F1 is exact. Another threshold can be better only
    by telling entries of one bin apart: `bound` says how high F1 can get at most. Of equals the highest threshold
    counts.

    Args:
      average: "micro" or "macro", as of `F1`.
      bits: of the bins; None takes 12 (a threshold to 1/4096 of its distance from 0 or 1) for "micro", 6 (1/64)
        for "macro".

    Memory: 3 MB for "micro", 24 kB a class for "macro" (111 MB for 4716 classes), whatever the number of
    videos; a batch of 1024 takes 0.2 GB for a moment.
    """

    def __init__(self, average="micro", bits=None, name="best_threshold", dtype=None):
        self.average, self.bits = _known_average(average), bits
        self._counts = Histogram(bits or 12) if average == "micro" else ClassHistograms(bits or 6)
        super().__init__(name, dtype)

    def _gather(self, labels, probabilities):
        return [probabilities, tf.cast(labels, tf.bool)]

    def _add(self, scores, positive):
        self._counts.add(scores, positive)

    def _figure(self):
        return self.best()[0]

    def best(self) -> tuple[float, float]:
        """(threshold, F1 at it); the threshold is a float32 number."""
        f1, _ = self._curves()
        place = int(f1.argmax())
        return _float32_at_least(self._counts.bins.edges[::-1][place]), float(f1[place])

    def bound(self) -> float:
        """An F1 that no threshold exceeds."""
        return float(self._curves()[1].max())

    def _curves(self) -> tuple[np.ndarray, np.ndarray]:
        """F1 at the edges from the highest down, and the most it can be at any threshold inside each bin."""
        f1, most, count = 0.0, 0.0, 0
        for entries, positives in self._counts.all_levels():
            total = positives.sum()
            if total:
                predicted, right = np.cumsum(entries, dtype=np.float64), np.cumsum(positives, dtype=np.float64)
                f1 = f1 + 2 * right / (predicted + total)
                most = most + 2 * right / (predicted - entries + positives + total)
                count += 1
        if not count:
            return np.zeros(1), np.zeros(1)
        return f1 / count, most / count

    def _clear(self):
        self._counts.clear()

    def get_config(self):
        return {"average": self.average, "bits": self.bits, "name": self.name, "dtype": self.dtype}


def measure(metric: keras.metrics.Metric, labels: np.ndarray, probabilities: np.ndarray, batch_size=1024) -> float:
    """The figure of a metric for whole arrays `(videos, classes)`, given to it a batch at a time."""
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
