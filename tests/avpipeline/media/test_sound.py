"""Sound of media files: the right samples at known seconds, whatever container and codec do."""

from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile

from avpipeline.features.registry import build_extractor
from avpipeline.media import SAMPLE_RATE, read_clip, read_waveform
from tests.helpers.media_files import (
    FORMATS,
    SIZE,
    burst_times,
    bursts,
    constant,
    expected_index,
    shown_index,
    tone,
    write_media,
    write_sound,
)


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


def test_seconds_resampled_alone_know_nothing_of_their_neighbours(tmp_path):
    """Another second 1 changes the end of second 0 when the whole stream is resampled, and only then."""
    noise = 0.1 * np.random.default_rng(0).standard_normal((3, 44_100)).astype("f4")
    clips = []
    for name, order in (("a", [0, 1]), ("b", [0, 2])):
        path = write_sound(tmp_path / f"{name}.wav", "pcm_f32le", noise[order].reshape(1, -1), 44_100)
        clips.append([read_clip(path, seconds=2, video=False, by_second=alone).waveform for alone in (False, True)])
    (whole, alone), (other_whole, other_alone) = clips
    np.testing.assert_array_equal(alone[:SAMPLE_RATE], other_alone[:SAMPLE_RATE])
    assert np.abs(whole[SAMPLE_RATE - 50 : SAMPLE_RATE] - other_whole[SAMPLE_RATE - 50 : SAMPLE_RATE]).max() > 1e-3
    assert alone.shape == whole.shape == (2 * SAMPLE_RATE,)
    # Both are the same sound away from the border.
    inside = slice(2000, 14_000)
    assert np.abs(alone[inside] - whole[inside]).std() < 0.1 * whole[inside].std()
    # Of the released maps alone; another variant has no dense layers either, with their hundred million weights.
    assert build_extractor("vggish:conv4_2", "none").clip_format == {"by_second": True}
    assert build_extractor("vggish:pool4", "none").clip_format == {"by_second": False}


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
def test_a_later_start_of_a_video_keeps_sound_and_frames_together(tmp_path, name, codec):
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
