"""Decoding inside the graph agrees with PyAV's; every file it cannot take is named in a sentence."""

import dataclasses
import sys

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from avpipeline.cli import run, sentence_of
from avpipeline.errors import InputError
from avpipeline.media import SAMPLE_RATE, probe, read_waveform, tfio
from tests.helpers.media_files import bursts, tone, write_media

needs_tensorflow_io = pytest.mark.skipif(
    not tfio.available(), reason="tensorflow-io does not work with this TensorFlow"
)


def noise(channels=2, samples=4000) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (channels, samples)).astype(np.float32)


@tf.function(input_signature=[tf.TensorSpec((), tf.string)])  # traced once for all tests
def graph_of_one_file(path):
    return tfio.decode_audio(tf.io.read_file(path), path)


def decoded(path):
    samples, rate = graph_of_one_file(str(path))
    return samples.numpy(), int(rate)


@needs_tensorflow_io
@pytest.mark.parametrize(
    "subtype, name",
    [
        ("PCM_U8", "a.wav"),
        ("PCM_16", "a.wav"),
        ("PCM_24", "a.wav"),
        ("PCM_32", "a.wav"),
        ("FLOAT", "a.wav"),
        ("PCM_S8", "a.flac"),
        ("PCM_16", "a.flac"),
        ("PCM_24", "a.flac"),
    ],
)
@pytest.mark.parametrize("rate", [16000, 44100])
def test_lossless_files_of_every_width(tmp_path, subtype, name, rate):
    path = tmp_path / name
    soundfile.write(path, noise().T, rate, subtype=subtype)
    expected, _ = soundfile.read(path, dtype="float32")
    samples, sample_rate = decoded(path)
    assert sample_rate == rate and samples.dtype == np.float32
    np.testing.assert_allclose(samples, expected, atol=1e-6)


@needs_tensorflow_io
@pytest.mark.parametrize("subtype, name", [("PCM_16", "a.wav"), ("PCM_24", "a.wav"), ("PCM_16", "a.flac")])
@pytest.mark.parametrize("channels", [1, 2])
def test_it_agrees_with_pyav(tmp_path, subtype, name, channels):
    path = tmp_path / name
    soundfile.write(path, noise(channels).T, SAMPLE_RATE, subtype=subtype)
    samples, _ = decoded(path)
    np.testing.assert_allclose(samples.mean(axis=1), read_waveform(path), atol=1e-4)


@needs_tensorflow_io
@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000])
def test_mp3_and_vorbis(tmp_path, rate):
    sound = np.concatenate([bursts([0.2, 0.6], 1.0, rate), tone(1.0, rate)])
    write_media(tmp_path / "a.mp3", audio="libmp3lame", samples=sound, rate=rate, layout="stereo")
    soundfile.write(tmp_path / "a.ogg", sound.T, rate, format="OGG", subtype="VORBIS")
    for name in ("a.mp3", "a.ogg"):
        samples, sample_rate = decoded(tmp_path / name)
        assert sample_rate == rate == probe(tmp_path / name).sample_rate
        assert samples.shape == (rate, 2)
        assert np.abs(samples - 0.97 * sound.T).mean() < 0.02  # LAME lowers the sound by 5 %
        if rate == SAMPLE_RATE:
            same = read_waveform(tmp_path / name)[:rate]  # FFmpeg gives Vorbis 128 samples more at the end
            np.testing.assert_allclose(samples.mean(axis=1), same, atol=2e-3)


@needs_tensorflow_io
def test_chunks_before_the_format_and_an_extensible_header(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise().T, 44100, subtype="PCM_24", format="WAVEX")
    content = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "b.wav").write_bytes(content[:12] + b"JUNK\x05\x00\x00\x00odd!!\x00" + content[12:])
    expected, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    for name in ("a.wav", "b.wav"):
        samples, rate = decoded(tmp_path / name)
        assert rate == 44100
        np.testing.assert_allclose(samples, expected, atol=1e-6)


@needs_tensorflow_io
def test_files_of_several_formats_in_one_dataset_keep_their_order(tmp_path):
    names = [f"{number}.{suffix}" for number, suffix in enumerate(("flac", "wav", "ogg", "wav", "flac"))]
    for number, name in enumerate(names):
        soundfile.write(tmp_path / name, tone(0.1 * (number + 1), SAMPLE_RATE)[0], SAMPLE_RATE)
    elements = list(tfio.audio_dataset(tmp_path / name for name in names))
    assert [element["path"].numpy().decode() for element in elements] == [str(tmp_path / name) for name in names]
    assert [len(element["samples"]) for element in elements] == [1600, 3200, 4800, 6400, 8000]


@needs_tensorflow_io
def test_no_python_runs_inside_the_graph():
    graph = graph_of_one_file.get_concrete_function().graph
    operations = {op.type for op in graph.get_operations()}
    operations |= {node.op for function in graph.as_graph_def().library.function for node in function.node_def}
    assert "IO>AudioDecodeWAV" in operations and not operations & {"PyFunc", "EagerPyFunc", "PyFuncStateless"}
    samples, rate = graph.structured_outputs
    assert (samples.dtype, samples.shape.as_list(), rate.dtype) == (tf.float32, [None, None], tf.int32)


def broken(kind, path):
    if kind == "text":
        path.write_text("not a sound at all")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "opus":
        write_media(path, audio="libopus", samples=tone(0.5, 48000), rate=48000)
    elif kind == "double":
        soundfile.write(path, noise().T, 16000, subtype="DOUBLE")
    elif kind == "no data":
        path.write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt ")
    else:
        soundfile.write(path, noise().T, 16000)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    return path


@needs_tensorflow_io
@pytest.mark.parametrize(
    "kind, name, words",
    [
        ("text", "a.wav", "not a .wav, .mp3, .flac or .ogg"),
        ("empty", "a.mp3", "not a .wav, .mp3, .flac or .ogg"),
        ("opus", "a.ogg", "without Vorbis"),
        ("double", "a.wav", "neither integers"),
        ("no data", "a.wav", "breaks off in its header"),
        ("half", "a.wav", "breaks off in the middle"),
    ],
)
def test_what_cannot_be_decoded_is_named_in_a_sentence(tmp_path, kind, name, words):
    path = broken(kind, tmp_path / name)
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        decoded(path)
    sentence = sentence_of(error.value)
    assert sentence.startswith(f"{path}: ") and words in sentence and sentence.endswith(".")


@needs_tensorflow_io
@pytest.mark.parametrize("name", ["a.flac", "a.ogg"])
def test_damaged_compressed_sound_is_an_error_never_less_sound(tmp_path, name):
    with pytest.raises(tf.errors.OpError):
        decoded(broken("half", tmp_path / name))


@needs_tensorflow_io
def test_a_command_line_prints_the_sentence_of_an_error_inside_the_dataset(tmp_path, capsys):
    path = broken("half", tmp_path / "a.wav")

    @dataclasses.dataclass
    class Settings:
        pass

    def main(settings: Settings):
        list(tfio.audio_dataset([path]))

    assert run(main, prog="decode", argv=[]) == 2
    assert capsys.readouterr().err == f"decode: error: {path}: breaks off in the middle; copy or download it again.\n"


@needs_tensorflow_io
def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        tfio.audio_dataset([tmp_path / "missing.wav"])


def test_without_tensorflow_io_the_sentence_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)  # importing it fails
    tfio._tensorflow_io.cache_clear()
    try:
        assert not tfio.available()
        for use in (lambda: tfio.audio_dataset([]), lambda: tfio.decode_audio(tf.constant(b""))):
            with pytest.raises(InputError, match="tensorflow-io does not work with TensorFlow .*avpipeline.media"):
                use()
    finally:
        tfio._tensorflow_io.cache_clear()


@needs_tensorflow_io
@pytest.mark.parametrize("name", ["FwVYUHKoLtQ_000034.wav", "kbd_violin1.wav", "ibm_dog.wav", "Baby_cry_1-60997-B.mp3"])
def test_real_files(reference_dir, name):
    path = reference_dir / "media" / name
    if not path.exists():
        pytest.skip(f"{name} is not in {path.parent}")
    samples, rate = decoded(path)
    info = probe(path)
    assert (rate, samples.shape[1]) == (info.sample_rate, info.channels)
    assert len(samples) / rate == pytest.approx(info.seconds, abs=0.06)
    if rate == SAMPLE_RATE:
        np.testing.assert_allclose(samples.mean(axis=1), read_waveform(path), atol=1e-4)
