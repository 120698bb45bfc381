"""Windows of a file are the clips that `read_clip` returns for each, from fewer passes over the frames."""

import threading
import time

import numpy as np
import pytest

from avpipeline import media
from avpipeline.errors import InputError
from avpipeline.media import windows
from tests.helpers.media_files import tone, write_media

FORM = {"frame_rate": 4, "size": (16, 16)}
# So many large frames that only two seconds of them fit into a block.
LARGE = {"frame_rate": 30, "size": (512, 512)}
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


@pytest.mark.parametrize(("at_once", "passes"), [(4, [2, 2, 1]), (100, [5]), (1, [1] * 5)])
def test_windows_are_clips_from_fewer_passes(clip, monkeypatch, at_once, passes):
    """4, 100 and 1 seconds of frames fit into a block; its sound comes from the same pass."""
    monkeypatch.setattr(windows, "_BLOCK_BYTES", at_once * 4 * 16 * 16 * 3)
    read, adjoining = [], windows.read_adjoining

    def counted(path, stretches, **arguments):
        read.append(len(stretches))
        return adjoining(path, stretches, **arguments)

    monkeypatch.setattr(windows, "read_adjoining", counted)
    assert_same(list(media.read_windows(clip, SPANS, **FORM)), clip)
    assert read == passes


@pytest.mark.parametrize(
    ("name", "video", "codec"),
    [
        ("a.mkv", "libx264", "pcm_s16le"),
        ("a.mkv", "libx264", "flac"),
        ("a.mkv", "libx264", "libopus"),
        ("a.ts", "libx264", "aac"),
        ("a.mp4", "libx264", "aac"),
        ("a.avi", "mpeg4", "libmp3lame"),
        ("a.wav", None, "pcm_s16le"),
        ("a.mp3", None, "libmp3lame"),
    ],
)
def test_sound_is_that_of_each_window_alone(tmp_path, name, video, codec):
    """At 48 kHz, so that it is resampled; that of the videos ends in the last window but one."""
    sound = tone(7 if video else 9, 48000, frequency=100.0)
    sound *= np.linspace(0.2, 1, sound.size, dtype=np.float32)
    path = write_media(tmp_path / name, video=video, times=np.arange(225) / 25, audio=codec, samples=sound, rate=48000)
    whole = media.read_waveform(path, seconds=9)
    for (start, seconds), own in zip(SPANS, media.read_windows(path, SPANS, **FORM), strict=True):
        expected = media.read_clip(path, start=start, seconds=seconds, **FORM)
        np.testing.assert_array_equal(own.frames, expected.frames)
        assert own.audio_seconds == pytest.approx(expected.audio_seconds, abs=2e-3)
        # Each is resampled from its own first frame on, so it may be off by half a sample.
        inside = own.waveform[: round(own.audio_seconds * media.SAMPLE_RATE) - 200]
        np.testing.assert_allclose(inside, whole[start * media.SAMPLE_RATE :][: len(inside)], atol=1e-2)
        # What a lossy codec decodes depends on what was decoded before, and Matroska rounds the times of its packets.
        if codec in ("pcm_s16le", "flac"):
            np.testing.assert_array_equal(own.waveform, expected.waveform)


def test_a_file_that_is_cut_off_says_so(clip, tmp_path):
    whole = write_media(
        tmp_path / "a.mkv", video="libx264", times=np.arange(225) / 25, audio="flac", samples=tone(9, 16000)
    )
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 4])
    with pytest.warns(UserWarning, match="cut.mkv: is damaged or cut off"):
        found = list(media.read_windows(tmp_path / "cut.mkv", SPANS, **FORM))
    assert found[0].audio_seconds == 2 and found[-1].audio_seconds == 0


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


@pytest.mark.parametrize("form", [FORM, LARGE])
def test_a_window_after_the_end_is_refused_in_its_turn(clip, form):
    """In one block with the windows before it, and in a block that is decoded beside theirs."""
    found = media.read_windows(clip, [(6, 2), (8, 2), (10, 2)], **form)
    assert [next(found).seconds, next(found).seconds] == [2, 2]
    with pytest.raises(InputError, match="ends at .* before the requested start .10.00 s."):
        next(found)


def test_one_window_and_none(clip):
    assert [found.seconds for found in media.read_windows(clip, SPANS[:1], **FORM)] == [2]
    assert list(media.read_windows(clip, [], **FORM)) == []


def test_two_blocks_are_decoded_at_once_and_no_thread_stays(clip):
    before, both = set(threading.enumerate()), threading.Barrier(2, timeout=30)

    def negative(frame):
        both.wait()
        return 255 - resized(frame)

    def resized(frame):
        return frame.repeat(16, 0).repeat(16, 1)

    found = media.read_windows(clip, SPANS[:2], transform=negative, **LARGE)
    plain = media.read_windows(clip, SPANS[:2], transform=resized, **LARGE)
    for ours, expected in zip(found, plain, strict=True):
        np.testing.assert_array_equal(ours.frames, 255 - expected.frames)
    for _ in media.read_windows(clip, SPANS, **LARGE):
        break
    end = time.monotonic() + 30
    while set(threading.enumerate()) - before and time.monotonic() < end:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before


@pytest.mark.parametrize("name, codec", [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")])
def test_large_frames_which_several_threads_decode(tmp_path, name, codec):
    path = write_media(tmp_path / name, video=codec, times=np.arange(30) / 10, size=(720, 1280), b_frames=2)
    spans = [(0, 1), (1, 1), (2, 1)]
    for (start, seconds), own in zip(spans, media.read_windows(path, spans, audio=False, **FORM), strict=True):
        expected = media.read_clip(path, start=start, seconds=seconds, audio=False, **FORM)
        np.testing.assert_array_equal(own.frames, expected.frames)
        assert len({frame.mean().round() for frame in own.frames}) == len(own.frames)
