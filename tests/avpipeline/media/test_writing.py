"""Clips that are written: what was written is read again, and a failure leaves nothing."""

import resource

import av
import numpy as np
import pytest

from avpipeline.errors import InputError
from avpipeline.media import SAMPLE_RATE, probe, read_clip, read_frames, read_waveform, write_clip
from tests.helpers.media_files import burst_times, bursts, grey_frames, one_sentence, shown_index, tone


@pytest.mark.parametrize("rate, count", [(16, 40), (29.97, 50), (17.58, 30), (1, 3)])
def test_a_written_clip_is_as_long_as_its_frames(tmp_path, rate, count):
    path = tmp_path / "a.mp4"
    sound = tone(10, SAMPLE_RATE)[0]
    write_clip(path, grey_frames(count, 32, 32) // 8, sound, frame_rate=rate)
    info = probe(path)
    assert info.seconds == pytest.approx(count / rate, abs=0.1)
    assert info.frame_rate == pytest.approx(rate, rel=1e-3)
    with av.open(str(path)) as container:
        names = {stream.type: stream.codec_context.name for stream in container.streams}
        assert names == {"video": "h264", "audio": "aac"}
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
        assert sum(1 for _ in container.decode(video=0)) == count


def test_a_written_clip_decodes_to_what_was_written(tmp_path):
    frames, times = grey_frames(32), [0.2, 1.0, 1.7]
    write_clip(tmp_path / "a.mp4", frames, bursts(times, 2, 44100)[0], frame_rate=16, sample_rate=44100)
    clip = read_clip(tmp_path / "a.mp4", seconds=2, frame_rate=16, size=None)
    assert shown_index(clip.frames) == list(range(32))
    assert np.abs(clip.frames.astype(int) - frames).max() <= 3
    assert burst_times(clip.waveform) == pytest.approx(times, abs=0.003)


def test_short_sound_is_filled_with_silence_and_none_leaves_no_stream(tmp_path):
    write_clip(tmp_path / "a.mp4", grey_frames(32), tone(0.5, SAMPLE_RATE)[0], frame_rate=16)
    waveform = read_waveform(tmp_path / "a.mp4", seconds=2)
    assert np.abs(waveform[:8000]).max() > 0.4 and np.abs(waveform[9600:]).max() < 0.01
    write_clip(tmp_path / "b.mp4", grey_frames(8), None, frame_rate=16)
    assert not probe(tmp_path / "b.mp4").has_audio


def test_odd_sizes_are_filled_up(tmp_path):
    write_clip(tmp_path / "a.mp4", grey_frames(4, 33, 47), None, frame_rate=4)
    frames = read_frames(tmp_path / "a.mp4", frame_rate=4, size=None, seconds=1)
    assert frames.shape == (4, 34, 48, 3) and shown_index(frames) == [0, 1, 2, 3]


def test_a_comment_is_read_as_it_was_written(tmp_path):
    for name, comment in (("a", "some words"), ("b", None)):
        write_clip(tmp_path / f"{name}.mp4", grey_frames(4), None, frame_rate=4, comment=comment)
        assert probe(tmp_path / f"{name}.mp4").comment == comment


def test_the_same_clip_is_written_in_the_same_bytes(tmp_path):
    for name in "ab":
        write_clip(tmp_path / f"{name}.mp4", grey_frames(8), tone(1, SAMPLE_RATE)[0], frame_rate=8, comment="words")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(
    "frames",
    [np.zeros((4, 8, 8), np.uint8), np.zeros((4, 8, 8, 3), np.float32), np.zeros((0, 8, 8, 3), np.uint8)],
)
def test_what_is_not_frames_cannot_be_written(tmp_path, frames):
    with pytest.raises(InputError) as error:
        write_clip(tmp_path / "a.mp4", frames, None, frame_rate=4)
    assert "frames" in one_sentence(error, tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def test_frames_may_come_in_pieces(tmp_path):
    frames = grey_frames(8)
    write_clip(tmp_path / "a.mp4", (frames[first : first + 3] for first in (0, 3, 6)), None, frame_rate=8)
    assert shown_index(read_frames(tmp_path / "a.mp4", frame_rate=8, size=None, seconds=1)) == list(range(8))
    with pytest.raises(InputError) as error:
        write_clip(tmp_path / "b.mp4", iter([]), None, frame_rate=8)
    assert "no frames" in one_sentence(error, tmp_path / "b.mp4")
    assert not (tmp_path / "b.mp4").exists()


def test_an_unwritable_place_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError) as error:
        write_clip(tmp_path / "file" / "a.mp4", grey_frames(4), None, frame_rate=4)
    one_sentence(error, tmp_path / "file")


def test_a_sample_rate_that_aac_does_not_know_is_one_sentence(tmp_path):
    with pytest.raises(InputError) as error:
        write_clip(tmp_path / "a.mp4", grey_frames(4), np.zeros(100), frame_rate=4, sample_rate=12345)
    assert "12345" in one_sentence(error, tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_in_the_middle_leaves_nothing(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 64, 3), dtype=np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(InputError) as error:
            write_clip(tmp_path / "a.mp4", noise, None, frame_rate=8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "cannot be written" in one_sentence(error, tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []
