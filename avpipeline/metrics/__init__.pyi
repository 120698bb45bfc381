"""Metrics: accuracy of segments and videos (`segments`), multi-label ranking of videos (`ranking`)."""

from .segments import SegmentAccuracy, confusion_matrix, per_class_accuracy, segment_accuracy

__all__ = ["SegmentAccuracy", "confusion_matrix", "per_class_accuracy", "segment_accuracy"]
