"""One label by vote, several by union, and their measures: hand-computed numbers and a plain reference."""

import keras
import numpy as np
import pytest

from eventlayers import voting
from eventlayers.recipe import VideoAccuracy
from tests.reference import eventlayers as reference


def scored(labels, confidence, classes=4):
    """Scores of heads that give `labels`, each with a logit of its `confidence`."""
    scores = np.zeros((len(labels), classes), np.float32)
    scores[np.arange(len(labels)), labels] = confidence
    return scores


# (the heads' labels, their confidence, the vote)
CASES = {
    "all agree": ([2, 2, 2, 2, 2], [1, 1, 1, 1, 1], 2),
    "majority of three": ([0, 1, 1, 3, 1], [9, 1, 1, 9, 1], 1),
    "two of five is the most frequent": ([0, 1, 2, 3, 1], [9, 1, 9, 9, 1], 1),
    "two pairs: the most confident of a pair": ([0, 0, 1, 1, 2], [1, 2, 3, 1, 1], 1),
    "two pairs: the single head is the most confident": ([0, 0, 1, 1, 2], [1, 2, 3, 1, 5], 2),
    "four labels once each": ([3, 2, 1, 0], [1, 2, 5, 3], 1),
    "one head": ([3], [1], 3),
    "equal confidence: the first head": ([1, 0], [2, 2], 1),
}


@pytest.mark.parametrize(("labels", "confidence", "expected"), CASES.values(), ids=CASES)
def test_vote_by_hand(labels, confidence, expected):
    scores = scored(labels, np.array(confidence, np.float32))[None]
    assert keras.ops.convert_to_numpy(voting.vote(scores)).tolist() == [expected]
    assert reference.vote(scores[0]) == expected


def test_confidence_is_the_softmax_and_not_the_score():
    """Head 0 has the highest score but is torn between two classes; head 1 is sure."""
    scores = np.array([[[9.0, 8.9, 0.0], [0.0, 4.0, 0.0]]], np.float32)
    assert keras.ops.convert_to_numpy(voting.vote(scores)).tolist() == [1]


def test_vote_agrees_with_the_reference_on_random_scores():
    scores = np.random.default_rng(0).normal(size=(200, 5, 3)).astype(np.float32)
    expected = [reference.vote(video) for video in scores]
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(voting.vote(scores)), expected)
    # The order of the heads decides nothing.
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(voting.vote(scores[:, ::-1])), expected)


def test_label_sets_are_the_union_of_the_heads_labels():
    scores = np.stack([scored([0, 0, 0, 0, 0], 1), scored([0, 3, 0, 2, 3], 1)])
    np.testing.assert_array_equal(voting.label_sets(scores), [[1, 0, 0, 0], [1, 0, 1, 1]])


def test_top_labels_are_those_with_the_highest_scores():
    scores = np.array([[[0.1, 3.0, 2.0, -1.0]], [[1.0, 1.0, 1.0, 0.0]]])
    np.testing.assert_array_equal(voting.top_labels(scores, 2), [[0, 1, 1, 0], [1, 1, 0, 0]])
    assert voting.top_labels(scores, 5).all()


def test_f1_by_hand():
    labels = [[1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 1]]
    predicted = [[1, 0, 1, 0], [0, 0, 1, 0], [1, 0, 0, 0]]
    # Videos: 2*1/(2+2), 2*1/(1+1), 0; together: 2*2/(6+4).
    assert voting.multi_label_f1(labels, predicted) == pytest.approx((0.5 + 1 + 0) / 3)
    assert voting.multi_label_f1(labels, predicted, "labels") == pytest.approx(0.4)


@pytest.mark.parametrize("average", ["videos", "labels"])
def test_f1_of_the_labels_themselves_is_one_and_of_none_zero(average):
    labels = np.array([[1, 1, 0], [0, 0, 1]])
    assert voting.multi_label_f1(labels, labels, average) == 1
    assert voting.multi_label_f1(labels, 1 - labels, average) == 0


def test_accuracy_counts_a_vote_for_any_of_the_labels():
    scores = np.stack([scored([1], 1), scored([2], 1), scored([0], 1)])
    labels = np.array([[0, 1, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0]], np.float32)
    assert voting.video_accuracy(labels, scores) == pytest.approx(2 / 3)
    metric = VideoAccuracy()
    metric.update_state(labels[:1], scores[:1])
    metric.update_state(labels[1:], scores[1:])
    assert float(metric.result()) == pytest.approx(2 / 3)
