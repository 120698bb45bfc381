"""Gradients of the loss and of the event layers' guards at extreme scores, against float64."""

import numpy as np
import pytest

from eventlayers.layers import InstantEventLayer, OnsetEventLayer
from eventlayers.recipe import MultiHeadCrossEntropy
from tests.helpers.extreme_gradients import EXTREMES, check_extreme_gradients, softmax

CLASSES = len(EXTREMES)


@pytest.mark.parametrize("label", [0, 4, 8])
def test_cross_entropy_of_each_head_is_softmax_minus_label(label):
    scores = np.stack([EXTREMES, EXTREMES[::-1]])[None]
    labels = np.eye(CLASSES, dtype="float32")[[label]]
    loss = MultiHeadCrossEntropy()
    check_extreme_gradients(lambda scores: loss(labels, scores), [scores], [softmax(scores) - labels[:, None]])


def test_onsets_alone_have_a_gradient_and_without_any_all_time_steps():
    """The masked mean, its floor of one onset and the choice between it and the plain mean, at features of 100."""
    visual = np.tile(EXTREMES[:, None], (2, 1, 1))
    audio = -visual
    onsets, mask = np.array([[1, 3], [5, 7]]), np.array([[True, True], [False, False]])
    expected = np.zeros_like(visual)
    expected[0, [1, 3]], expected[1] = 1 / 2, 1 / CLASSES
    check_extreme_gradients(lambda v, a: OnsetEventLayer()(v, a, onsets, mask), [visual, audio], [expected, expected])


def test_instants_by_cosine_have_the_gradient_of_their_mean_at_every_length():
    """The floor of the lengths: silence and black frames among features of 1e-20 to 100; the choice has no gradient."""
    lengths = np.array([0.0, 1e-20, 1.0, 100.0])
    visual = (lengths[:, None] * [0.6, 0.8])[None]
    audio = (lengths[::-1, None] * [0.8, 0.6])[None]
    layer = InstantEventLayer(2, "cosine")
    chosen = np.asarray(layer.time_steps(visual, audio))[0]
    # All but the two with a vector of zeros point the same way, and are as near to each other.
    assert sorted(chosen) == [1, 2]
    expected = np.zeros_like(visual)
    expected[0, chosen] = 1 / 2
    check_extreme_gradients(layer, [visual, audio], [expected, expected])
