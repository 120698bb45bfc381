"""Decoding inside tf.data agrees with PyAV's; every file it cannot take is named in a sentence."""

import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avpipeline.errors import InputError
from avpipeline.media import SAMPLE_RATE, Clip, read_clip, tfio
from tests.helpers.media_files import bursts, tone, write_media


def available() -> bool:
    try:
        tfio.tensorflow_io()
    except InputError:
        return False
    return True


needs_tensorflow_io = pytest.mark.skipif(not available(), reason="tensorflow-io does not work with this TensorFlow")


def noise(channels=2, samples=4000) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (channels, samples)).astype(np.float32)


def decoded(*paths, seconds=1) -> list[Clip | InputError]:
    return list(tfio.read_clips(paths, seconds=seconds, workers=2))


def assert_same(clip: Clip, path, *, atol: float, ends: int = 0) -> None:
    """As the other reader gives it; decoders of lossy files differ by some samples at the `ends`."""
    expected = read_clip(path, seconds=clip.seconds, video=False)
    inside = slice(ends, len(clip.waveform) - ends)
    np.testing.assert_allclose(clip.waveform[inside], expected.waveform[inside], atol=atol)
    assert clip.waveform.dtype == np.float32 and clip.waveform.any()
    assert clip.audio_seconds == pytest.approx(expected.audio_seconds, abs=0.02)
    for name in ("path", "seconds", "has_audio", "has_video", "video_seconds"):
        assert getattr(clip, name) == getattr(expected, name), name


@needs_tensorflow_io
@pytest.mark.parametrize(
    "subtype, name",
    [("PCM_U8", "a.wav"), ("PCM_16", "a.wav"), ("PCM_24", "a.wav"), ("FLOAT", "a.wav")]
    + [("PCM_16", "a.flac"), ("PCM_24", "a.flac")],
)
@pytest.mark.parametrize("rate, channels", [(16000, 1), (44100, 2)])
def test_lossless_files_of_every_width(tmp_path, subtype, name, rate, channels):
    soundfile.write(tmp_path / name, 0.5 * noise(channels, rate // 4).T, rate, subtype=subtype)
    (clip,) = decoded(tmp_path / name)
    assert_same(clip, tmp_path / name, atol=1e-4)


@needs_tensorflow_io
@pytest.mark.parametrize("rate", [16000, 44100])
def test_mp3_and_vorbis(tmp_path, rate):
    sound = np.concatenate([bursts([0.2, 0.6], 1.0, rate), tone(1.0, rate)])
    write_media(tmp_path / "a.mp3", audio="libmp3lame", samples=sound, rate=rate, layout="stereo")
    soundfile.write(tmp_path / "a.ogg", sound.T, rate, format="OGG", subtype="VORBIS")
    for clip in decoded(tmp_path / "a.mp3", tmp_path / "a.ogg"):
        assert_same(clip, clip.path, atol=2e-3, ends=160)


@needs_tensorflow_io
def test_long_files_are_cut_and_short_ones_filled_up(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(1.5, SAMPLE_RATE)[0], SAMPLE_RATE)
    (cut,), (filled,) = decoded(tmp_path / "a.wav"), decoded(tmp_path / "a.wav", seconds=2)
    assert cut.audio_seconds == 1 and filled.audio_seconds == 1.5
    np.testing.assert_array_equal(cut.waveform, filled.waveform[:SAMPLE_RATE])
    assert filled.waveform.shape == (2 * SAMPLE_RATE,) and not filled.waveform[24000:].any()


@needs_tensorflow_io
def test_files_of_several_formats_keep_their_order_and_a_bad_one_stops_nothing(tmp_path):
    names = [f"{number}.{suffix}" for number, suffix in enumerate(("flac", "wav", "ogg", "wav", "flac", "wav"))]
    for number, name in enumerate(names):
        soundfile.write(tmp_path / name, tone(0.1 * (number + 1), SAMPLE_RATE)[0], SAMPLE_RATE)
    (tmp_path / "1.wav").write_text("not a sound")
    content = (tmp_path / "4.flac").read_bytes()
    (tmp_path / "4.flac").write_bytes(content[: len(content) // 2])
    clips = decoded(*(tmp_path / name for name in names))
    lengths = [None if isinstance(clip, InputError) else round(clip.audio_seconds, 2) for clip in clips]
    assert lengths == [0.1, None, 0.3, 0.4, None, 0.6]


def _header(place: int, form: str, value: int):
    """A 16-bit .wav with another number in its header."""

    def write(path: Path):
        soundfile.write(path, noise().T, 16000)
        content = bytearray(path.read_bytes())
        struct.pack_into(form, content, place, value)
        path.write_bytes(content)

    return write


def _half(path: Path):
    soundfile.write(path, noise().T, 16000)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _endless_flac(path: Path):
    soundfile.write(path, noise().T, 16000)
    content = bytearray(path.read_bytes())
    content[21:26] = bytes([content[21] | 0x0F]) + b"\xff" * 4  # 2^36 - 1 samples
    path.write_bytes(content)


REFUSED = {
    "text": ("a.wav", lambda path: path.write_text("not a sound at all"), "is not a media file"),
    "empty": ("a.mp3", lambda path: path.touch(), "is empty"),
    "missing": ("a.wav", lambda path: None, "there is no such file"),
    "video": ("a.mp4", lambda path: write_media(path, audio="aac", samples=noise(1), rate=16000), "is no .wav of 8"),
    "opus": (
        "a.ogg",
        lambda path: write_media(path, audio="libopus", samples=tone(0.5, 48000), rate=48000),
        "is no .wav of 8",
    ),
    "double": ("a.wav", lambda path: soundfile.write(path, noise().T, 16000, subtype="DOUBLE"), "is no .wav of 8"),
    "32-bit integers": (
        "a.wav",
        lambda path: soundfile.write(path, noise().T, 16000, subtype="PCM_32"),
        "is no .wav of 8",
    ),
    "8-bit FLAC": (
        "a.flac",
        lambda path: soundfile.write(path, noise().T, 16000, subtype="PCM_S8"),
        "tensorflow-io cannot decode it",
    ),
    "half .wav": ("a.wav", _half, "tensorflow-io cannot decode it"),
    "half .flac": ("a.flac", _half, "tensorflow-io cannot decode it"),
    "no samples": ("a.wav", lambda path: soundfile.write(path, noise(2, 0).T, 16000), ""),
    "channels": ("a.wav", _header(22, "<H", 1), "its header is unusual or contradicts itself"),
    "bytes a sample": ("a.wav", _header(32, "<H", 2), "its header is unusual or contradicts itself"),
    "sample rate of 0": ("a.wav", _header(24, "<I", 0), ""),
    "more data than there is": ("a.wav", _header(40, "<I", 0x40000000), "tensorflow-io"),
    "endless FLAC": ("a.flac", _endless_flac, "where at most 86400 s are decoded"),
}


@needs_tensorflow_io
@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_decoded_is_named_in_a_sentence(tmp_path, kind):
    name, write, words = REFUSED[kind]
    write(tmp_path / name)
    (refusal,) = decoded(tmp_path / name)
    assert isinstance(refusal, InputError)
    sentence = str(refusal)
    assert sentence.startswith(f"{tmp_path / name}: ") and words in sentence
    assert sentence.endswith(".") and "\n" not in sentence


@needs_tensorflow_io
@pytest.mark.parametrize("size", [0, 4, 1000, 15996])
def test_a_file_that_states_less_data_gives_that_or_nothing(tmp_path, size):
    _header(40, "<I", size)(tmp_path / "a.wav")
    (clip,) = decoded(tmp_path / "a.wav")
    if isinstance(clip, Clip):
        assert_same(clip, tmp_path / "a.wav", atol=1e-4)


@needs_tensorflow_io
@pytest.mark.parametrize(
    "change", [lambda samples: samples[:-2], lambda samples: samples * np.nan, lambda samples: samples[:, :1]]
)
def test_samples_that_are_not_what_the_file_says_are_refused(tmp_path, change):
    soundfile.write(tmp_path / "a.wav", noise().T, 16000)
    info = tfio.probe(tmp_path / "a.wav")
    assert tfio._clip(info, noise().T, 1).has_audio
    with pytest.raises(InputError, match="a.wav: (tensorflow-io decodes 0.25 s|its sound is empty)"):
        tfio._clip(info, change(noise().T), 1)


def test_without_tensorflow_io_the_sentence_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)  # importing it fails
    tfio.tensorflow_io.cache_clear()
    try:
        with pytest.raises(InputError, match="tensorflow-io does not work with TensorFlow .* --audio-reader pyav"):
            decoded()
    finally:
        tfio.tensorflow_io.cache_clear()


@needs_tensorflow_io
@pytest.mark.parametrize("name", ["FwVYUHKoLtQ_000034.wav", "kbd_violin1.wav", "ibm_dog.wav", "Baby_cry_1-60997-B.mp3"])
def test_real_files(reference_dir, name):
    path = reference_dir / "media" / name
    if not path.exists():
        pytest.skip(f"{name} is not in {path.parent}")
    (clip,) = decoded(path, seconds=3)
    assert_same(clip, path, atol=2e-3)
