"""Average precision from counts: the arithmetic behind `ranking`.

It works on levels: groups of entries with the same score, from the highest score down, each with its number of
entries and of positives among them. A level is a tie, or a bin of a histogram.

Ties count as the average over all orders of the tied entries, in closed form (McSherry and Najork, "Computing
information retrieval performance measures efficiently in the presence of tied scores", ECIR 2008). The YouTube-8M
challenge's code shuffles before it sorts: this is the mean of what it could have printed.
"""

import numpy as np
from scipy.special import digamma


def average_precision(entries: np.ndarray, positives: np.ndarray, total_positives: float) -> float:
    """The precision at the rank of each positive, summed and divided by `total_positives`; averaged over tied orders.

    Args:
      entries, positives: `(levels,)` numbers of entries and of positives among them, highest score first.
      total_positives: including those that are not ranked; 0 gives NaN.
    """
    if not total_positives:
        return float("nan")
    entries, positives, entries_above, positives_above = _where_positive(entries, positives)
    # Sum of 1/rank over the ranks of the level; a single entry is spared the rounding error of a difference.
    reciprocal = np.where(entries == 1, 1 / (entries_above + 1), _harmonic(entries_above, entries))
    # A level's j-th entry is positive with chance p/m and then has (j - 1)(p - 1)/(m - 1) positives before it.
    density = np.divide(positives - 1, entries - 1, out=np.zeros_like(entries), where=entries > 1)
    inside = density * (entries - (entries_above + 1) * reciprocal)
    precisions = positives / entries * ((positives_above + 1) * reciprocal + inside)
    return float(precisions.sum() / total_positives)


def average_precision_bounds(entries: np.ndarray, positives: np.ndarray, total_positives: float) -> tuple[float, float]:
    """The lowest and the highest average precision of any order of the entries within each level.

    Where levels are the bins of a histogram, the scores themselves give a result between the two, whatever they are.

    Args: those of `average_precision`.
    """
    if not total_positives:
        return float("nan"), float("nan")
    entries, positives, entries_above, positives_above = _where_positive(entries, positives)
    # The j-th positive of a level, at the rank (start + j), has a precision of (positives_above + j) / (start + j).
    starts = (entries_above + entries - positives, entries_above)
    sums = [(positives + (positives_above - start) * _harmonic(start, positives)).sum() for start in starts]
    lowest, highest = (float(value / total_positives) for value in sums)
    return lowest, highest


def _where_positive(entries: np.ndarray, positives: np.ndarray) -> tuple[np.ndarray, ...]:
    """For the levels with positives: entries, positives, and the totals of both above the level; float64."""
    there = np.flatnonzero(positives)
    entries_above = (np.cumsum(entries, dtype=np.float64) - entries)[there]
    positives_above = (np.cumsum(positives, dtype=np.float64) - positives)[there]
    return entries[there].astype(np.float64), positives[there].astype(np.float64), entries_above, positives_above


def _harmonic(start: np.ndarray, count: np.ndarray) -> np.ndarray:
    """1/(start + 1) + ... + 1/(start + count)."""
    return digamma(start + count + 1) - digamma(start + 1)
