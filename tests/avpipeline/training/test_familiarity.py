"""A file far from every training video is said to be so."""

import numpy as np
import pytest
import tensorflow as tf

from avpipeline.datasets.base import ArraySource, Split, Stream
from avpipeline.features.info import FeatureInfo
from avpipeline.training.familiarity import feature_statistics, unlike_training

INFO = {"audio": FeatureInfo("small_audio", "embedding", "none", "", (2,))}


@pytest.fixture(scope="module")
def statistics():
    # Two segments a video: the means over them are (1, 0), (3, 0), (1, 2), (3, 2).
    rows = np.array([[[0, 0], [2, 0]], [[3, 0], [3, 0]], [[1, 2], [1, 2]], [[3, 4], [3, 0]]], "f4")
    split = Split("csv", "train", tuple("abcd"), ("x",), {"audio": ArraySource(rows)}, np.ones((4, 1)), INFO)
    return feature_statistics(split, INFO)


def test_statistics_of_channels(statistics):
    # From the others a corner of the square has z-scores of sqrt(2) twice: they have the mean (7, 4) / 3 where it is at
    # (1, 0), and the deviation sqrt(8) / 3.
    assert statistics == {"audio": {"mean": [2, 1], "deviation": [1, 1], "largest": pytest.approx(2**0.5, abs=1e-3)}}


def test_frames_and_waveforms_are_no_features():
    rows = ArraySource(np.zeros((4, 16000), "f4"))
    info = {"audio": FeatureInfo("waveform", "16000 Hz", "none", "", (16000,))}
    split = Split("csv", "train", tuple("abcd"), ("x",), {"audio": rows}, np.ones((4, 1)), info)
    assert feature_statistics(split, info) == {}


def test_far_and_near(statistics):
    near, far = ({"audio": np.array([[value, 1]] * 3, "f4")} for value in (4, 6))
    assert unlike_training(statistics, [near], ["audio"]) == []  # z (2, 0): distance 1.41
    (note,) = unlike_training(statistics, [far], ["audio"])  # z (4, 0): distance 2.83
    assert note.startswith("its audio features are far outside of those in training (distance 2.8, in")


def test_windows_count_together_and_missing_streams_do_not(statistics):
    windows = [{"audio": np.array([[-3.0, 1]])}, {"audio": np.array([[7.0, 1]])}]
    assert unlike_training(statistics, windows, ["audio"]) == []
    assert unlike_training(statistics, windows, []) == []
    assert unlike_training({}, windows, ["audio"]) == []


@pytest.mark.parametrize("padded", [False, True])
def test_statistics_of_videos_that_are_read_file_by_file(statistics, padded):
    """The first videos' means over their tokens are those of `statistics`; padding behind frames does not count."""
    tokens = np.array([[[0, 0], [2, 0]], [[3, 0], [3, 0]], [[1, 2], [1, 2]], [[3, 4], [3, 0]]], "f4")
    inputs = {"audio": tf.constant(np.pad(tokens, [(0, 0), (0, 3 * padded), (0, 0)]))}
    if padded:
        inputs["num_frames"] = tf.constant([2] * 4)
    stream = Stream("youtube8m", "train", ("x",), INFO, 4, lambda batch: [(inputs, None)])
    assert feature_statistics(stream, INFO) == statistics
