"""Windows of a file are the clips that `read_clip` returns for each, from fewer passes over the frames."""

import numpy as np
import pytest

from avpipeline import media
from avpipeline.errors import InputError
from avpipeline.media import read_clip, windows
from tests.helpers.counting import calls_of

FORM = {"frame_rate": 4, "size": (16, 16)}
SPANS = [(0, 2), (2, 2), (4, 2), (6, 2), (8, 1)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """8.5 s in which every frame differs; the only keyframe is the first."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (85, 4, 4, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    path = tmp_path_factory.mktemp("windows") / "clip.mp4"
    media.write_clip(path, frames, rng.normal(0, 0.1, 85 * 1600), frame_rate=10)
    return path


def assert_same(found, path, **changes):
    assert len(found) == len(SPANS)
    for (start, seconds), own in zip(SPANS, found, strict=True):
        expected = media.read_clip(path, start=start, seconds=seconds, **FORM, **changes)
        np.testing.assert_array_equal(own.frames, expected.frames)
        np.testing.assert_array_equal(own.waveform, expected.waveform)
        assert (own.seconds, own.has_audio, own.has_video) == (seconds, expected.has_audio, expected.has_video)
        assert own.video_seconds == pytest.approx(expected.video_seconds, abs=1e-6)
        assert own.audio_seconds == expected.audio_seconds


@pytest.mark.parametrize(("at_once", "passes"), [(4, 3), (100, 1), (1, 5)])
def test_windows_are_clips_from_fewer_passes(clip, at_once, passes):
    """4, 100 and 1 seconds of frames fit into a block; besides its passes, the sound of each window is read."""
    found, most = [], at_once * 4 * 16 * 16 * 3

    def read():
        found.extend(windows._in_blocks(clip, SPANS, True, FORM, most))

    assert calls_of(read_clip, read) == passes + len(SPANS)
    assert_same(found, clip)


def test_a_short_file_takes_one_pass(clip):
    assert calls_of(read_clip, lambda: list(media.read_windows(clip, SPANS, **FORM))) == 1 + len(SPANS)


@pytest.mark.parametrize("missing", [{"audio": False}, {"video": False}])
def test_a_stream_that_is_not_asked_for(clip, missing):
    assert_same(list(media.read_windows(clip, SPANS, **FORM, **missing)), clip, **missing)


def test_a_file_that_lacks_a_stream(clip, tmp_path):
    media.write_clip(tmp_path / "silent.mp4", media.read_frames(clip, **FORM, seconds=9), None, frame_rate=4)
    assert_same(list(media.read_windows(tmp_path / "silent.mp4", SPANS, **FORM)), tmp_path / "silent.mp4")


def test_what_cannot_be_read_is_refused_as_by_read_clip(tmp_path):
    (tmp_path / "no.mp4").write_bytes(b"no video" * 99)
    with pytest.raises(InputError, match="is not a media file"):
        list(media.read_windows(tmp_path / "no.mp4", SPANS, **FORM))
