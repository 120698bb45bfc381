"""The event layers' sound: the log-mel spectrogram of their audio network, and the onsets of the onset layer."""

import keras
import librosa
import numpy as np
import tensorflow as tf

from avpipeline.errors import InputError
from avpipeline.features.logmel import LogMel
from avpipeline.media.decoding import SAMPLE_RATE

_ONSET_HOP = 0.016  # seconds between two spectra: 256 samples at 16 kHz
_ONSET_WINDOW = 0.064  # seconds of sound in one spectrum: 1024 samples at 16 kHz
_ONSET_BANDS = 64  # of the mel spectrogram whose changes are onsets


@keras.saving.register_keras_serializable(package="avpipeline")
class EventLogMel(LogMel):
    """The event layers' log-mel spectrogram: `(batch, samples)` float32 at 16 kHz -> `(batch, samples // 160, 80)`.

    10 s give `(batch, 1000, 80)`. Periodic Hann window of 320 samples, hop 160, FFT of 512, magnitude, 80 mel
    bands from 0 to 8000 Hz on librosa's default (Slaney) scale and norm, log(mel + 1e-20). Frames are centred, with
    the waveform reflected at both ends; the frame centred on its very end, the 1001st of 10 s, is dropped. Silence is
    -46.05. Source: Afouras et al. 2020, as in Senocak et al. 2023, Section 4.1.

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
                f"{tuple(input_shape)}; cut the waveform or pad it with zeros."
            )

    def _mel_matrix(self) -> np.ndarray:
        matrix = librosa.filters.mel(
            sr=SAMPLE_RATE, n_fft=self.fft, n_mels=self.bands, fmin=self.lowest, fmax=self.highest, dtype=np.float64
        )
        return matrix.T

    def _spectra(self, waveform):
        # A window at the beginning of the FFT's 512 samples has the same magnitudes as librosa's, which is centred.
        half = self.window // 2
        reflected = tf.pad(waveform, [[0, 0], [half, half]], "REFLECT")
        return tf.abs(tf.signal.stft(reflected, self.window, self.hop, self.fft))[:, :-1]


def onset_settings(sample_rate: int = SAMPLE_RATE) -> dict:
    """All settings that `onsets` of a given waveform depend on."""
    return {
        "librosa": librosa.__version__,
        "sample_rate": sample_rate,
        "hop_length": round(_ONSET_HOP * sample_rate),
        "n_fft": round(_ONSET_WINDOW * sample_rate),
        "n_mels": _ONSET_BANDS,
    }


def onsets(waveform: np.ndarray, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Seconds at which something begins to sound, `(onsets,)` in ascending order; empty for silence.

    The onset(A) of Eq. 3: librosa's onset detection (peaks of the spectral flux of a mel spectrogram) with a hop of
    16 ms and windows of 64 ms.

    Args:
      waveform: mono, `(samples,)`, float.
      sample_rate: in Hz.
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
