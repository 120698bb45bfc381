"""Segment metrics on numbers small enough to count by hand."""

import numpy as np

from avpipeline.metrics import SegmentAccuracy, confusion_matrix, per_class_accuracy, segment_accuracy

# Two videos of three segments, classes 0, 1, 2 (background); 4 of 6 segments are right.
LABELS = np.eye(3)[[[0, 0, 2], [1, 2, 2]]]
PREDICTED = np.eye(3)[[[0, 1, 2], [0, 2, 2]]] * 0.8 + 0.1


def test_segment_accuracy_counts_background_too():
    assert segment_accuracy(LABELS, PREDICTED) == 4 / 6


def test_keras_metric_agrees_over_uneven_batches():
    metric = SegmentAccuracy()
    metric.update_state(LABELS[:1], PREDICTED[:1])
    metric.update_state(np.repeat(LABELS[1:], 3, 0), np.repeat(PREDICTED[1:], 3, 0))
    np.testing.assert_allclose(metric.result(), 8 / 12)


def test_confusion_matrix():
    np.testing.assert_array_equal(confusion_matrix(LABELS, PREDICTED), [[1, 1, 0], [1, 0, 0], [0, 0, 3]])


def test_per_class_accuracy_is_nan_without_segments():
    labels = LABELS[:1]
    np.testing.assert_array_equal(per_class_accuracy(labels, PREDICTED[:1]), [0.5, np.nan, 1.0])
