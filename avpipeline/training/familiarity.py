"""Whether a file's features are like those that a model was trained on.

For each modality a saved model keeps, over at most 256 training videos, the mean and standard deviation of every
channel (of a video's mean over its segments and regions, or its tokens) and the largest distance of any of these videos
from the others: the root mean square of its channels' z-scores. A file much further away than that is unlike anything
that the model was trained on.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from avpipeline.datasets.base import Split, Stream
from avpipeline.features.info import FeatureInfo

_VIDEOS, _AT_ONCE = 256, 16
# A channel that hardly varies in training must not decide alone.
_SMALLEST_DEVIATION = 0.1  # of the channels' mean deviation
_FAR = 1.5  # times the largest distance in training
_FEWEST = 4  # videos from which anything can be said
# The inputs of a model that is trained on clips: not features, and a waveform would count as 160,000 channels.
_MEDIA = ("frames", "waveform")


def feature_statistics(split: Split | Stream, features: Mapping[str, FeatureInfo]) -> dict[str, dict]:
    """Modality -> `{"mean": [...], "deviation": [...], "largest": float}`; empty for fewer than four videos.

    Of videos that are read file by file, the first ones are taken.
    """
    named = [name for name, info in features.items() if info.extractor not in _MEDIA]
    if len(split) < _FEWEST:
        return {}
    if isinstance(split, Stream):
        means = _first_means(split, named) if named else {}
    else:
        means = {name: _spread_means(split.inputs[name]) for name in named if name in split.inputs}
    return {name: _of_means(videos) for name, videos in means.items()}


def _spread_means(source) -> np.ndarray:
    """The means of videos from all over a split, `(videos, channels)`."""
    rows = np.unique(np.linspace(0, len(source) - 1, _VIDEOS).round().astype(int))
    pieces = [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]
    return np.concatenate([_channel_means(source.read(piece)) for piece in pieces])


def _first_means(stream: Stream, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Modality -> the means of the first videos over their tokens, `(videos, channels)`."""
    inputs = {name: values.numpy() for name, values in next(iter(stream.read(_VIDEOS)))[0].items()}
    # Tokens that are frames are padded with zeros.
    padding = {name: inputs[name].shape[1] / inputs.get("num_frames", inputs[name].shape[1]) for name in names}
    return {name: _channel_means(inputs[name]) * np.reshape(share, (-1, 1)) for name, share in padding.items()}


def _of_means(means: np.ndarray) -> dict:
    # Each video is compared with all others: of few videos, a mean that includes the video itself would be too close.
    rows = range(len(means))
    largest = max(_distance(_mean_and_deviation(np.delete(means, row, axis=0)), means[row]) for row in rows)
    return {**_mean_and_deviation(means), "largest": round(largest, 3)}


def _mean_and_deviation(means: np.ndarray) -> dict[str, list[float]]:
    deviation = means.std(0)
    deviation = np.maximum(deviation, max(_SMALLEST_DEVIATION * deviation.mean(), 1e-6))
    return {"mean": _rounded(means.mean(0)), "deviation": _rounded(deviation)}


def _channel_means(values: np.ndarray) -> np.ndarray:
    """The mean over all axes but the first and the last, `(rows, ..., channels)` -> `(rows, channels)`."""
    return values.reshape(len(values), -1, values.shape[-1]).mean(1, dtype=np.float64)


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.5g}") for value in values]


def _distance(statistics: Mapping, mean: np.ndarray) -> float:
    z = (mean - np.asarray(statistics["mean"])) / np.asarray(statistics["deviation"])
    return float(np.sqrt(np.mean(z**2)))


def region_means(features: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each second's mean over regions, `(seconds, channels)`: all that is kept of a window, as files may be long."""
    return {name: _channel_means(values) for name, values in features.items()}


def unlike_training(
    statistics: Mapping[str, Mapping], windows: Iterable[Mapping[str, np.ndarray]], present: Iterable[str]
) -> list[str]:
    """A sentence for each modality in which a file is far from every training video.

    Args:
      statistics: of the model, `ModelInfo.statistics`.
      windows: the file's features, modality -> `(seconds, ..., channels)`, window by window.
      present: the modalities whose stream the file has.
    """
    windows, notes = list(windows), []
    for name in present:
        if name not in statistics:
            continue
        values = np.concatenate([window[name].reshape(-1, window[name].shape[-1]) for window in windows])
        found, largest = _distance(statistics[name], values.mean(0, dtype=np.float64)), statistics[name]["largest"]
        if found > _FAR * largest:
            notes.append(
                f"its {name} features are far outside of those in training (distance {found:.1f}, in training at most "
                f"{largest:.1f}): the result is a guess"
            )
    return notes
