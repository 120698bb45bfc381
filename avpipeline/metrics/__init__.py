"""Metrics, each computed from real predictions: of segments (`segments`) and of ranked labels (`ranking`)."""

from avpipeline.metrics.segments import SegmentAccuracy, confusion_matrix, per_class_accuracy, segment_accuracy

__all__ = ["SegmentAccuracy", "confusion_matrix", "per_class_accuracy", "segment_accuracy"]
