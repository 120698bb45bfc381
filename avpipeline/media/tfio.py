"""Audio files decoded inside TensorFlow's graph, by tensorflow-io: no Python in the input pipeline.

For .wav, .mp3, .flac and Ogg Vorbis. The only module that needs tensorflow-io, which runs on TensorFlow 2.16
and 2.17 only; `avpipeline.media` decodes the same files, and videos, everywhere. Sound is returned at the
file's own sample rate: tensorflow-io's resampling is inaccurate (a 1 kHz tone from 44.1 to 16 kHz is off by
0.028), and `avpipeline.media.read_waveform` resamples correctly.
"""

import functools
import warnings
from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf

from avpipeline.errors import InputError

_MP3_RATES = (44100, 48000, 32000)  # of MPEG 1; half of it for MPEG 2, a quarter for MPEG 2.5
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE  # format tags of .wav


def available() -> bool:
    """Whether tensorflow-io works with the installed TensorFlow."""
    try:
        _tensorflow_io()
    except InputError:
        return False
    return True


def audio_dataset(paths: Iterable) -> tf.data.Dataset:
    """Decodes audio files in parallel: a dataset of `{"path", "samples", "sample_rate"}`, in the order given.

    `samples` is float32 `(count, channels)` in [-1, 1]; `sample_rate` an int32 scalar. Raises InputError where
    a file is missing or tensorflow-io does not work; see `decode_audio` for files that are damaged.
    """
    _tensorflow_io()
    paths = [Path(path) for path in paths]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: there is no such file; check the path.")

    def decoded(path):
        samples, sample_rate = decode_audio(tf.io.read_file(path), path)
        return {"path": path, "samples": samples, "sample_rate": sample_rate}

    names = tf.constant([str(path) for path in paths], tf.string)
    return tf.data.Dataset.from_tensor_slices(names).map(decoded, num_parallel_calls=tf.data.AUTOTUNE)


def decode_audio(contents: tf.Tensor, path: tf.Tensor | str = "audio") -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes the content of one audio file; for use in `tf.data.Dataset.map`.

    The format is read off the content. Integer samples of any width are scaled to [-1, 1].

    Args:
      contents: scalar string, as `tf.io.read_file` gives it.
      path: what the sentence of an error names.

    Returns:
      samples, float32 `(count, channels)`, and the sample rate, an int32 scalar.

    Raises:
      InputError: tensorflow-io does not work here. A file of another format or one that is cut off (.wav)
        fails while the graph runs, as a tf.errors.InvalidArgumentError that holds the InputError's sentence;
        one whose compressed data is damaged with the decoder's own words.
    """
    audio = _tensorflow_io().audio
    magic = tf.strings.substr(contents, 0, 4)
    branch = tf.where(magic == b"RIFF", 0, tf.where(magic == b"fLaC", 1, tf.where(magic == b"OggS", 2, 3)))
    decoders = (_wav, _flac, _vorbis, _mp3)
    samples, sample_rate = tf.switch_case(
        branch, [functools.partial(decoder, audio, contents, path) for decoder in decoders]
    )
    return tf.ensure_shape(samples, (None, None)), tf.ensure_shape(sample_rate, ())


@functools.cache
def _tensorflow_io():
    """The module, after one of its operations has worked."""
    try:
        with warnings.catch_warnings(), tf.init_scope():
            warnings.simplefilter("ignore")
            import tensorflow_io

            silence = tf.audio.encode_wav(tf.zeros((1, 1)), 16000)
            tensorflow_io.audio.decode_wav(silence, dtype=tf.int16)
    except (ImportError, NotImplementedError, AttributeError, tf.errors.OpError) as error:
        raise InputError(
            f"tensorflow-io does not work with TensorFlow {tf.__version__} "
            "(tensorflow-io 0.37.1 needs TensorFlow 2.17); install those, or decode with avpipeline.media."
        ) from error
    return tensorflow_io


def _wav(audio, contents, path):
    file_size = tf.strings.length(contents)
    form, data = _wav_chunk(contents, b"fmt "), _wav_chunk(contents, b"data")
    contents = _checked(
        contents,
        (tf.strings.substr(contents, 8, 4) == b"WAVE") & (form >= 0) & (data >= 0),
        path,
        "is not a .wav file or breaks off in its header; copy or download it again.",
    )
    contents = _checked(
        contents,
        data + _little_endian(contents, data - 4, 4) <= file_size,
        path,
        "breaks off in the middle; copy or download it again.",
    )
    tag = _little_endian(contents, form, 2)
    tag = tf.cond(tag == _EXTENSIBLE, lambda: _little_endian(contents, form + 24, 2), lambda: tag)
    bits = _little_endian(contents, form + 14, 2)
    kind = tf.where(tag == _FLOAT, 4, tf.where(tag == _PCM, bits // 8 - 1, -1))
    contents = _checked(
        contents,
        (kind >= 0) & (kind <= 4) & (bits <= 32) & ((tag == _PCM) | (bits == 32)),
        path,
        "holds samples that are neither integers of 8 to 32 bits nor 32-bit floats; convert it to 16-bit PCM.",
    )
    # tensorflow-io knows no chunk before "fmt ".
    contents = tf.strings.join([tf.strings.substr(contents, 0, 12), tf.strings.substr(contents, form - 8, -1)])

    def pcm32():
        # tensorflow-io takes every 32-bit sample for a float.
        return tf.bitcast(audio.decode_wav(contents, dtype=tf.float32), tf.int32)

    samples = tf.switch_case(
        kind,
        [
            lambda: _scaled(audio.decode_wav(contents, dtype=tf.uint8)),
            lambda: _scaled(audio.decode_wav(contents, dtype=tf.int16)),
            lambda: _scaled(audio.decode_wav(contents, dtype=tf.int32)),
            lambda: _scaled(pcm32()),
            lambda: audio.decode_wav(contents, dtype=tf.float32),
        ],
    )
    return samples, _little_endian(contents, 12 + 8 + 4, 4)


def _flac(audio, contents, path):
    contents = _checked(
        contents, tf.strings.length(contents) >= 42, path, "breaks off in its header; copy or download it again."
    )
    stream_info = _bytes(contents, 18, 4)  # 20 bits sample rate, 3 channels - 1, 5 bits a sample - 1
    sample_rate = stream_info[0] * 4096 + stream_info[1] * 16 + stream_info[2] // 16
    bits = stream_info[2] % 2 * 16 + stream_info[3] // 16 + 1
    kind = bits // 8 - 1
    contents = _checked(
        contents,
        (bits % 8 == 0) & (kind <= 2),
        path,
        "holds samples of neither 8, 16 nor 24 bits; convert it to 16 bits.",
    )
    samples = tf.switch_case(
        kind,
        [
            lambda: _scaled(audio.decode_flac(contents, dtype=tf.uint8)),
            lambda: _scaled(audio.decode_flac(contents, dtype=tf.int16)),
            lambda: _scaled(audio.decode_flac(contents, dtype=tf.int32)),
        ],
    )
    return samples, sample_rate


def _vorbis(audio, contents, path):
    contents = _checked(
        contents,
        tf.strings.substr(contents, 28, 7) == b"\x01vorbis",
        path,
        "is an Ogg file without Vorbis sound; decode it with avpipeline.media.",
    )
    return audio.decode_vorbis(contents), _little_endian(contents, 40, 4)


def _mp3(audio, contents, path):
    tagged = tf.strings.substr(contents, 0, 3) == b"ID3"
    contents = _checked(
        contents,
        ~tagged | (tf.strings.length(contents) > 10),
        path,
        "breaks off in its header; copy or download it again.",
    )

    def after_tag():
        size = _bytes(contents, 6, 4)  # 7 bits a byte
        return 10 + ((size[0] * 128 + size[1]) * 128 + size[2]) * 128 + size[3]

    start = tf.cond(tagged, after_tag, lambda: 0)
    # A frame begins with 11 set bits; then its version, its layer (1: layer III) and so on.
    whole = tf.strings.length(contents) >= start + 4
    header = tf.cond(whole, lambda: _bytes(contents, start, 4), lambda: tf.zeros(4, tf.int32))
    version, layer, rate = header[1] // 8 % 4, header[1] // 2 % 4, header[2] // 4 % 4
    contents = _checked(
        contents,
        (header[0] == 255) & (header[1] >= 224) & (version != 1) & (layer == 1) & (rate < 3),
        path,
        "is not a .wav, .mp3, .flac or .ogg file; name an audio file of these formats.",
    )
    divisor = tf.gather((4, 1, 2, 1), version)
    return audio.decode_mp3(contents), tf.gather(_MP3_RATES, rate) // divisor


def _checked(contents, condition, path, words: str):
    """The contents; using them fails with an InputError's sentence, which command lines find again."""
    message = tf.strings.join(["InputError: ", path, ": " + words])
    with tf.control_dependencies([tf.debugging.Assert(condition, [message])]):
        return tf.identity(contents)


def _scaled(samples: tf.Tensor) -> tf.Tensor:
    """Integers of any width as float32 in [-1, 1]; tensorflow-io puts 24 bits into the upper ones of 32."""
    if samples.dtype == tf.uint8:
        return (tf.cast(samples, tf.float32) - 128.0) / 128.0
    return tf.cast(tf.cast(samples, tf.float64) / -float(samples.dtype.min), tf.float32)


def _bytes(contents, start, count: int) -> tf.Tensor:
    """int32 `(count,)`."""
    return tf.cast(tf.io.decode_raw(tf.strings.substr(contents, start, count), tf.uint8), tf.int32)[:count]


def _little_endian(contents, start, count: int) -> tf.Tensor:
    """Unsigned integer of `count` bytes; what is above 2^31 becomes 2^31 - 1."""
    weights = tf.constant([256**place for place in range(count)], tf.int64)
    value = tf.reduce_sum(tf.cast(_bytes(contents, start, count), tf.int64) * weights)
    return tf.cast(tf.minimum(value, tf.int32.max), tf.int32)


def _wav_chunk(contents, name: bytes) -> tf.Tensor:
    """Where the content of the chunk `name` begins; -1 where there is none."""
    size = tf.strings.length(contents)

    def elsewhere(start):
        inside = start + 8 <= size
        return tf.cond(inside, lambda: tf.strings.substr(contents, start, 4) != name, lambda: False)

    def following(start):
        length = _little_endian(contents, start + 4, 4)
        return (tf.minimum(length, size - start) + start + 8 + length % 2,)

    (start,) = tf.while_loop(elsewhere, following, (tf.constant(12),))
    return tf.where(start + 8 <= size, start + 8, -1)
