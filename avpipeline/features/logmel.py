"""Sound as networks take it, log-mel spectrograms, and where something begins in it."""

import keras
import librosa
import numpy as np
import tensorflow as tf

from avpipeline.errors import InputError
from avpipeline.media.decoding import SAMPLE_RATE

_ONSET_HOP = 0.016  # seconds between two moments that are looked at: 256 samples at 16 kHz
_ONSET_WINDOW = 0.064  # seconds of sound in one spectrum: 1024 samples at 16 kHz
_ONSET_BANDS = 64  # of the mel spectrogram whose changes are looked at


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
    96 are the patch. Hershey et al. 2017, "CNN Architectures for Large-Scale Audio Classification", section
    3.1, as in the published VGGish features.

    Computed in float64 whatever the dtype policy: the rounding of a float32 transform is as large as the quiet
    bands beside a loud tone, 1e-3 of the result there, and a float32 mel matrix costs 4.5e-5 everywhere.
    """

    frames, bands = 96, 64
    window, hop, fft = 400, 160, 512
    lowest, highest = 125.0, 7500.0  # Hz
    offset = 0.01

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def build(self, input_shape):
        self._check(input_shape)
        with tf.init_scope():
            self._mel = self._mel_matrix()
        super().build(input_shape)

    def call(self, inputs):
        spectra = self._spectra(tf.cast(inputs, tf.float64))
        return tf.cast(tf.math.log(tf.matmul(spectra, self._mel) + self.offset), tf.float32)

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
        return tf.signal.linear_to_mel_weight_matrix(
            self.bands, self.fft // 2 + 1, SAMPLE_RATE, self.lowest, self.highest, dtype=tf.float64
        ).numpy()

    def _spectra(self, waveform):
        """Magnitudes, `(batch, frames, fft / 2 + 1)`; TensorFlow's window is the periodic Hann."""
        return tf.abs(tf.signal.stft(waveform, self.window, self.hop, self.fft))[:, : self.frames]


@keras.saving.register_keras_serializable(package="avpipeline")
class EventLogMel(LogMel):
    """The event layers' log-mel spectrogram: `(batch, samples)` float32 at 16 kHz -> `(batch, samples // 160, 80)`.

    10 s give `(batch, 1000, 80)`. Periodic Hann window of 320 samples, hop 160, FFT of 512, magnitude, 80 mel
    bands from 0 to 8000 Hz on librosa's default (Slaney) scale and norm, log(mel + 1e-20). Frames are centred,
    the sound reflected at both ends; the frame centred on its very end, the 1001st of 10 s, is dropped. Silence is
    -46.05. Afouras et al. 2020, as in Senocak et al. 2023, Section 4.1.

    Computed in float64, as `LogMel`.
    """

    bands = 80
    window = 320
    lowest, highest = 0.0, 8000.0
    offset = 1e-20

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[1] and input_shape[1] // self.hop, self.bands)

    def _check(self, input_shape) -> None:
        samples = input_shape[1] if len(input_shape) == 2 else 0
        if samples is not None and (samples <= self.window // 2 or samples % self.hop):
            raise InputError(
                f"{self.name} takes waveforms (batch, samples) of whole hops of {self.hop} samples, two or more, not "
                f"{tuple(input_shape)}; cut the waveform or fill it up with zeros."
            )

    def _mel_matrix(self) -> np.ndarray:
        matrix = librosa.filters.mel(
            sr=SAMPLE_RATE, n_fft=self.fft, n_mels=self.bands, fmin=self.lowest, fmax=self.highest, dtype=np.float64
        )
        return matrix.T

    def _spectra(self, waveform):
        # A window centred in the FFT's 512 samples has the same magnitudes as one at their beginning.
        half = self.window // 2
        reflected = tf.pad(waveform, [[0, 0], [half, half]], "REFLECT")
        return tf.abs(tf.signal.stft(reflected, self.window, self.hop, self.fft))[:, :-1]


def onset_settings(sample_rate: int = SAMPLE_RATE) -> dict:
    """Everything that `onsets` of a given waveform depend on."""
    return {
        "librosa": librosa.__version__,
        "sample_rate": sample_rate,
        "hop_length": round(_ONSET_HOP * sample_rate),
        "n_fft": round(_ONSET_WINDOW * sample_rate),
        "n_mels": _ONSET_BANDS,
    }


def onsets(waveform: np.ndarray, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Seconds at which something begins to sound, rising; empty for silence.

    librosa's onset detection (peaks of the spectral flux of a mel spectrogram) on a grid of 16 ms, with
    spectra of 64 ms.

    Args:
      waveform: mono, `(samples,)`, float.
    """
    waveform = np.asarray(waveform, np.float32)
    if not np.any(waveform):
        return np.zeros(0)
    settings = onset_settings(sample_rate)
    hop, window = settings["hop_length"], settings["n_fft"]
    waveform = np.pad(waveform, (0, max(window - len(waveform), 0)))
    strength = librosa.onset.onset_strength(
        y=waveform, sr=sample_rate, hop_length=hop, n_fft=window, n_mels=settings["n_mels"]
    )
    return librosa.onset.onset_detect(onset_envelope=strength, sr=sample_rate, hop_length=hop, units="time")
