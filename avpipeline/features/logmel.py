"""VGGish's log-mel patches, the input of the audio networks that work on one second at a time."""

import contextlib

import keras
import numpy as np

from avpipeline.errors import InputError
from avpipeline.media.sinks import SAMPLE_RATE
from avpipeline.nn.backends import TENSORFLOW, on_host

if TENSORFLOW:
    import tensorflow as tf


def split_seconds(waveform: np.ndarray) -> np.ndarray:
    """Cuts `(samples,)` at 16 kHz into whole seconds, `(seconds, 16000)`; a shorter tail is dropped."""
    waveform = np.asarray(waveform)
    seconds = len(waveform) // SAMPLE_RATE
    return waveform[: seconds * SAMPLE_RATE].reshape(seconds, SAMPLE_RATE)


@keras.saving.register_keras_serializable(package="avpipeline")
class LogMel(keras.layers.Layer):
    """VGGish's log-mel patches: one second each, `(batch, 16000)` float32 in [-1, 1] -> `(batch, 96, 64)`.

    Each second is framed alone: periodic Hann window of 400 samples, hop 160, FFT of 512, magnitude, mel bands
    from 125 to 7500 Hz on the HTK scale (triangles in mel), log(mel + 0.01). Of a second's 98 frames the first
    96 are the patch. Source: Hershey et al. 2017, "CNN Architectures for Large-Scale Audio Classification",
    Section 3.1, as in the published VGGish features.

    Computed in float64 under every dtype policy: beside a loud tone the rounding of a float32 transform is as large as
    the quiet bands, 1e-3 of the result there, and a float32 mel matrix has an error of 4.5e-5 everywhere. Without
    TensorFlow it is computed by NumPy on the host, since JAX has no float64 unless asked, and passes no gradient back.
    """

    frames, bands = 96, 64
    window, hop, fft = 400, 160, 512
    lowest, highest = 125.0, 7500.0  # Hz
    offset = 0.01
    _reflected = 0  # samples, at both ends
    _kept = slice(frames)

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def build(self, input_shape):
        self._check(input_shape)
        with tf.init_scope() if TENSORFLOW else contextlib.nullcontext():
            self._mel = self._mel_matrix()
        super().build(input_shape)

    def call(self, inputs):
        if not TENSORFLOW:
            return on_host(self._in_numpy, self.compute_output_shape(inputs.shape), inputs)
        waveform = tf.pad(tf.cast(inputs, tf.float64), [[0, 0], [self._reflected] * 2], "REFLECT")
        # TensorFlow's window is the periodic Hann.
        spectra = tf.abs(tf.signal.stft(waveform, self.window, self.hop, self.fft))[:, self._kept]
        return tf.cast(tf.math.log(tf.matmul(spectra, self._mel) + self.offset), tf.float32)

    def _in_numpy(self, inputs: np.ndarray) -> np.ndarray:
        waveform = np.pad(np.float64(inputs), [[0, 0], [self._reflected] * 2], "reflect")
        framed = np.lib.stride_tricks.sliding_window_view(waveform, self.window, axis=-1)[:, :: self.hop]
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.window) / self.window)
        spectra = np.abs(np.fft.rfft(framed * hann, self.fft))[:, self._kept]
        return np.float32(np.log(spectra @ self._mel + self.offset))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.frames, self.bands)

    def _check(self, input_shape) -> None:
        if len(input_shape) != 2 or input_shape[1] != SAMPLE_RATE:
            raise InputError(
                f"{self.name} takes one second a row, (batch, {SAMPLE_RATE}), not {tuple(input_shape)}; "
                "cut the waveform with avpipeline.features.logmel.split_seconds."
            )

    def _mel_matrix(self) -> np.ndarray:
        """Float64, `(fft / 2 + 1, bands)`."""
        if TENSORFLOW:
            return tf.signal.linear_to_mel_weight_matrix(
                self.bands, self.fft // 2 + 1, SAMPLE_RATE, self.lowest, self.highest, dtype=tf.float64
            ).numpy()
        edges = np.linspace(_mel(self.lowest), _mel(self.highest), self.bands + 2)
        bins = _mel(np.linspace(0, SAMPLE_RATE / 2, self.fft // 2 + 1))[:, None]
        left, peak, right = edges[:-2], edges[1:-1], edges[2:]
        return np.maximum(0, np.minimum((bins - left) / (peak - left), (right - bins) / (right - peak)))


def _mel(hertz):
    """On the HTK scale."""
    return 1127.0 * np.log(1.0 + hertz / 700.0)
