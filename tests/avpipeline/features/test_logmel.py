"""LogMel against an independent NumPy computation and the recorded values."""

import keras
import numpy as np
import pytest

from avpipeline.errors import InputError
from avpipeline.features.logmel import LogMel, split_seconds

RATE = 16000


def reference_log_mel(second: np.ndarray) -> np.ndarray:
    """The definition, frame by frame in float64: `(16000,)` -> `(96, 64)`."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    spectra = np.stack([np.abs(np.fft.rfft(second[160 * i : 160 * i + 400] * window, 512)) for i in range(96)])

    def mel(hertz):
        return 1127.0 * np.log(1.0 + hertz / 700.0)

    edges = np.linspace(mel(125.0), mel(7500.0), 66)
    bins = mel(np.arange(257) * RATE / 512)
    matrix = np.zeros((257, 64))
    for band in range(64):
        rise = (bins - edges[band]) / (edges[band + 1] - edges[band])
        fall = (edges[band + 2] - bins) / (edges[band + 2] - edges[band + 1])
        matrix[:, band] = np.maximum(0, np.minimum(rise, fall))
    matrix[0] = 0.0  # the constant part of the sound
    return np.log(spectra @ matrix + 0.01)


def sounds() -> np.ndarray:
    random = np.random.default_rng(0)
    time = np.arange(RATE) / RATE
    return np.stack(
        [
            random.uniform(-1, 1, RATE),
            0.8 * np.sin(2 * np.pi * 440 * time),
            np.sin(2 * np.pi * (100 + 3000 * time) * time),
            1e-3 * random.normal(size=RATE),
            np.zeros(RATE),
        ]
    ).astype(np.float32)


def test_log_mel_is_the_definition():
    expected = np.stack([reference_log_mel(second.astype(np.float64)) for second in sounds()])
    result = np.asarray(LogMel()(sounds()))
    assert result.shape == (5, 96, 64) and result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=2e-6)


@pytest.mark.golden
def test_log_mel_agrees_with_vggish(golden):
    waveform = golden["vggish_logmel.npz", "waveform_int16"]
    result = np.asarray(LogMel()(split_seconds(waveform / np.float32(32768))))
    golden.compare("vggish_logmel.npz", "log_mel", result, 1e-4, unit="one")


def test_each_second_is_framed_alone():
    both = np.asarray(LogMel()(sounds()[:2]))
    np.testing.assert_allclose(both[1:], np.asarray(LogMel()(sounds()[1:2])), atol=1e-6)


def test_log_mel_stays_in_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        result = np.asarray(LogMel()(sounds()))
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_allclose(result, np.asarray(LogMel()(sounds())), atol=1e-6)


def test_log_mel_in_a_model_that_is_saved_and_loaded(tmp_path):
    model = keras.Sequential([keras.Input((RATE,)), LogMel()])
    assert model.output_shape == (None, 96, 64) and not model.weights
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(sounds(), verbose=0), model.predict(sounds(), verbose=0))


def test_another_length_than_a_second_is_refused():
    with pytest.raises(InputError, match="one second a row"):
        LogMel()(np.zeros((2, 8000), np.float32))


def test_the_tail_after_the_last_whole_second_is_dropped():
    waveform = np.arange(2 * RATE + 500)
    seconds = split_seconds(waveform)
    assert seconds.shape == (2, RATE) and seconds[1, 0] == RATE and seconds[1, -1] == 2 * RATE - 1
    assert split_seconds(waveform[:100]).shape == (0, RATE)
