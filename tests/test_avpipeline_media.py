"""Decoding: the right frame and the right sound at known seconds, whatever the container does."""

import os
import resource
import warnings
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
from media_files import (
    burst_times,
    bursts,
    grey_frames,
    shown_index,
    tone,
    write_media,
)

from avpipeline import decoding
from avpipeline.errors import InputError
from avpipeline.media import (
    SAMPLE_RATE,
    list_media,
    probe,
    read_clip,
    read_frames,
    read_waveform,
    write_clip,
)

SIZE = (48, 64)


def constant(count, rate=25):
    return np.arange(count) / rate


def expected_index(times, *, rate, seconds, start=0.0):
    """The definition: the last frame that began at or before the middle of each wanted interval."""
    wanted = start + (np.arange(round(seconds * rate)) + 0.5) / rate
    return (np.searchsorted(np.asarray(times), wanted + 1e-6, side="right") - 1).tolist()


# ------------------------------------------------------------------------------------------ frames


@pytest.mark.parametrize("rate", [25, 16, 10, 50, 29.97])
@pytest.mark.parametrize("name, codec", [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")])
def test_frames_of_a_constant_rate_are_those_shown_at_the_wanted_times(tmp_path, name, codec, rate):
    path = write_media(tmp_path / name, video=codec, times=constant(25))
    frames = read_frames(path, frame_rate=rate, size=SIZE, seconds=1)
    assert frames.shape == (round(rate), *SIZE, 3) and frames.dtype == np.uint8
    assert shown_index(frames) == expected_index(constant(25), rate=rate, seconds=1)


@pytest.mark.parametrize(
    "name, codec",
    [("a.avi", "mpeg4"), ("a.avi", "libx264"), ("a.mp4", "mpeg4"), ("a.mp4", "libx264"), ("a.mkv", "libx264")],
)
def test_frames_stored_in_another_order_are_read_in_the_order_shown(tmp_path, name, codec):
    path = write_media(tmp_path / name, video=codec, times=constant(25), b_frames=2)
    for start in (0.0, 0.4):
        shown = shown_index(read_frames(path, frame_rate=25, size=SIZE, start=start, seconds=0.6))
        assert shown == expected_index(constant(25), rate=25, start=start, seconds=0.6)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_variable_frame_rate_is_read_by_timestamp(tmp_path, name):
    times = [0.0, 0.04, 0.08, 0.5, 0.52, 0.9, 1.4, 1.44, 1.48, 1.52]
    path = write_media(tmp_path / name, video="libx264", times=times)
    expected = expected_index(times, rate=10, seconds=1.5)
    assert expected[:5] == [1, 2, 2, 2, 2] and expected[9:] == [5, 5, 5, 5, 5, 7]  # index / rate would differ
    assert shown_index(read_frames(path, frame_rate=10, size=SIZE, seconds=1.5)) == expected


def test_after_the_last_frame_it_is_held_for_half_a_second_then_zeros(tmp_path):
    path = write_media(tmp_path / "a.mp4", video="libx264", times=constant(10))  # 0.4 s
    clip = read_clip(path, seconds=2, frame_rate=10, size=SIZE)
    assert shown_index(clip.frames[:9]) == [1, 3, 6, 8, 9, 9, 9, 9, 9]  # until second 0.9
    assert not clip.frames[9:].any()
    assert clip.video_seconds == pytest.approx(0.4)


def test_video_that_begins_late_is_placed_late(tmp_path):
    path = write_media(
        tmp_path / "a.mkv", video="libx264", times=1.0 + constant(25), audio="pcm_s16le", samples=tone(2, SAMPLE_RATE)
    )
    clip = read_clip(path, seconds=2, frame_rate=10, size=SIZE)
    assert not clip.frames[:5].any()
    assert shown_index(clip.frames[5:]) == [0] * 5 + expected_index(constant(25), rate=10, seconds=1)
    assert clip.video_seconds == pytest.approx(1.0, abs=0.03)


def test_a_later_start_gives_the_same_frames_as_decoding_from_the_beginning(tmp_path):
    times = constant(30, rate=5)  # 6 s
    options = {"g": "5"}  # a key frame a second, so that a seek lands in the middle
    path = write_media(tmp_path / "a.mp4", video="libx264", times=times, options=options)
    for start in (0.5, 2.0, 3.7, 5.0):
        frames = read_frames(path, frame_rate=10, size=SIZE, start=start, seconds=1)
        assert shown_index(frames) == expected_index(times, rate=10, seconds=1, start=start)


def test_only_the_frames_that_are_needed_are_converted_and_each_once(tmp_path, monkeypatch):
    path = write_media(tmp_path / "a.mp4", video="libx264", times=constant(30))
    converted = []
    real = decoding.VideoReformatter()

    class Counting:
        def reformat(self, frame, *args, **kwargs):
            converted.append(frame.pts)
            return real.reformat(frame, *args, **kwargs)

    monkeypatch.setattr(decoding, "VideoReformatter", Counting)
    read_frames(path, frame_rate=5, size=SIZE, seconds=1)
    assert len(converted) == 5
    converted.clear()
    read_frames(path, frame_rate=100, size=SIZE, seconds=1)
    assert len(converted) == 25 and len(set(converted)) == 25


def test_size_none_keeps_the_videos_own_size_and_a_size_resizes(tmp_path):
    path = write_media(tmp_path / "a.mp4", video="libx264", times=constant(5))
    assert read_frames(path, frame_rate=5, size=None, seconds=0.2).shape == (1, 48, 64, 3)
    assert read_frames(path, frame_rate=5, size=(30, 20), seconds=0.2).shape == (1, 30, 20, 3)


def test_resizing_averages_instead_of_picking_pixels(tmp_path):
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    frames = np.repeat(board.astype(np.uint8)[None, :, :, None], 3, axis=-1)
    write_clip(tmp_path / "a.mp4", frames, None, frame_rate=1)
    small = read_frames(tmp_path / "a.mp4", frame_rate=1, size=(16, 16), seconds=1)
    assert abs(small.astype(int) - 127).max() < 25


def test_pictures_of_a_turned_phone_come_upright(tmp_path):
    stored = np.zeros((4, 48, 64, 3), np.uint8)
    stored[:, :, :32] = 200  # the left half is bright
    path = tmp_path / "a.mp4"
    write_clip(path, stored, None, frame_rate=4)
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    # Shown x = -stored y, shown y = stored x: a quarter turn clockwise, which puts the left half on top.
    content[matrix : matrix + 36] = np.array([0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    path.write_bytes(content)
    for size in (None, (64, 48)):
        frame = read_frames(path, frame_rate=1, size=size, seconds=1)[0]
        assert frame.shape == (64, 48, 3)
        assert frame[:24].mean() > 180 and frame[40:].mean() < 20


def test_colours_survive(tmp_path):
    colours = np.array([[200, 30, 40], [20, 180, 60], [40, 50, 210], [230, 230, 230], [10, 10, 10]])
    frames = np.broadcast_to(colours[:, None, None].astype(np.uint8), (5, 48, 64, 3))
    write_clip(tmp_path / "a.mp4", frames, None, frame_rate=5)
    decoded = read_frames(tmp_path / "a.mp4", frame_rate=5, size=None, seconds=1)
    assert np.abs(decoded.mean(axis=(1, 2)) - colours).max() < 4


# ------------------------------------------------------------------------------------------ sound

# name, codec, sample rate, error of a tone's amplitude, error of a moment in seconds. LAME lowers the sound by 5 %;
# .avi and .ts cannot say that an encoder's first 25 ms are not part of the sound.
FORMATS = [
    ("a.wav", "pcm_s16le", 44100, 1e-3, 0.002),
    ("a.wav", "pcm_s24le", 48000, 1e-3, 0.002),
    ("a.wav", "pcm_f32le", 22050, 1e-3, 0.002),
    ("a.wav", "pcm_u8", 8000, 1e-2, 0.002),
    ("a.flac", "flac", 44100, 1e-3, 0.002),
    ("a.mp3", "libmp3lame", 44100, 4e-2, 0.004),
    ("a.m4a", "aac", 16000, 2e-2, 0.004),
    ("a.ogg", "libopus", 48000, 2e-2, 0.004),
    ("a.ogg", "vorbis", 44100, 2e-2, 0.004),
    ("a.mkv", "libopus", 48000, 2e-2, 0.004),
    ("a.avi", "libmp3lame", 44100, 4e-2, 0.03),
    ("a.ts", "aac", 44100, 2e-2, 0.03),
]


def write_sound(path, codec, samples, rate):
    if codec == "vorbis":  # FFmpeg's own encoder for it is experimental
        soundfile.write(path, samples.T, rate, format="OGG", subtype="VORBIS")
        return path
    return write_media(path, audio=codec, samples=samples, rate=rate)


@pytest.mark.parametrize("name, codec, rate, amplitude_error, _", FORMATS)
def test_a_tone_in_every_format_comes_back_at_16_khz(tmp_path, name, codec, rate, amplitude_error, _):
    path = write_sound(tmp_path / name, codec, tone(1.5, rate), rate)
    waveform = read_waveform(path, seconds=1)
    assert waveform.shape == (SAMPLE_RATE,) and waveform.dtype == np.float32
    inside = waveform[1600:14400].astype(np.float64)  # the codecs settle at their edges
    phase = 2 * np.pi * 440 * np.arange(len(inside)) / SAMPLE_RATE
    waves = np.stack([np.sin(phase), np.cos(phase)])
    parts = waves @ inside / (waves**2).sum(axis=1)
    assert np.hypot(*parts) == pytest.approx(0.5, abs=amplitude_error)
    assert np.abs(inside - parts @ waves).max() < 3e-2


@pytest.mark.parametrize("name, codec, rate, _, time_error", FORMATS)
def test_bursts_in_every_format_are_at_their_seconds(tmp_path, name, codec, rate, _, time_error):
    times = [0.25, 0.7, 1.1]
    path = write_sound(tmp_path / name, codec, bursts(times, 1.5, rate), rate)
    assert burst_times(read_waveform(path, seconds=1.5)) == pytest.approx(times, abs=time_error)


@pytest.mark.parametrize("codec, tolerance", [("pcm_s16le", 1e-4), ("pcm_s24le", 1e-6), ("flac", 1e-4)])
def test_lossless_sound_at_16_khz_is_unchanged(tmp_path, codec, tolerance):
    samples = np.random.default_rng(0).uniform(-1, 1, (1, 5000)).astype(np.float32)
    path = write_media(tmp_path / ("a.flac" if codec == "flac" else "a.wav"), audio=codec, samples=samples)
    np.testing.assert_allclose(read_waveform(path), samples[0], atol=tolerance)


@pytest.mark.parametrize("layout, channels", [("stereo", 2), ("5.1", 6)])
@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le"])
def test_channels_are_averaged(tmp_path, layout, channels, codec):
    samples = np.linspace(0.9, 0.1, channels, dtype=np.float32)[:, None] * tone(0.5, SAMPLE_RATE, gain=1.0)
    path = write_media(tmp_path / "a.wav", audio=codec, samples=samples, layout=layout)
    assert np.abs(read_waveform(path) - samples.mean(axis=0)).max() < 1e-4


def test_a_wav_file_that_names_no_speakers_is_read(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.repeat(tone(0.5, SAMPLE_RATE).T, 3, axis=1), SAMPLE_RATE)
    assert np.abs(read_waveform(tmp_path / "a.wav") - tone(0.5, SAMPLE_RATE)[0]).max() < 1e-4


def test_a_loud_stereo_sound_stays_within_one(tmp_path):
    loud = np.sign(np.repeat(tone(0.5, 44100, gain=1.0), 2, axis=0))
    path = write_media(tmp_path / "a.m4a", audio="aac", samples=loud, rate=44100, layout="stereo")
    assert 0.9 < np.abs(read_waveform(path)).max() <= 1.0


@pytest.mark.parametrize("name, codec", [("a.mkv", "libopus"), ("a.mp4", "aac"), ("a.ts", "aac")])
def test_sound_that_begins_late_is_padded_at_the_front(tmp_path, name, codec):
    rate = 48000
    path = write_media(
        tmp_path / name,
        video="libx264",
        times=constant(50),
        audio=codec,
        samples=bursts([0.1, 0.6], 1.0, rate),
        rate=rate,
        audio_start=0.75,
    )
    clip = read_clip(path, seconds=2, frame_rate=10, size=SIZE)
    assert burst_times(clip.waveform) == pytest.approx([0.85, 1.35], abs=0.03)
    assert not clip.waveform[: int(0.7 * SAMPLE_RATE)].any()
    assert clip.audio_seconds == pytest.approx(1.0, abs=0.06)


def test_second_zero_is_the_start_of_the_container_whatever_its_clock_says(tmp_path):
    samples = bursts([0.3, 0.9], 1.2, 44100)
    path = write_media(
        tmp_path / "a.mkv",
        video="libx264",
        times=5.0 + constant(30),
        audio="pcm_s16le",
        samples=samples,
        rate=44100,
        audio_start=5.0,
    )
    clip = read_clip(path, seconds=1, frame_rate=25, size=SIZE)
    assert shown_index(clip.frames) == list(range(25))
    assert burst_times(clip.waveform) == pytest.approx([0.3, 0.9], abs=0.003)


def test_a_gap_in_the_sound_stays_a_gap(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
        for start in (0.0, 1.0):  # 0.5 s of sound, 0.5 s of nothing, 0.5 s of sound
            frame = av.AudioFrame.from_ndarray(bursts([0.2], 0.5, SAMPLE_RATE), format="fltp", layout="mono")
            frame.sample_rate, frame.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
            frame.pts = round(start * SAMPLE_RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert burst_times(read_waveform(path, seconds=2)) == pytest.approx([0.2, 1.2], abs=0.003)


def test_seconds_none_gives_the_whole_sound_and_a_later_start_the_rest(tmp_path):
    path = write_media(tmp_path / "a.wav", audio="pcm_s16le", samples=bursts([0.3, 2.5], 3.0, 44100), rate=44100)
    assert len(read_waveform(path)) == 3 * SAMPLE_RATE
    rest = read_waveform(path, start=2.0)
    assert abs(len(rest) - SAMPLE_RATE) <= 1 and burst_times(rest) == pytest.approx([0.5], abs=0.002)
    assert burst_times(read_waveform(path, start=0.2, seconds=0.5)) == pytest.approx([0.1], abs=0.002)


@pytest.mark.parametrize("name, codec", [("a.mp4", "aac"), ("a.mkv", "libopus"), ("a.avi", "libmp3lame")])
def test_a_later_start_of_a_video_keeps_sound_and_pictures_together(tmp_path, name, codec):
    video = "mpeg4" if name == "a.avi" else "libx264"
    path = write_media(
        tmp_path / name,
        video=video,
        times=constant(30, rate=5) if name != "a.avi" else constant(150)[:30],
        audio=codec,
        samples=bursts([0.5, 4.5], 6.0, 48000),
        rate=48000,
    )
    start = 4.0
    clip = read_clip(path, seconds=1, frame_rate=5, size=SIZE, start=start)
    assert burst_times(clip.waveform) == pytest.approx([0.5], abs=0.03)
    if name != "a.avi":
        assert shown_index(clip.frames) == expected_index(constant(30, rate=5), rate=5, seconds=1, start=start)


# ------------------------------------------------------------------------------------------ missing and short streams


def test_a_file_without_sound_has_a_flag_and_silence(tmp_path):
    path = write_media(tmp_path / "a.mp4", video="libx264", times=constant(25))
    clip = read_clip(path, seconds=1, frame_rate=4, size=SIZE)
    assert (clip.has_audio, clip.has_video) == (False, True)
    assert clip.waveform.shape == (SAMPLE_RATE,) and not clip.waveform.any() and clip.audio_seconds == 0.0
    assert read_waveform(path) is None


def test_a_file_without_pictures_has_a_flag_and_zeros(tmp_path):
    path = write_media(tmp_path / "a.wav", audio="pcm_s16le", samples=tone(1, SAMPLE_RATE))
    clip = read_clip(path, seconds=2, frame_rate=4, size=SIZE)
    assert (clip.has_audio, clip.has_video) == (True, False)
    assert clip.frames.shape == (8, *SIZE, 3) and not clip.frames.any() and clip.video_seconds == 0.0
    assert clip.waveform.shape == (2 * SAMPLE_RATE,) and clip.audio_seconds == pytest.approx(1.0)
    assert clip.waveform[:SAMPLE_RATE].any() and not clip.waveform[SAMPLE_RATE:].any()
    assert read_frames(path, frame_rate=4, size=SIZE, seconds=1) is None


def test_the_cover_picture_of_a_song_is_not_a_video(tmp_path):
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
    pictures = read_clip(path, seconds=1, frame_rate=4, size=SIZE, audio=False)
    assert len(pictures.waveform) == 0 and pictures.has_audio and pictures.frames.any()
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


# ------------------------------------------------------------------------------------------ bad files


def one_sentence(error, path):
    message = str(error.value)
    assert str(path) in message and "\n" not in message and message.endswith(".")
    return message


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


def test_subtitles_alone_are_neither_sound_nor_pictures(tmp_path):
    path = tmp_path / "a.srt"
    path.write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n")
    with pytest.raises(InputError) as error:
        probe(path)
    assert "neither sound nor pictures" in one_sentence(error, path)


def test_a_start_after_the_end_is_refused(tmp_path):
    path = write_media(tmp_path / "a.wav", audio="pcm_s16le", samples=tone(1, SAMPLE_RATE))
    for start in (1.0, 30.0, -1.0):
        with pytest.raises(InputError) as error:
            read_clip(path, start=start)
        assert "start" in one_sentence(error, path)


# ------------------------------------------------------------------------------------------ writing


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


def test_the_same_clip_is_written_in_the_same_bytes(tmp_path):
    for name in "ab":
        write_clip(tmp_path / f"{name}.mp4", grey_frames(8), tone(1, SAMPLE_RATE)[0], frame_rate=8)
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


# ------------------------------------------------------------------------------------------ lists of files


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


# ------------------------------------------------------------------------------------------ real files

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
