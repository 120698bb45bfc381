"""Average precision from counts: the arithmetic behind `video_metrics`.

Everything here works on levels: groups of entries that share one score, from the highest score down. Each has a
number of entries and of positives among them. A level is a tie, or what a histogram cannot tell apart.

Ties are given the average over all orders of the tied entries, in closed form (McSherry and Najork, "Computing
information retrieval performance measures efficiently in the presence of tied scores", ECIR 2008). The YouTube-8M
challenge shuffled before it sorted: this is the mean of what it could have printed.
"""

import numpy as np
from scipy.special import digamma


def average_precision(entries: np.ndarray, positives: np.ndarray, total_positives: float) -> float:
    """Sum over positives of the precision at their rank, over `total_positives`; the mean over orders of ties.

    Args:
      entries, positives: `(levels,)` numbers of entries and of positives among them, highest score first.
      total_positives: with those that are ranked nowhere; 0 gives NaN.
    """
    if not total_positives:
        return float("nan")
    entries, positives, entries_above, positives_above = _where_positive(entries, positives)
    # Sum of 1/rank over the ranks of the level; for one entry alone without the rounding of a difference.
    reciprocal = np.where(entries == 1, 1 / (entries_above + 1), _harmonic(entries_above, entries))
    # A level's j-th entry is positive with chance p/m and then has (j - 1)(p - 1)/(m - 1) positives before it.
    density = np.divide(positives - 1, entries - 1, out=np.zeros_like(entries), where=entries > 1)
    inside = density * (entries - (entries_above + 1) * reciprocal)
    precisions = positives / entries * ((positives_above + 1) * reciprocal + inside)
    return float(precisions.sum() / total_positives)


def average_precision_bounds(
    entries: np.ndarray, positives: np.ndarray, total_positives: float
) -> tuple[float, float]:
    """The least and the most that the average precision can be, whatever the order inside each level."""
    if not total_positives:
        return float("nan"), float("nan")
    entries, positives, entries_above, positives_above = _where_positive(entries, positives)

    def ranked_from(above):
        # The k-th positive stands at rank above + k: the sum of (positives_above + k) / (above + k).
        precisions = positives + (positives_above - above) * _harmonic(above, positives)
        return float(precisions.sum() / total_positives)

    return ranked_from(entries_above + entries - positives), ranked_from(entries_above)


def _where_positive(entries: np.ndarray, positives: np.ndarray) -> tuple[np.ndarray, ...]:
    """Of the levels with positives: entries, positives, and both counted above the level; float64."""
    there = np.flatnonzero(positives)
    entries_above = (np.cumsum(entries, dtype=np.float64) - entries)[there]
    positives_above = (np.cumsum(positives, dtype=np.float64) - positives)[there]
    return entries[there].astype(np.float64), positives[there].astype(np.float64), entries_above, positives_above


def _harmonic(start: np.ndarray, count: np.ndarray) -> np.ndarray:
    """1/(start + 1) + ... + 1/(start + count)."""
    return digamma(start + count + 1) - digamma(start + 1)
