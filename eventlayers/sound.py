"""The event layers' sound: the log-mel spectrogram of their audio network, and the onsets of the onset layer."""

import keras
import librosa
import numpy as np

from avpipeline.errors import InputError
from avpipeline.features.logmel import LogMel
from avpipeline.media.decoding import SAMPLE_RATE
from eventlayers.config import ONSET_METHODS


@keras.saving.register_keras_serializable(package="avpipeline")
class EventLogMel(LogMel):
    """The event layers' log-mel spectrogram: `(batch, samples)` float32 at 16 kHz -> `(batch, samples // 160, 80)`.

    10 s give `(batch, 1000, 80)`. Periodic Hann window of 320 samples, hop 160, FFT of 512, magnitude, 80 mel
    bands from 0 to 8000 Hz on librosa's default (Slaney) scale and norm, log(mel + 1e-20). Frames are centred, with
    the waveform reflected at both ends; the frame centred on its very end, the 1001st of 10 s, is dropped. Silence is
    -46.05. Source: Afouras et al. 2020, as in Senocak et al. 2023, Section 4.1. Their samples are 16-bit integers,
    -32768 to 32767: all that is not digital silence is then 10.40 (log 32768) higher than here.

    Computed in float64, as `LogMel`.
    """

    bands = 80
    window = 320
    lowest, highest = 0.0, 8000.0
    offset = 1e-20
    # A window at the beginning of the FFT's 512 samples has the same magnitudes as librosa's, which is centred.
    _reflected = window // 2
    _kept = slice(-1)

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


def onset_settings(method: str = "librosa") -> dict:
    """All settings that `onsets` of a given waveform depend on."""
    rate, hop, fft, bands = ONSET_METHODS[method]
    return {"librosa": librosa.__version__, "sample_rate": rate, "hop_length": hop, "n_fft": fft, "n_mels": bands}


def onsets(waveform: np.ndarray, sample_rate: int = SAMPLE_RATE, method: str = "librosa") -> np.ndarray:
    """Seconds at which something begins to sound, `(onsets,)` in ascending order; empty for silence.

    The onset(A) of Eq. 3: librosa's onset detection (peaks of the spectral flux of a mel spectrogram), by default with
    that function's own settings, which at 16 kHz are a hop of 32 ms and windows of 128 ms.

    Args:
      waveform: mono, `(samples,)`, float.
      sample_rate: in Hz; a waveform of another rate than the method's is resampled.
      method: one of `eventlayers.config.ONSET_METHODS`.
    """
    waveform = np.asarray(waveform, np.float32)
    if not np.any(waveform):
        return np.zeros(0)
    rate, hop, window, bands = ONSET_METHODS[method]
    if sample_rate != rate:
        waveform = librosa.resample(waveform, orig_sr=sample_rate, target_sr=rate)
    waveform = np.pad(waveform, (0, max(window - len(waveform), 0)))
    strength = librosa.onset.onset_strength(y=waveform, sr=rate, hop_length=hop, n_fft=window, n_mels=bands)
    return librosa.onset.onset_detect(onset_envelope=strength, sr=rate, hop_length=hop, units="time")
