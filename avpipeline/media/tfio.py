"""Audio files decoded by tensorflow-io inside tf.data: `python -m avpipeline.extract --audio-reader tfio`.

The only module that needs tensorflow-io, which runs on TensorFlow 2.16 and 2.17 only; `read_clip` decodes the same
files everywhere. Since tensorflow-io believes headers, PyAV says first what a file is, and what comes out must agree.
"""

import functools
import os
import struct
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
import tensorflow as tf

from avpipeline.errors import InputError
from avpipeline.files import Unusable, reading
from avpipeline.media.reading import Clip, MediaInfo, fitted, probe
from avpipeline.media.sinks import SAMPLE_RATE
from avpipeline.media.wav import Wav, read_wav

# `MediaInfo.sound_format` -> tensorflow-io's decoder, and the type of its numbers where it asks for that.
_DECODERS = {
    "pcm_u8 u8": ("decode_wav", tf.uint8),
    "pcm_s16le s16": ("decode_wav", tf.int16),
    "pcm_s24le s32": ("decode_wav", tf.int32),
    "pcm_f32le flt": ("decode_wav", tf.float32),
    "flac s16": ("decode_flac", tf.int16),
    "flac s32": ("decode_flac", tf.int32),
    "vorbis fltp": ("decode_vorbis", None),
    "mp3float fltp": ("decode_mp3", None),
}
_OTHERWISE = "take --audio-reader pyav"
_MOST_BYTES = 1 << 30  # of a decoded file: 45 minutes of stereo at 48 kHz
_TOLERANCE = 0.1  # seconds by which two decoders may differ about the length of a lossy file


@functools.cache
def tensorflow_io():
    """The module, after one of its operations has worked; InputError where it does not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import tensorflow_io as module

            module.audio.decode_wav(tf.audio.encode_wav(tf.zeros((1, 1)), 16000), dtype=tf.int16)
    except (ImportError, NotImplementedError, AttributeError, tf.errors.OpError) as error:
        raise InputError(
            f"tensorflow-io does not work with TensorFlow {tf.__version__} (tensorflow-io 0.37.1 needs TensorFlow "
            f"2.17); install those, or {_OTHERWISE}."
        ) from error
    return module


def read_clips(paths: Iterable[Path], *, seconds: float, workers: int) -> Iterator[Clip | InputError]:
    """Clips of audio files in order, without frames; an InputError in the place of each file that cannot be used.

    Decodes .wav (8, 16, 24 bits, 32-bit floats), .flac (16, 24 bits), .mp3 and Ogg Vorbis; see `read_clip`.
    """
    audio = tensorflow_io().audio

    def samples_of(contents, decoder, dtype):
        samples = getattr(audio, decoder)(contents, **({"dtype": dtype} if dtype else {}))
        if dtype == tf.uint8:
            return (tf.cast(samples, tf.float32) - 128.0) / 128.0
        if samples.dtype.is_floating:
            return samples
        # 24-bit samples come in the upper bits of 32.
        return tf.cast(tf.cast(samples, tf.float64) / -float(dtype.min), tf.float32)

    def decode(path, kind):
        contents = tf.numpy_function(_contents, [path], tf.string)
        return tf.switch_case(kind, [functools.partial(samples_of, contents, *how) for how in _DECODERS.values()])

    found = [_inspected(path) for path in paths]
    files = [info for info in found if isinstance(info, MediaInfo)]
    names = tf.constant([str(info.path) for info in files], tf.string)
    kinds = tf.constant([list(_DECODERS).index(info.sound_format) for info in files], tf.int32)
    decoded = iter(tf.data.Dataset.from_tensor_slices((names, kinds)).map(decode, num_parallel_calls=workers))
    for info in found:
        try:
            yield _clip(info, next(decoded).numpy(), seconds) if isinstance(info, MediaInfo) else info
        except InputError as error:
            yield error
        except tf.errors.OpError as error:
            told = error.message.splitlines()[0]
            yield InputError(f"{info.path}: tensorflow-io cannot decode it ({told}); copy it again, or {_OTHERWISE}.")


def _contents(name: bytes) -> bytes:
    """A file's bytes; those of a .wav in the simplest form, since tensorflow-io knows no other."""
    path = Path(os.fsdecode(name))
    with open(path, "rb") as file:
        if file.read(4) in (b"RIFF", b"RF64"):
            return read_wav(path).plain()
    return path.read_bytes()


def _inspected(path: Path) -> MediaInfo | InputError:
    """What a file is, or why tensorflow-io is not given it."""
    try:
        info = probe(path)
        if info.sound_format not in _DECODERS:
            raise InputError(
                f"{path}: is no .wav of 8, 16 or 24 bits or 32-bit floats, .flac of 16 or 24 bits, .mp3 or Ogg Vorbis, "
                f"which tensorflow-io decodes; {_OTHERWISE}."
            )
        if info.seconds * info.sample_rate * info.channels * 4 > _MOST_BYTES:
            raise InputError(f"{path}: lasts {info.seconds:.0f} s, too long to be decoded at once; {_OTHERWISE}.")
        if _DECODERS[info.sound_format][0] == "decode_wav":
            with reading(path, "has a header that is unusual", _OTHERWISE):
                _require_known(read_wav(path), info)
    except InputError as error:
        return error
    return info


def _require_known(wav: Wav, info: MediaInfo) -> None:
    """Raises for a .wav that is cut off or misstates the size of a sample, which would crash tensorflow-io."""
    channels, _rate, _bytes, size, bits = struct.unpack_from("<HIIHH", wav.format, 2)
    if channels != info.channels or 8 * size != channels * bits:
        raise Unusable(f"its header is unusual or contradicts itself; {_OTHERWISE}.")
    if wav.missing or wav.size % size:
        raise Unusable(f"tensorflow-io cannot decode it, since {wav.missing} bytes are missing; {_OTHERWISE}.")


def _clip(info: MediaInfo, samples: np.ndarray, seconds: float) -> Clip:
    """The clip; InputError where the samples are not what PyAV says of the file."""
    if not len(samples) or samples.shape[1] != info.channels or not np.isfinite(samples).all():
        raise InputError(f"{info.path}: its sound is empty, not finite or has other channels; {_OTHERWISE}.")
    lossy = _DECODERS[info.sound_format][1] is None
    if abs(len(samples) - info.seconds * info.sample_rate) > (_TOLERANCE * info.sample_rate if lossy else 1):
        raise InputError(
            f"{info.path}: tensorflow-io decodes {len(samples) / info.sample_rate:.2f} s where its header says "
            f"{info.seconds:.2f} s; copy it again, or {_OTHERWISE}."
        )
    waveform = _at_16_khz(samples.mean(axis=1), info.sample_rate)
    return Clip(
        path=info.path,
        seconds=seconds,
        waveform=fitted(waveform, round(seconds * SAMPLE_RATE)),
        frames=np.zeros((0, 0, 0, 3), np.uint8),
        frame_rate=0.0,
        has_audio=True,
        has_video=info.has_video,
        audio_seconds=min(len(waveform) / SAMPLE_RATE, seconds),
        video_seconds=0.0,
    )


def _at_16_khz(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Resampled by FFmpeg: tensorflow-io's own is inaccurate (a 1 kHz tone from 44.1 kHz is off by 0.028)."""
    frame = av.AudioFrame.from_ndarray(waveform[np.newaxis], format="fltp", layout="mono")
    frame.sample_rate = sample_rate
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)
    pieces = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([piece.to_ndarray()[0] for piece in pieces])
