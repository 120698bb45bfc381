"""Hostile and odd media: bounded, read right, and never the end of the program."""

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from avpipeline.errors import InputError
from avpipeline.media import probe, processes, read_clip, read_frames, read_waveform, tfio, write_clip
from tests.avpipeline.media.test_tfio import needs_tensorflow_io
from tests.helpers.media_files import SIZE, constant, one_sentence, tone, write_media
from tests.helpers.wav_files import VARIANTS, sine, write_wav


def refused(path, words: str, read=read_clip) -> None:
    started = time.monotonic()
    with pytest.raises(InputError, match=words) as error:
        read(path)
    one_sentence(error, path)
    assert time.monotonic() - started < 20


# Sound


@pytest.mark.parametrize("kind", VARIANTS)
def test_every_wav_is_read_right_and_called_whole(tmp_path, kind):
    path = write_wav(tmp_path / "a.wav", sine(), **VARIANTS[kind])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clip = read_clip(path, seconds=2, video=False)
    assert probe(path).seconds == pytest.approx(1, abs=0.01)
    assert clip.audio_seconds == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(clip.waveform[:16000], sine()[:, 0] / 32768, atol=1e-6)


@needs_tensorflow_io
def test_tensorflow_io_reads_the_same_of_every_wav(tmp_path):
    paths = [write_wav(tmp_path / f"{n}.wav", sine(), **how) for n, how in enumerate(VARIANTS.values())]
    for kind, clip in zip(VARIANTS, tfio.read_clips(paths, seconds=1, workers=2), strict=True):
        assert not isinstance(clip, InputError), (kind, clip)
        np.testing.assert_allclose(clip.waveform, sine()[:, 0] / 32768, atol=1e-4, err_msg=kind)


def test_a_wav_that_states_more_than_it_has_is_called_cut_off(tmp_path):
    path = write_wav(tmp_path / "a.wav", sine(), data_size=64000)
    with pytest.warns(UserWarning, match="32000 bytes are missing"):
        assert read_clip(path, seconds=2, video=False).audio_seconds == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("rate", [0, 1, 7, 100, 3999, 384_001, 2**31 - 1])
def test_sample_rates_have_bounds(tmp_path, rate):
    path = write_wav(tmp_path / "a.wav", sine(), rate=rate)
    for read in (probe, read_clip, read_waveform):
        refused(path, "4000 to 384000 Hz|not a media file|cannot be decoded", read)


@pytest.mark.parametrize("rate", [4000, 384_000])
def test_the_bounds_themselves_are_read(tmp_path, rate):
    path = write_wav(tmp_path / "a.wav", sine(rate), rate=rate)
    assert read_waveform(path).shape == (16000,)


@pytest.mark.parametrize("channels", [8, 9, 32, 64])
def test_many_channels_are_averaged(tmp_path, channels):
    path = write_wav(tmp_path / "a.wav", sine(channels=channels))
    np.testing.assert_allclose(read_waveform(path), sine()[:, 0] / 32768, atol=1e-6)


def test_more_channels_than_any_recording(tmp_path):
    refused(write_wav(tmp_path / "a.wav", sine(100, 65)), "65 channels|not a media file")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers(tmp_path, value):
    samples = tone(1, 16000).T.copy()
    samples[5000] = value
    refused(write_wav(tmp_path / "a.wav", samples), "NaN or infinite samples")


def test_the_default_track_is_heard_not_the_first(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        tracks = [container.add_stream("pcm_s16le", rate=16000, layout="mono") for _ in range(2)]
        tracks[0].disposition, tracks[1].disposition = av.stream.Disposition(0), av.stream.Disposition.default
        for track, level in zip(tracks, (0.1, 0.5), strict=True):
            samples = np.full((1, 16000), level, np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, 0
            for packet in [*track.encode(frame), *track.encode(None)]:
                container.mux(packet)
    assert read_waveform(path)[8000] == pytest.approx(0.5, abs=1e-3)


def test_a_cover_picture_is_no_video_and_never_hangs(tmp_path):
    path = tmp_path / "a.mp3"
    with av.open(str(path), "w", format="mp3") as container:
        sound = container.add_stream("libmp3lame", rate=44100, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.height, cover.width, cover.pix_fmt = 48, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        image = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
        image.pts = 0
        for packet in [*cover.encode(image), *cover.encode(None)]:
            container.mux(packet)
        frame = av.AudioFrame.from_ndarray(tone(1, 44100), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, 0
        for packet in [*sound.encode(frame), *sound.encode(None)]:
            container.mux(packet)
    about, started = probe(path), time.monotonic()
    clip = read_clip(path, seconds=2, frame_rate=1, size=SIZE)
    assert time.monotonic() - started < 10
    assert (about.has_audio, about.has_video, clip.has_video) == (True, False, False)
    assert clip.audio_seconds == pytest.approx(1, abs=0.1)


# Frames and time


def oriented(path, a, b, c, d):
    """A video whose upper left quarter is bright, shown through a display matrix."""
    stored = np.zeros((4, 64, 64, 3), np.uint8)
    stored[:, :32, :32] = 200
    write_clip(path, stored, None, frame_rate=4)
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    numbers = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
    content[matrix : matrix + 36] = np.array(numbers, ">i4").tobytes()
    path.write_bytes(content)
    frame = read_frames(path, frame_rate=1, size=None, seconds=1)[0].mean(-1)
    quarters = frame.reshape(2, 32, 2, 32).mean((1, 3))
    return np.unravel_index(quarters.argmax(), (2, 2))


@pytest.mark.parametrize(
    "matrix, bright",
    [
        ((1, 0, 0, 1), (0, 0)),
        ((-1, 0, 0, 1), (0, 1)),  # mirrored
        ((1, 0, 0, -1), (1, 0)),  # upside down in a mirror
        ((-1, 0, 0, -1), (1, 1)),  # half a turn
        ((0, 1, -1, 0), (0, 1)),  # a quarter turn clockwise
        ((0, -1, 1, 0), (1, 0)),  # and back
        ((0, 1, 1, 0), (0, 0)),  # rows and columns exchanged
        ((0, -1, -1, 0), (1, 1)),
    ],
)
def test_turned_and_mirrored_videos_come_as_they_are_shown(tmp_path, matrix, bright):
    assert oriented(tmp_path / "a.mp4", *matrix) == bright


def test_timestamps_that_jump_are_refused(tmp_path):
    jump = write_media(tmp_path / "a.mkv", video="libx264", times=[*constant(10), 700.0])
    refused(jump, "timestamps jump")
    day = write_media(tmp_path / "b.mkv", video="libx264", times=[0.0, 0.04, 90_000.0])
    for read in (probe, read_clip):
        refused(day, "90000 s by its timestamps where at most 86400 s", read)
    slow = write_media(tmp_path / "c.mkv", video="libx264", times=[0.0, 100_000.0, 200_000.0])
    refused(slow, "200000 s by its timestamps", probe)


def test_what_would_not_fit_into_memory(tmp_path):
    path = write_media(tmp_path / "a.mp4", video="libx264", times=constant(5))
    refused(path, "more than 2 GB at once", lambda path: read_clip(path, seconds=3600, frame_rate=16))
    for seconds in (float("nan"), 0, -1):
        refused(path, "seconds above 0", lambda path, seconds=seconds: read_clip(path, seconds=seconds))


# Processes


def test_a_playlist_opens_no_other_file(tmp_path):
    write_media(tmp_path / "a.ts", video="libx264", times=constant(25))
    (tmp_path / "a.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n")
    (tmp_path / "b.mp4").write_text(f"ffconcat version 1.0\nfile {tmp_path / 'a.ts'}\n")
    for name in ("a.mp4", "b.mp4"):
        refused(tmp_path / name, "not a media file")


def test_an_image_is_a_video_of_one_frame_and_stands_for_no_other_files(tmp_path):
    for name, grey in (("a%d.jpg", 0), ("a1.jpg", 200), ("a2.png", 50)):
        Image.fromarray(np.full((32, 48, 3), grey, np.uint8)).save(tmp_path / name)
    for name, grey in (("a%d.jpg", 0), ("a2.png", 50)):
        assert (read_frames(tmp_path / name, frame_rate=1, size=None, seconds=1) == grey).all()


def test_a_pipe_is_no_media_file(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    for read in (probe, read_clip, read_waveform):
        refused(tmp_path / "a.mp4", "a pipe or a device", read)


@pytest.fixture
def own_processes():
    """No process of another test is used or left."""
    processes._end_all()
    yield
    processes._end_all()


def _started() -> processes._Process:
    return processes._idle[0]


def test_the_death_of_a_decoder_is_one_files_error(tmp_path, own_processes):
    path = write_wav(tmp_path / "a.wav", sine())
    assert probe(path).has_audio
    process = _started()

    def kill(frame):
        process._process.kill()
        process._process.wait()
        return frame

    video = write_media(tmp_path / "a.mp4", video="libx264", times=constant(25))
    dying = lambda path: read_frames(path, frame_rate=5, size=SIZE, seconds=1, transform=kill)  # noqa: E731
    refused(video, r"its decoder ended abruptly \(SIGKILL\)", dying)
    assert read_waveform(path).shape == (16000,)
    assert _started() is not process


def test_a_decoder_that_stands_still_is_given_up(tmp_path, own_processes):
    path = write_wav(tmp_path / "a.wav", sine())
    impatient = processes._Process(patience=1)
    os.kill(impatient._process.pid, signal.SIGSTOP)
    processes._idle.append(impatient)
    refused(path, "made no progress for 1 s", read_waveform)
    assert impatient._process.poll() is not None and not processes._idle
    assert read_waveform(path).shape == (16000,)


def test_a_process_is_used_again_and_does_without_tensorflow(tmp_path, own_processes):
    path = write_wav(tmp_path / "a.wav", sine())
    for _ in range(3):
        refused(tmp_path / "none.wav", "no such file")
        read_waveform(path)
    assert len(processes._idle) == 1
    maps = Path(f"/proc/{_started()._process.pid}/maps").read_text()
    assert "tensorflow" not in maps and "av" in maps


def test_a_program_that_ends_leaves_no_process(tmp_path):
    path = write_wav(tmp_path / "a.wav", sine())
    code = (
        "import sys; from avpipeline.media import processes, probe; probe(sys.argv[1]);"
        "print(processes._idle[0]._process.pid)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert not os.path.exists(f"/proc/{int(done.stdout)}")
