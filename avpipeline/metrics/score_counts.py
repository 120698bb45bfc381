"""Entries of a ranking, kept or counted in bins: what the metrics of `ranking` store for millions of videos.

All return levels in the form that `average_precision` takes: entries and positives of each group of equal or binned
scores, highest score first.
"""

from collections.abc import Iterator

import numpy as np

# Scores below 2 to this power share the lowest bin, and those closer to 1 than that the highest.
_LOWEST_EXPONENT = -24

Levels = tuple[np.ndarray, np.ndarray]


class ScoreBins:
    """Bins for probabilities, narrow where probabilities cluster: near 0 and near 1.

    Each octave from 2^-24 up to 1/2 is divided into `2 ** bits` equal bins, and so are the distances from 1 on the
    other side. A bin's width is at most `2 ** -bits` of its distance from 0 or 1. A float32 score lies in bin b or
    above if and only if it is at least `edges[b]`.

    Attributes:
      count: number of bins.
      edges: `(count,)` float64, the lowest score of each bin; the first is 0.
    """

    def __init__(self, bits: int):
        self._shift = np.int32(23 - bits)
        self._base = np.int32((127 + _LOWEST_EXPONENT) << bits)
        self._half = (-1 - _LOWEST_EXPONENT << bits) + 1
        self.count = 2 * self._half
        # The lowest scores of bins 1, 2, ... of the lower half, by their bits; all are exact as float32.
        steps = (np.arange(self._half, dtype=np.int32) + self._base) << self._shift
        lower = steps.view(np.float32).astype(np.float64)
        # A distance from 1 belongs to the bin (lower, upper], so that each bin of scores includes its lower edge.
        self.edges = np.concatenate([[0.0], lower[:-1], 1 - lower[::-1]])

    def of(self, scores: np.ndarray) -> np.ndarray:
        """Bin numbers of float32 scores in [0, 1], int32, counted from the lowest score up."""
        low = scores < 0.5
        distance = np.where(low, scores, np.float32(1) - scores)
        bits = distance.view(np.int32)
        # A distance on an edge belongs to the bin of the higher score.
        bits -= ~low
        number = np.clip((bits >> self._shift) - self._base + 1, 0, self._half - 1)
        return np.where(low, number, self.count - 1 - number)


class Entries:
    """Entries of a ranking, each packed into one integer: class, score and whether it is positive."""

    def __init__(self, dtype):
        self._dtype = dtype
        self.clear()

    def clear(self) -> None:
        self._chunks = [np.zeros(0, self._dtype)]

    @property
    def nbytes(self) -> int:
        return sum(chunk.nbytes for chunk in self._chunks)

    def add(self, scores: np.ndarray, positive: np.ndarray, classes: np.ndarray | None = None) -> None:
        packed = pack(scores, positive).astype(self._dtype)
        if classes is not None:
            packed |= classes.astype(np.uint64) << np.uint64(32)
        self._chunks.append(packed)

    def levels(self) -> Levels:
        return ranked_levels(self._sorted())

    def levels_of(self, classes: np.ndarray) -> Iterator[Levels]:
        """Levels of each of the classes."""
        packed = self._sorted()
        first = np.searchsorted(packed, classes.astype(np.uint64) << np.uint64(32))
        last = np.searchsorted(packed, (classes + 1).astype(np.uint64) << np.uint64(32))
        for start, end in zip(first, last, strict=True):
            yield ranked_levels(packed[start:end])

    def _sorted(self) -> np.ndarray:
        # The sorted array replaces the chunks: entries are not held twice, and the next sort is faster.
        packed = np.concatenate(self._chunks)
        packed.sort()
        self._chunks = [packed]
        return packed


class Histograms:
    """Entries counted by score, in a histogram for each class.

    Args:
      bits: of the bins, see `ScoreBins`.
      dtype: of the counts.
    """

    def __init__(self, bits: int, dtype):
        self.bins = ScoreBins(bits)
        self._dtype = dtype
        self.clear()

    def clear(self) -> None:
        self._entries = self._positives = np.zeros((0, self.bins.count), self._dtype)

    @property
    def nbytes(self) -> int:
        return self._entries.nbytes + self._positives.nbytes

    def add(self, scores: np.ndarray, positive: np.ndarray) -> None:
        """Scores and whether they are positive, both `(entries, classes)`."""
        classes = scores.shape[1]
        if not len(self._entries):
            self._entries, self._positives = np.zeros((2, classes, self.bins.count), self._dtype)
        places = self.bins.of(scores) + np.arange(classes) * self.bins.count
        np.add.at(self._entries.reshape(-1), places.ravel(), self._dtype(1))
        np.add.at(self._positives.reshape(-1), places[positive], self._dtype(1))

    def levels_of(self, classes: np.ndarray) -> Iterator[Levels]:
        """Levels of each of the classes."""
        for number in classes:
            yield self._entries[number, ::-1], self._positives[number, ::-1]

    def all_levels(self) -> Iterator[Levels]:
        yield from self.levels_of(np.arange(len(self._entries)))


def pack(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Packs a non-negative score and whether it is positive into one uint32; they sort as the scores do.

    The bits of a non-negative float, read as an integer, grow with it; its sign bit is always 0 and leaves room.
    """
    bits = np.ascontiguousarray(scores, np.float32).view(np.uint32)
    return bits << np.uint32(1) | positive.astype(np.uint32)


def ranked_levels(packed: np.ndarray) -> Levels:
    """(entries, positives) of the levels of sorted `packed` entries, highest score first.

    There is a level for each score that a positive has, and between two of these one level for all negatives in
    between, whose order changes nothing. Entries below the last positive are left out.
    """
    one = np.asarray(1, packed.dtype)
    scores, positives = np.unique(packed[(packed & one) == 1], return_counts=True)
    first = np.searchsorted(packed, scores - one, "left")
    last = np.searchsorted(packed, scores, "right")
    # Entries strictly between this level and the next higher one.
    between = np.append(first[1:], len(packed)) - last
    entries = np.stack([last - first, between], 1).ravel()
    counts = np.stack([positives, np.zeros_like(positives)], 1).ravel()
    return entries[::-1], counts[::-1]
