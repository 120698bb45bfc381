"""The soft margin loss by hand."""

import keras
import numpy as np
import pytest

from avpipeline.nn.losses import MultiLabelSoftMargin
from tests.helpers.extreme_gradients import EXTREMES, check_extreme_gradients, sigmoid


def test_soft_margin_by_hand():
    labels = np.array([[1.0, 0.0, 0.0]])
    scores = np.array([[0.7, 0.2, 0.1]])

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    expected = -(np.log(sigmoid(0.7)) + np.log(1 - sigmoid(0.2)) + np.log(1 - sigmoid(0.1))) / 3
    np.testing.assert_allclose(MultiLabelSoftMargin()(labels, scores), expected, rtol=1e-6)


def test_floor_on_perfect_probabilities_is_far_from_zero():
    """29 classes, all right: (log(1 + 1/e) + 28 log 2) / 29."""
    labels = np.eye(29, dtype="float32")[None]
    np.testing.assert_allclose(
        MultiLabelSoftMargin()(labels, labels), (np.log1p(np.exp(-1)) + 28 * np.log(2)) / 29, rtol=1e-6
    )


def test_large_scores_do_not_overflow():
    loss = MultiLabelSoftMargin()(np.array([[1.0, 0.0]]), np.array([[-200.0, 200.0]]))
    np.testing.assert_allclose(loss, 200, rtol=1e-6)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_gradient_is_sigmoid_minus_label_at_every_score(label):
    labels, loss = np.full((1, len(EXTREMES)), label, "float32"), MultiLabelSoftMargin()
    expected = (sigmoid(EXTREMES) - label) / len(EXTREMES)
    check_extreme_gradients(lambda scores: loss(labels, scores), [EXTREMES[None]], [expected[None]])


def test_configuration_round_trip():
    assert isinstance(keras.losses.deserialize(keras.losses.serialize(MultiLabelSoftMargin())), MultiLabelSoftMargin)
