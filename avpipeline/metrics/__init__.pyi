"""Metrics: accuracy of segments and videos (`segments`), multi-label ranking of videos (`ranking`)."""

from .segments import (
    SegmentAccuracy as SegmentAccuracy,
)
from .segments import (
    confusion_matrix as confusion_matrix,
)
from .segments import (
    per_class_accuracy as per_class_accuracy,
)
from .segments import (
    segment_accuracy as segment_accuracy,
)
