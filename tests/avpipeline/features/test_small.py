"""The small seeded backbones: shapes, fixed weights, sparse non-negative outputs, what they keep."""


import numpy as np
import pytest

from avpipeline.features.small import build_small_audio, build_small_audio_map, build_small_motion, build_small_visual
from tests.helpers.layer_checks import digest


@pytest.fixture(scope="module")
def visual():
    return build_small_visual()


@pytest.fixture(scope="module")
def audio():
    return build_small_audio()


def test_weights_are_the_same_everywhere(visual, audio):
    """Stored features and saved models are bound to these hashes: a change makes all of them useless."""
    assert (digest(visual), digest(audio)) == ("e1dc453457de", "392573c834c8")
    assert digest(build_small_visual(1)) != digest(visual)
    assert digest(build_small_audio(1)) != digest(audio)
    assert not visual.trainable_weights and not audio.trainable_weights


def test_pictures_as_bytes_or_floats_give_the_map(visual):
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    maps = visual.predict(frames, verbose=0)
    assert maps.shape == (2, 7, 7, 512) and maps.dtype == np.float32
    np.testing.assert_array_equal(maps, visual.predict(frames.astype(np.float32), verbose=0))


def test_outputs_are_non_negative_and_mostly_zero(visual, audio):
    rng = np.random.default_rng(1)
    plane = np.sin(np.arange(64) * rng.uniform(0.2, 1.5, (6, 1)))
    pictures = 127 + 120 * plane[:, :, None, None] * plane[:, None, :, None] * rng.uniform(-1, 1, (6, 1, 1, 3))
    time = np.arange(16000) / 16000
    tones = 0.1 * np.sin(2 * np.pi * rng.uniform(150, 3000, (6, 1)) * time) + 0.01 * rng.normal(size=(6, 16000))
    for model, inputs in ((visual, pictures), (audio, tones)):
        outputs = model.predict(inputs.astype(np.float32), verbose=0)
        assert outputs.min() == 0
        assert 0.5 < np.mean(outputs == 0) < 0.95
        assert 1 < outputs.max() < 15


def test_silence_and_plain_grey_give_nothing(visual, audio):
    assert not audio.predict(np.zeros((1, 16000), np.float32), verbose=0).any()
    assert not visual.predict(np.full((1, 64, 64, 3), 127.5, np.float32), verbose=0).any()


def test_maps_are_local(visual):
    """A change in the upper left of the picture leaves the lower right of the map alone."""
    frames = np.full((2, 64, 64, 3), 90, np.uint8)
    frames[1, :16, :16] = (250, 10, 10)
    plain, changed = visual.predict(frames, verbose=0)
    assert np.abs(changed - plain)[:2, :2].max() > 0.1
    np.testing.assert_allclose(changed[4:, 4:], plain[4:, 4:], atol=1e-5)


def test_sounds_differ_by_spectrum_and_by_modulation(audio):
    """A tone, another tone, and the first one beating ten times a second all have directions of their own."""
    time = np.arange(16000) / 16000
    tone = np.sin(2 * np.pi * 400 * time)
    beating = tone * (1 + np.sin(2 * np.pi * 10 * time))
    sounds = 0.1 * np.stack([tone, np.sin(2 * np.pi * 2000 * time), beating])
    features = audio.predict(sounds.astype(np.float32), verbose=0)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    likeness = features @ features.T
    assert likeness[0, 1] < 0.9 and likeness[0, 2] < 0.96


def test_saved_and_loaded_models_are_equal(audio, tmp_path):
    import keras

    audio.save(tmp_path / "audio.keras")
    loaded = keras.models.load_model(tmp_path / "audio.keras")
    sounds = np.random.default_rng(2).normal(size=(2, 16000)).astype(np.float32)
    np.testing.assert_array_equal(loaded.predict(sounds, verbose=0), audio.predict(sounds, verbose=0))


def test_weights_of_the_supplements_networks_are_the_same_everywhere():
    assert (digest(build_small_audio_map()), digest(build_small_motion())) == ("df901079159b", "7994be1044d9")


def test_audio_map_keeps_times_and_frequencies():
    time = np.arange(16000) / 16000
    tone = 0.1 * np.sin(2 * np.pi * 300 * time)
    sounds = np.stack([tone * (time < 0.3), tone * (time > 0.7), np.zeros(16000)]).astype(np.float32)
    maps = build_small_audio_map().predict(sounds, verbose=0)
    assert maps.shape == (3, 6, 4, 512)
    assert maps.min() == 0 and not maps[2].any()
    over_time = maps.sum((2, 3))
    assert over_time[0].argmax() < 3 <= over_time[1].argmax()


def test_motion_is_what_changes_from_frame_to_frame():
    frames = np.random.default_rng(3).integers(0, 256, (1, 64, 64, 3)).astype(np.float32)
    still = np.repeat(frames, 4, axis=0)
    moving = np.stack([np.roll(frames[0], 3 * step, axis=0) for step in range(4)])
    features = build_small_motion().predict(np.stack([still, moving]), verbose=0)
    assert features.shape == (2, 512)
    assert np.abs(features[0]).max() < 1e-5
    assert features[1].min() >= 0 and features[1].max() > 0.1
