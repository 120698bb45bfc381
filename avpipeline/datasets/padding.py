"""Videos shorter than a model's input: padding with segments of zeros, and masks that mark them."""

import numpy as np

from avpipeline.datasets.base import Source, Split

_ROWS_AT_ONCE = 16


def whole_segments(seconds: np.ndarray, most: int) -> np.ndarray:
    """Number of one-second segments in a length, int64: rounded, at least 1, at most `most`."""
    return np.clip(np.floor(np.asarray(seconds, np.float64) + 0.5), 1, most).astype(np.int64)


class ZeroPadded:
    """Rows of another source with zeros in the segments after the end of each video.

    Extraction pads a short video with silence and black frames, whose features are not zero; papers that pad features
    mean zeros.

    Args:
      source: rows `(segments, ...)`.
      segments: number of segments before the end of each video, `(rows,)` integers.
    """

    def __init__(self, source: Source, segments: np.ndarray):
        self.source = source
        self.segments = np.asarray(segments, np.int64)
        self.shape = tuple(source.shape)

    def __len__(self) -> int:
        return len(self.source)

    def read(self, rows: np.ndarray) -> np.ndarray:
        rows = np.asarray(rows)
        values = self.source.read(rows)
        values[np.arange(self.shape[0]) >= self.segments[rows, np.newaxis]] = 0
        return values


def segment_mask(split: Split) -> np.ndarray:
    """`(videos, segments)` bool, False for padding: segments that are zero in every modality of the split."""
    mask = np.zeros((len(split), next(iter(split.inputs.values())).shape[0]), bool)
    for start in range(0, len(split), _ROWS_AT_ONCE):
        rows = np.arange(start, min(start + _ROWS_AT_ONCE, len(split)))
        for source in split.inputs.values():
            mask[rows] |= source.read(rows).any(axis=tuple(range(2, 1 + len(source.shape))))
    return mask
