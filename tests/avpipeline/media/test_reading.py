"""Media files: streams that are missing or short, what a file holds, lists of files, real files."""

import os
import warnings
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from avpipeline.errors import InputError
from avpipeline.media import SAMPLE_RATE, MediaInfo, list_media, probe, read_clip, read_frames, read_waveform
from tests.helpers.media_files import SIZE, constant, grey_frames, one_sentence, tone, write_media


def test_a_file_without_sound_has_a_flag_and_silence(tmp_path):
    path = write_media(tmp_path / "a.mp4", video="libx264", times=constant(25))
    clip = read_clip(path, seconds=1, frame_rate=4, size=SIZE)
    assert (clip.has_audio, clip.has_video) == (False, True)
    assert clip.waveform.shape == (SAMPLE_RATE,) and not clip.waveform.any() and clip.audio_seconds == 0.0
    assert read_waveform(path) is None


def test_a_file_without_video_has_a_flag_and_zeros(tmp_path):
    path = write_media(tmp_path / "a.wav", audio="pcm_s16le", samples=tone(1, SAMPLE_RATE))
    clip = read_clip(path, seconds=2, frame_rate=4, size=SIZE)
    assert (clip.has_audio, clip.has_video) == (True, False)
    assert clip.frames.shape == (8, *SIZE, 3) and not clip.frames.any() and clip.video_seconds == 0.0
    assert clip.waveform.shape == (2 * SAMPLE_RATE,) and clip.audio_seconds == pytest.approx(1.0)
    assert clip.waveform[:SAMPLE_RATE].any() and not clip.waveform[SAMPLE_RATE:].any()
    assert read_frames(path, frame_rate=4, size=SIZE, seconds=1) is None


def test_the_cover_image_of_a_song_is_not_a_video(tmp_path):
    path = tmp_path / "a.mp3"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("png", rate=1)
        cover.height, cover.width, cover.pix_fmt = 48, 64, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic.value
        sound = container.add_stream("libmp3lame", rate=SAMPLE_RATE, layout="mono")
        container.mux(cover.encode(av.VideoFrame.from_ndarray(grey_frames(1)[0].copy(), format="rgb24")))
        frame = av.AudioFrame.from_ndarray(tone(1, SAMPLE_RATE), format="fltp", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    assert not probe(path).has_video and probe(path).has_audio


def test_a_stream_that_is_not_asked_for_comes_back_empty(tmp_path):
    path = write_media(
        tmp_path / "a.mp4", video="libx264", times=constant(25), audio="aac", samples=tone(1, SAMPLE_RATE)
    )
    silent = read_clip(path, seconds=1, frame_rate=4, size=SIZE, audio=False)
    assert len(silent.waveform) == 0 and silent.has_audio and silent.frames.any()
    sound = read_clip(path, seconds=1, frame_rate=4, size=SIZE, video=False)
    assert len(sound.frames) == 0 and sound.has_video and sound.waveform.any()


def test_a_full_clip_tells_its_whole_length(tmp_path):
    path = write_media(
        tmp_path / "a.mp4", video="libx264", times=constant(30), audio="aac", samples=tone(1.2, SAMPLE_RATE)
    )
    clip = read_clip(path, seconds=1, frame_rate=2, size=SIZE)
    assert (clip.audio_seconds, clip.video_seconds) == (1.0, 1.0)


def test_probe_tells_what_is_there(tmp_path):
    path = write_media(
        tmp_path / "a.mkv",
        video="libx264",
        times=constant(50),
        audio="libopus",
        samples=np.repeat(tone(2, 48000), 2, axis=0),
        rate=48000,
        layout="stereo",
    )
    info = probe(path)
    assert (info.has_audio, info.has_video, info.width, info.height) == (True, True, 64, 48)
    assert (info.sample_rate, info.channels, info.frame_rate) == (48000, 2, 25.0)
    assert info.seconds == pytest.approx(2.0, abs=0.03)


def test_a_folder_is_listed_with_its_subfolders_sorted(tmp_path):
    for name in ("b.MP4", "sub/c.wav", "a.mkv", "notes.txt", ".hidden.mp4", ".cache/d.mp4", "z.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list_media(tmp_path) == [tmp_path / "a.mkv", tmp_path / "b.MP4", tmp_path / "sub" / "c.wav"]


def test_a_list_file_is_relative_to_itself(tmp_path):
    listing = tmp_path / "list.txt"
    listing.write_bytes(b"\xef\xbb\xbfclips/a.mp4\r\n\r\n/data/b b.mp4 \r\n")
    assert [str(path) for path in list_media(listing)] == [str(tmp_path / "clips/a.mp4"), "/data/b b.mp4"]


def test_one_file_is_a_list_of_one(tmp_path):
    (tmp_path / "a.webm").touch()
    assert list_media(tmp_path / "a.webm") == [tmp_path / "a.webm"]


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "no media file"),
        (lambda path: path.write_text("\n \n"), "lists no file"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00a\x80"), "list of files"),
    ],
)
def test_a_source_without_media_is_one_sentence(tmp_path, make, words):
    path = tmp_path / "source.txt"
    make(path)
    with pytest.raises(InputError) as error:
        list_media(path)
    assert words in one_sentence(error, path)


REAL = {
    # name: (audio, video, frame rate, width, height, sample rate, channels, seconds)
    "0lFf-HP86Q0.mp4": (True, True, 17.58, 320, 240, 44100, 1, 10.05),
    "16eUxQwxxbs.mp4": (True, True, 29.92, 640, 360, 44100, 2, 10.03),
    "BjCEufrlXm4.mp4": (True, True, 29.92, 320, 240, 44100, 2, 10.03),
    "FwVYUHKoLtQ_000034.wav": (True, False, None, None, None, 16000, 1, 10.0),
    "kbd_violin1.wav": (True, False, None, None, None, 44100, 2, 2.3),
    "ibm_dog.wav": (True, False, None, None, None, 44100, 2, 11.0),
    "Baby_cry_1-60997-B.mp3": (True, False, None, None, None, 44100, 1, 5.02),
    "mmaction2_test.avi": (True, True, 25.0, 320, 240, 44100, 2, 6.56),
    "mmaction2_demo.mp4": (False, True, 28.0, 340, 256, None, None, 10.0),
    "decord_flipping_a_pancake.mkv": (True, True, 30.0, 426, 240, 48000, 1, 10.38),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_probed_and_read(reference_dir, name):
    path = reference_dir / "media" / name
    if not path.exists():
        pytest.skip(f"{name} is not in {path.parent}")
    audio, video, rate, width, height, sample_rate, channels, seconds = REAL[name]
    info = probe(path)
    assert (info.has_audio, info.has_video) == (audio, video)
    assert (info.width, info.height, info.sample_rate, info.channels) == (width, height, sample_rate, channels)
    assert info.frame_rate == (rate and pytest.approx(rate, abs=0.01))
    assert info.seconds == pytest.approx(seconds, abs=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clip = read_clip(path, seconds=10, frame_rate=4, size=(64, 64))
    assert clip.waveform.any() == audio and clip.frames.any() == video
    assert clip.audio_seconds == (pytest.approx(min(seconds, 10), abs=0.03) if audio else 0)
    assert clip.video_seconds == (pytest.approx(min(seconds, 10), abs=0.05) if video else 0)


def test_a_real_wav_file_is_what_another_library_reads(reference_dir):
    path = reference_dir / "media" / "FwVYUHKoLtQ_000034.wav"
    if not path.exists():
        pytest.skip(f"{path.name} is not in {path.parent}")
    expected, rate = soundfile.read(path, dtype="float32")
    assert rate == SAMPLE_RATE
    np.testing.assert_allclose(read_waveform(path), expected, atol=1e-7)


def test_a_pipe_is_no_missing_file(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    os.mkfifo(tmp_path / "list.txt")
    for name in ("a.mp4", "list.txt"):
        with pytest.raises(InputError, match=f"{name}: cannot be read, since it is a pipe"):
            list_media(tmp_path / name)


@pytest.mark.parametrize(("width", "height", "small"), [(16, 9, 284), (16384, 2, 1280), (2, 16384, 1)])
def test_small_frames_of_very_wide_ones_stay_small(width, height, small):
    about = MediaInfo(Path("a.mp4"), 1.0, False, True, 25.0, width, height, None, None, None)
    assert about.size_at(160) == (160, small)
