"""Average precision of ties, and of what histograms keep, against every order written out."""

import numpy as np
import pytest

from avpipeline.metrics.average_precision import average_precision
from avpipeline.metrics.score_counts import Entries, Histograms, ScoreBins, pack
from tests.reference.ranking import all_orders, ranked_average_precision

TIED = [
    ([0.5, 0.5], [1, 0]),
    ([0.9, 0.5, 0.5, 0.5, 0.1], [0, 1, 0, 1, 1]),
    ([0.7, 0.7, 0.7, 0.2, 0.2, 0.2], [1, 0, 1, 0, 0, 1]),
    ([0.3] * 6, [0, 1, 1, 1, 0, 0]),
    ([0.3] * 3, [1, 1, 1]),
]


def levels(scores, positive):
    entries = Entries(np.uint32)
    entries.add(np.float32(scores), np.array(positive, bool))
    return entries.levels()


def test_two_tied_entries_of_which_one_is_positive():
    # Found first it gives 1, found second 1/2.
    assert average_precision(*levels([0.5, 0.5], [1, 0]), 1) == pytest.approx(0.75)


@pytest.mark.parametrize("scores, positive", TIED)
@pytest.mark.parametrize("elsewhere", [0, 2])
def test_ties_are_the_mean_over_all_orders(scores, positive, elsewhere):
    total = sum(positive) + elsewhere
    expected = all_orders(scores, positive, total)
    assert average_precision(*levels(scores, positive), total) == pytest.approx(np.mean(expected), abs=1e-12)


def test_many_entries_in_any_order_of_arrival():
    rng = np.random.default_rng(0)
    scores, positive = rng.random(3000, np.float32), rng.random(3000) < 0.1
    expected = ranked_average_precision(scores, positive, positive.sum())
    entries = Entries(np.uint32)
    for part in np.array_split(rng.permutation(3000), 7):
        entries.add(scores[part], positive[part])
        entries.levels()  # looking at them on the way changes nothing
    assert average_precision(*entries.levels(), positive.sum()) == pytest.approx(expected, abs=1e-12)


def test_nothing_positive():
    assert average_precision(*levels([0.5, 0.1], [0, 0]), 3) == 0
    assert np.isnan(average_precision(*levels([0.5], [0]), 0))


def test_packed_entries_sort_as_their_scores():
    scores = np.float32([0, 1e-40, 1e-7, 0.25, 0.25, 0.5, 1])
    packed = pack(scores, np.array([0, 1, 0, 0, 1, 0, 1], bool))
    assert (np.diff(packed.astype(np.int64)) > 0).all()


@pytest.mark.parametrize("bits", [3, 6, 12])
def test_bins_hold_what_their_edges_say(bits):
    bins = ScoreBins(bits)
    rng = np.random.default_rng(1)
    spread = 10 ** -rng.uniform(0, 9, 5000)
    edges = np.clip(bins.edges.astype(np.float32), 0, 1)
    beside = [np.nextafter(edges, np.float32(0)), np.nextafter(edges, np.float32(1))]
    scores = np.concatenate([rng.random(5000), spread, 1 - spread, [0, 0.5, 1], edges, *beside]).astype(np.float32)
    numbers = bins.of(scores)
    assert len(bins.edges) == bins.count and bins.edges[0] == 0 and (np.diff(bins.edges) > 0).all()
    np.testing.assert_array_equal(numbers, np.searchsorted(bins.edges, scores.astype(np.float64), "right") - 1)
    # Narrow bins: scores of one bin differ by little of their distance from 0 and from 1.
    low, high = scores[:-1], scores[1:]
    together = (
        (bins.of(low) == bins.of(high)) & (np.minimum(low, high) > 1e-7) & (np.maximum(low, high) < 1 - 1e-6)
    )
    distance = np.minimum(np.maximum(low, high), 1 - np.minimum(low, high))
    assert (np.abs(high - low)[together] <= 2.0**-bits * distance[together] + 1e-9).all()


def test_histograms_count_every_entry():
    rng = np.random.default_rng(2)
    scores, positive = rng.random((50, 3), np.float32), rng.random((50, 3)) < 0.3
    pooled, classes = Histograms(5, np.int64), Histograms(5, np.uint32)
    for part in (slice(0, 7), slice(7, 50)):
        pooled.add(scores[part].reshape(-1, 1), positive[part].reshape(-1, 1))
        classes.add(scores[part], positive[part])
    ((entries, _),), by_class = pooled.all_levels(), list(classes.all_levels())
    np.testing.assert_array_equal(entries, sum(own for own, _ in by_class))
    np.testing.assert_array_equal([positives.sum() for _, positives in by_class], positive.sum(0))
    np.testing.assert_array_equal(
        np.repeat(np.arange(pooled.bins.count)[::-1], entries)[::-1],
        np.sort(pooled.bins.of(scores), axis=None),
    )
