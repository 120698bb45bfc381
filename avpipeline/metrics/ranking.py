"""Metrics of multi-label video classification, as the YouTube-8M challenge computes them, batch by batch.

All are Keras metrics of labels `(batch, classes)`, 0 or 1, and probabilities `(batch, classes)`, for `compile`,
`fit` and `evaluate`, or on their own. None stores the predictions, which would take 21 GB for the 1.1 million videos
and 4716 classes of YouTube-8M's validation split: each docstring says how much memory its metric takes there.

Conventions, the same everywhere:
- Within a video, the lower class number wins a tie. In a ranking over videos, tied entries count as the average over
  all their orders.
- A video without labels still counts: no prediction for it is right, and its entries are negatives.
- A class without positive videos is left out of averages over classes.

`GAP`, `MeanAveragePrecision` and `BestThreshold` keep their counts in NumPy on the host: they need a single process,
whose devices may be several, and, under TensorFlow, `compile(jit_compile=False)`. For millions of videos their result
takes seconds to compute, too long for every step: while `fit` or `evaluate` runs, the progress bar shows a result that
is updated whenever the number of videos has doubled; the final one (the history's, `evaluate`'s, `result()`'s) covers
all videos. `GAP`, which is a metric of training, leaves its part of a step on the device and hands it over only then.
"""

import keras
import numpy as np
from keras import ops

from avpipeline.metrics.average_precision import average_precision, average_precision_bounds
from avpipeline.metrics.on_host import BufferedMetric, HostMetric, no_weights
from avpipeline.metrics.score_counts import Entries, Histograms
from avpipeline.nn.backends import TENSORFLOW

TOP_K = 20
# Bits of the histograms' bins (`ScoreBins`): of one for all classes, and of one for each class.
_POOLED_BITS, _CLASS_BITS = 12, 6

_PRECISE = "float64" if TENSORFLOW else "float32"

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
    best = ops.argmax(probabilities, -1, keepdims=True)
    return ops.squeeze(ops.take_along_axis(ops.cast(labels, "float32"), best, axis=-1), -1)


def _precisions_at_equal_recall(labels, probabilities):
    labels = ops.cast(labels, "float32")
    counts = ops.sum(labels, -1)
    # As many as the video with the most labels needs, and at least one for `top_k`; JAX's shapes are fixed beforehand.
    most = ops.cast(ops.maximum(ops.max(counts), 1), "int32") if TENSORFLOW else probabilities.shape[-1]
    scores, classes = ops.top_k(ops.cast(probabilities, "float32"), most)
    asked = ops.expand_dims(ops.arange(most, dtype="float32"), 0) < ops.expand_dims(counts, -1)
    right = ops.take_along_axis(labels, classes, axis=-1) * ops.cast((scores > 0) & asked, "float32")
    return ops.sum(right, -1) / ops.maximum(counts, 1)


@_serializable
class F1(keras.metrics.Metric):
    """2 TP / (2 TP + FP + FN), a label being predicted where its probability is at least the threshold.

    Keras's `F1Score` predicts above the threshold only, counts in float32, which is exact up to 16.7 million, and
    averages over classes without positives too.

    Args:
      threshold: the lowest probability of a label that counts as predicted.
      average: "micro" pools the counts of all videos and classes; "macro" is the mean F1 of the classes that have
        positive videos.

    Attributes:
      counts: `(3,)` or `(3, classes)`, numbers of true positives, false positives and false negatives; None at first.

    Memory: 3 numbers, or 3 for each class (113 kB for 4716 classes).
    """

    def __init__(self, threshold=0.5, average="micro", name="f1", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.threshold, self.average = threshold, _known_average(average)
        self.counts = None

    def update_state(self, y_true, y_pred, sample_weight=None):
        no_weights(self, sample_weight)
        labels, predicted = ops.cast(y_true, "bool"), ops.cast(y_pred, "float32") >= self.threshold
        axis = 0 if self.average == "macro" else None
        if self.counts is None:
            shape = (3, labels.shape[-1]) if self.average == "macro" else (3,)
            self.counts = self.add_variable(shape, "zeros", "int", name="counts")
        found = [labels & predicted, ~labels & predicted, labels & ~predicted]
        self.counts.assign_add(ops.stack([ops.sum(ops.cast(each, self.counts.dtype), axis) for each in found]))

    def result(self):
        if self.counts is None:
            return ops.zeros((), self.dtype)
        right, wrong, missed = ops.unstack(ops.cast(self.counts.value, _PRECISE), 3)
        f1 = ops.divide_no_nan(2 * right, 2 * right + wrong + missed)
        if self.average == "macro":
            there = ops.cast(right + missed > 0, _PRECISE)
            f1 = ops.divide_no_nan(ops.sum(f1 * there), ops.sum(there))
        return ops.cast(f1, self.dtype)

    def get_config(self):
        return {"threshold": self.threshold, "average": self.average, "name": self.name, "dtype": self.dtype}


@_serializable
class GAP(BufferedMetric):
    """Global average precision: each video's `top_k` classes, all videos pooled, ranked by probability.

    The average precision over that ranking; positives outside their video's `top_k` count as not found.

    Args:
      top_k: entries of a video, 20 in the challenge.

    Memory: 4 bytes an entry, 88 MB for 1.1 million videos, and 0.4 GB while the result is computed; 5 MB on the device.
    """

    def __init__(self, top_k=TOP_K, name="gap", dtype=None):
        self.top_k = top_k
        self._counts = Entries(np.uint32)
        super().__init__(name, dtype, columns=2 * top_k + 1)

    def _gather(self, labels, probabilities):
        scores, _, positive = _top(labels, probabilities, self.top_k)
        missing = [[0, 0], [0, self.top_k - scores.shape[-1]]]
        entries = [ops.pad(ops.cast(each, "float32"), missing) for each in (scores, positive)]
        self._width = scores.shape[-1]
        return [ops.concatenate([*entries, ops.cast(ops.count_nonzero(labels, -1)[:, None], "float32")], axis=-1)]

    def _add(self, rows):
        scores, positive, positives = np.split(rows, [self.top_k, 2 * self.top_k], axis=1)
        self._counts.add(scores[:, : self._width].ravel(), positive[:, : self._width].ravel() > 0)
        self._positives += int(positives.sum(dtype=np.int64))

    def _computed(self):
        return average_precision(*self._counts.levels(), self._positives) if self._positives else 0.0

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
        self._counts = Entries(np.uint64) if capped else Histograms(_CLASS_BITS, np.uint32)
        super().__init__(name, dtype)

    def _gather(self, labels, probabilities):
        positives = ops.count_nonzero(labels, 0)
        if not self.capped:
            return [probabilities, ops.cast(labels, "bool"), positives]
        scores, classes, positive = _top(labels, probabilities, self.top_k)
        return [scores, positive, positives, classes]

    def _add(self, scores, positive, positives, classes=None):
        if self.capped:
            self._counts.add(scores.ravel(), positive.ravel(), classes.ravel())
        else:
            self._counts.add(scores, positive)
        self._positives = self._positives + np.int64(positives)

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
        pooled = average == "micro"
        self._counts = Histograms(_POOLED_BITS, np.int64) if pooled else Histograms(_CLASS_BITS, np.uint32)
        super().__init__(name, dtype)

    def _gather(self, labels, probabilities):
        return [probabilities, ops.cast(labels, "bool")]

    def _add(self, scores, positive):
        if self.average == "micro":
            scores, positive = scores.reshape(-1, 1), positive.reshape(-1, 1)
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

    def get_config(self):
        return {"average": self.average, "name": self.name, "dtype": self.dtype}


def _top(labels, probabilities, top_k: int) -> tuple:
    """(scores, classes, whether they are labels) of each video's `top_k` classes, all `(batch, top_k)`."""
    scores, classes = ops.top_k(probabilities, min(top_k, probabilities.shape[-1]))
    return scores, classes, ops.take_along_axis(ops.cast(labels, "bool"), classes, axis=-1)


def _float32_at_least(value: float) -> float:
    nearest = np.float32(value)
    return float(nearest if nearest >= value else np.nextafter(nearest, np.float32(np.inf)))


def _known_average(average: str) -> str:
    if average not in ("micro", "macro"):
        raise ValueError(f"average '{average}': is neither 'micro' nor 'macro'.")
    return average
