"""The event layers' log-mel spectrogram against librosa; onsets of known notes."""

import warnings

import keras
import librosa
import numpy as np
import pytest

from avpipeline.errors import InputError
from eventlayers.config import ONSET_METHODS
from eventlayers.sound import EventLogMel, onset_settings, onsets

RATE = 16000


def reference(waveform: np.ndarray) -> np.ndarray:
    """librosa with the published settings, in float64: `(samples,)` -> `(samples // 160, 80)`."""
    mel = librosa.feature.melspectrogram(
        y=waveform.astype(np.float64),
        sr=RATE,
        n_fft=512,
        win_length=320,
        hop_length=160,
        window="hann",
        center=True,
        pad_mode="reflect",
        power=1.0,
        n_mels=80,
        fmin=0.0,
        fmax=8000.0,
    )
    return np.log(mel.T + 1e-20)[:-1]


def sounds(samples=10 * RATE) -> np.ndarray:
    random = np.random.default_rng(0)
    time = np.arange(samples) / RATE
    return np.stack(
        [
            random.uniform(-1, 1, samples),
            np.sin(2 * np.pi * 440 * time) * (time < 0.5),  # digital silence after it
            1e-3 * np.sin(2 * np.pi * (100 + 300 * time) * time),
        ]
    ).astype(np.float32)


def test_ten_seconds_agree_with_librosa():
    waveforms = sounds()
    result = np.asarray(EventLogMel()(waveforms))
    assert result.shape == (3, 1000, 80) and result.dtype == np.float32
    np.testing.assert_allclose(result, [reference(waveform) for waveform in waveforms], rtol=0, atol=1e-4)


@pytest.mark.parametrize("samples", [640, 1600, RATE])
def test_other_lengths_agree_with_librosa(samples):
    waveforms = sounds(samples)
    layer = EventLogMel()
    result = np.asarray(layer(waveforms))
    assert result.shape == layer.compute_output_shape(waveforms.shape) == (3, samples // 160, 80)
    np.testing.assert_allclose(result, [reference(waveform) for waveform in waveforms], rtol=0, atol=1e-4)


def test_silence_is_the_logarithm_of_the_offset():
    np.testing.assert_allclose(EventLogMel()(np.zeros((1, 1600), "float32")), np.full((1, 10, 80), np.log(1e-20)))


def test_frames_are_centred_on_their_moment():
    """A click at 0.25 s is in frame 25 alone: the windows beside it begin and end there."""
    click = np.zeros((1, RATE), "float32")
    click[0, RATE // 4] = 1
    heard = np.flatnonzero((np.asarray(EventLogMel()(click))[0] > -40).any(-1))
    assert heard.tolist() == [25]


def test_a_row_does_not_depend_on_the_others():
    waveforms = sounds(RATE)
    np.testing.assert_allclose(EventLogMel()(waveforms)[1:2], EventLogMel()(waveforms[1:2]), rtol=0, atol=1e-6)


def test_it_stays_in_float32_under_mixed_precision_and_in_a_saved_model(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = keras.Sequential([keras.Input((RATE,)), EventLogMel()])
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.output_shape == (None, 100, 80) and not model.weights
    expected = [reference(waveform) for waveform in sounds(RATE)]
    np.testing.assert_allclose(model(sounds(RATE)), expected, rtol=0, atol=1e-4)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(sounds(RATE)), model(sounds(RATE)))


@pytest.mark.parametrize("shape", [(1, 160), (1, 1000), (1600,), (1, 10, 160)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(InputError, match="whole hops of 160 samples"):
        EventLogMel()(np.zeros(shape, "float32"))


def test_samples_of_16_bits_are_10_4_higher_except_in_silence():
    """As in the network's own paper; here samples lie in [-1, 1]."""
    sound = sounds(RATE)[:1]
    higher = np.asarray(EventLogMel()(32768 * sound)) - np.asarray(EventLogMel()(sound))
    np.testing.assert_allclose(higher, np.log(32768), atol=1e-4)
    assert np.log(32768) == pytest.approx(10.40, abs=0.01)


def notes(rate: int, seconds: float = 3.5) -> tuple[list[float], np.ndarray]:
    """Onsets of four plucked notes in faint noise, and their waveform."""
    times, time = [0.4, 1.1, 1.75, 2.6], np.arange(round(seconds * rate)) / rate
    sound = 1e-3 * np.random.default_rng(0).normal(size=len(time))
    for note, start in enumerate(times):
        after = np.maximum(time - start, 0)
        sound += (time >= start) * np.exp(-8 * after) * np.sin(2 * np.pi * (400 + 150 * note) * after)
    return times, sound.astype("float32")


@pytest.mark.parametrize("method", ONSET_METHODS)
@pytest.mark.parametrize("rate", [16000, 44100])
def test_onsets_are_where_plucked_notes_begin(rate, method):
    """At 16 kHz and a hop of 32 ms librosa's shortest wait is no frame, so the frame after an onset may be one too."""
    times, sound = notes(rate)
    hop = ONSET_METHODS[method][1] / ONSET_METHODS[method][0]
    found = onsets(sound, rate, method)
    distances = np.abs(found[:, None] - times)
    assert (distances.min(0) <= 0.03).all() and (distances.min(1) <= 0.03 + hop).all()
    assert len(found) == len(times) or method == "librosa"


def test_the_default_is_librosas_own():
    """Of hop, FFT and mel bands, at the paper's 16 kHz."""
    sound = np.random.default_rng(1).normal(0, 0.1, 10 * RATE) * (np.arange(10 * RATE) % 9000 < 4000)
    sound = sound.astype("float32")
    expected = librosa.onset.onset_detect(y=sound, sr=RATE, units="time")
    assert len(expected) > 10
    np.testing.assert_array_equal(onsets(sound), expected)
    resampled = librosa.resample(sound, orig_sr=RATE, target_sr=22050)
    expected = librosa.onset.onset_detect(y=resampled, sr=22050, units="time")
    np.testing.assert_array_equal(onsets(sound, method="librosa-22050"), expected)


def test_onset_methods_are_named():
    assert onset_settings() | {"librosa": ""} == {
        "librosa": "",
        **{"sample_rate": 16_000, "hop_length": 512, "n_fft": 2048, "n_mels": 128},
    }
    assert ONSET_METHODS["fine"] == (16_000, 256, 1024, 64)
    assert ONSET_METHODS["librosa-22050"] == (22_050, 512, 2048, 128)
    assert ONSET_METHODS["fine-22050"] == (22_050, 256, 1024, 64)


@pytest.mark.parametrize("samples", [0, 1, 500, 16000])
def test_silence_has_no_onsets_and_no_warning(samples):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = onsets(np.zeros(samples))
    assert found.shape == (0,)


@pytest.mark.parametrize("samples", [1, 100, 2000])
def test_short_sounds_give_no_warning(samples):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = onsets(np.random.default_rng(0).normal(0, 0.1, samples))
    assert (found >= 0).all() and (found <= max(samples, 2048) / RATE).all()
