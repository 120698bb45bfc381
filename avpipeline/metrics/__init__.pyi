"""Metrics: accuracy of segments and videos (`segments`), multi-label ranking of videos (`ranking`)."""

from .segments import (
    SegmentAccuracy as SegmentAccuracy,
    confusion_matrix as confusion_matrix,
    per_class_accuracy as per_class_accuracy,
    segment_accuracy as segment_accuracy,
)
