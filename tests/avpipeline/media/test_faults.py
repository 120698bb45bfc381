"""Files that are no media, broken off or empty: one sentence, or what is there and a warning."""

import os
import warnings

import numpy as np
import pytest

from avpipeline.errors import InputError
from avpipeline.media import SAMPLE_RATE, probe, read_clip, read_frames, read_waveform
from tests.helpers.media_files import FORMATS, SIZE, constant, one_sentence, shown_index, tone, write_media, write_sound

READERS = [probe, read_waveform, read_clip, lambda path: read_frames(path, frame_rate=1, size=SIZE, seconds=1)]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "make, words",
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "folder"),
        (lambda path: path.write_bytes(b""), "0 bytes"),
        (lambda path: path.write_text("Not a film at all.\n" * 50), "not a media file"),
        (lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)), "not a media file"),
    ],
)
def test_what_is_not_media_is_refused_in_one_sentence(tmp_path, read, make, words):
    path = tmp_path / "a.mp4"
    make(path)
    with pytest.raises(InputError) as error:
        read(path)
    assert words in one_sentence(error, path)


def test_a_deleted_working_folder_does_not_blame_a_file(tmp_path, monkeypatch):
    """A whole path still leads to its file; a relative one leads nowhere, not into the folder of an earlier request."""
    path = write_media(tmp_path / "a.wav", audio="pcm_s16le", samples=tone(1, 16_000))
    monkeypatch.chdir(tmp_path)
    assert probe("a.wav").has_audio
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert probe(path).has_audio
    with pytest.raises(InputError, match="a.wav: there is no such file"):
        probe("a.wav")


def cut_to_half(path):
    os.truncate(path, path.stat().st_size // 2)


def test_an_mp4_whose_index_is_cut_off_is_refused(tmp_path):
    path = write_media(tmp_path / "a.mp4", video="libx264", times=constant(30))
    cut_to_half(path)
    with pytest.raises(InputError) as error:
        read_clip(path)
    assert "cut off" in one_sentence(error, path)


@pytest.mark.parametrize(
    "name, video, audio, options",
    [
        ("a.mp4", "libx264", "aac", {"movflags": "+faststart"}),
        ("a.mkv", "libx264", "libopus", {}),
        ("a.avi", "mpeg4", "libmp3lame", {}),
        ("a.wav", None, "pcm_s24le", {}),
        ("a.flac", None, "flac", {}),
    ],
)
def test_a_file_that_breaks_off_gives_what_is_there_and_a_warning(tmp_path, name, video, audio, options):
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 3 * 48000)).astype(np.float32)
    path = write_media(
        tmp_path / name, video=video, times=constant(30, 10), audio=audio, samples=noise, rate=48000, options=options
    )
    whole = read_clip(path, seconds=3, frame_rate=5, size=SIZE)
    cut_to_half(path)
    with pytest.warns(UserWarning, match=f"{name}: is damaged or cut off"):
        clip = read_clip(path, seconds=3, frame_rate=5, size=SIZE)
    assert 0.5 < clip.audio_seconds < 2.5
    there = round((clip.audio_seconds - 0.1) * SAMPLE_RATE)
    np.testing.assert_allclose(clip.waveform[:there], whole.waveform[:there], atol=1e-6)
    assert not clip.waveform[round((clip.audio_seconds + 0.1) * SAMPLE_RATE) :].any()
    if video:
        there = int(clip.video_seconds * 5)
        assert 0 < clip.video_seconds < 2.9
        assert shown_index(clip.frames[:there]) == shown_index(whole.frames[:there])


def test_whole_files_give_no_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, codec, rate, *_ in FORMATS:
            write_sound(tmp_path / name, codec, tone(1.0, rate), rate)
            read_clip(tmp_path / name, seconds=3)


def test_an_mp4_with_an_index_and_no_data_is_refused(tmp_path):
    path = write_media(
        tmp_path / "a.mp4", video="libx264", times=constant(30), options={"movflags": "+faststart"}
    )
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"mdat") + 8])
    with pytest.raises(InputError) as error:
        read_clip(path)
    assert "nothing in it can be decoded" in one_sentence(error, path)


def test_subtitles_alone_are_neither_sound_nor_video(tmp_path):
    path = tmp_path / "a.srt"
    path.write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n")
    with pytest.raises(InputError) as error:
        probe(path)
    assert "neither sound nor video" in one_sentence(error, path)


def test_a_start_after_the_end_is_refused(tmp_path):
    path = write_media(tmp_path / "a.wav", audio="pcm_s16le", samples=tone(1, SAMPLE_RATE))
    for start in (1.0, 30.0, -1.0):
        with pytest.raises(InputError) as error:
            read_clip(path, start=start)
        assert "start" in one_sentence(error, path)
