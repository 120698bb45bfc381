"""Videos shorter than a model's length: segments of zeros at their end, and masks that say which those are."""

import numpy as np

from avpipeline.datasets.base import Source, Split

_ROWS_AT_ONCE = 16


class ZeroPadded:
    """Rows of another source in which the segments after each video's end are zeros.

    An extractor that is given a short video fills it up with silence and black frames, whose features are not
    zeros; papers that pad feature vectors mean zeros.

    Args:
      source: rows `(segments, ...)`.
      mask: `(rows, segments)`, 0 or False for what lies after the end.
    """

    def __init__(self, source: Source, mask: np.ndarray):
        self.source = source
        self.shape = tuple(source.shape)
        self.mask = np.asarray(mask, bool)
        if self.mask.shape != (len(source), self.shape[0]):
            raise ValueError(f"a mask {self.mask.shape} for {len(source)} rows of {self.shape[0]} segments")

    def __len__(self) -> int:
        return len(self.source)

    def read(self, rows: np.ndarray) -> np.ndarray:
        values = self.source.read(rows)
        values[~self.mask[rows]] = 0
        return values


def segment_mask(split: Split) -> np.ndarray:
    """`(videos, segments)` bool, False for padding: segments that are zero in every modality of the split."""
    mask = np.zeros((len(split), next(iter(split.inputs.values())).shape[0]), bool)
    for start in range(0, len(split), _ROWS_AT_ONCE):
        rows = np.arange(start, min(start + _ROWS_AT_ONCE, len(split)))
        for source in split.inputs.values():
            mask[rows] |= source.read(rows).any(axis=tuple(range(2, 1 + len(source.shape))))
    return mask
