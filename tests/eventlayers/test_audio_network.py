"""The event layers' audio network and the small backbones in its and MC3-18's place."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from eventlayers.audio_network import build_audio_network
from eventlayers.small_backbones import build_small_event_audio, build_small_event_visual
from eventlayers.sound import EventLogMel
from tests.helpers.layer_checks import digest


@pytest.fixture(scope="module")
def network():
    return build_audio_network(frames=40)


def test_shapes_and_parameters_are_those_of_ten_seconds():
    model = build_audio_network()
    assert model.input_shape == (None, 1000, 80) and model.output_shape == (None, 100, 512)
    assert sum(weight.numpy().size for weight in model.trainable_weights) == 3_825_472
    shapes = {layer.name: tuple(layer.output.shape[1:3]) for layer in model.layers}
    assert [shapes[name] for name in ("conv1", "conv1_pool", "conv2_pool", "conv5_pool", "conv6")] == [
        (1000, 40),
        (1000, 19),
        (500, 9),
        (100, 4),
        (100, 1),
    ]


def convolved(x, layer):
    """Valid convolution, window by window: `x` (time, mel, in)."""
    kernel, (dt, dm) = np.asarray(layer.kernel, float), layer.strides
    height, width = kernel.shape[:2]
    return np.array(
        [
            [np.tensordot(x[t : t + height, m : m + width], kernel, 3) for m in range(0, x.shape[1] - width + 1, dm)]
            for t in range(0, x.shape[0] - height + 1, dt)
        ]
    )


def pooled(x, size, strides):
    steps = [range(0, length - span + 1, stride) for length, span, stride in zip(x.shape, size, strides, strict=False)]
    return np.array([[x[t : t + size[0], m : m + size[1]].max((0, 1)) for m in steps[1]] for t in steps[0]])


def forward(model, spectrogram):
    """The network of the specification for one spectrogram, in NumPy."""

    def normalized(x, name):
        norm = model.get_layer(f"{name}_bn")
        gamma, beta, mean, variance = map(np.asarray, (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance))
        return np.maximum((x - mean) / np.sqrt(variance + 1e-5) * gamma + beta, 0)

    def layer(x, name, padding):
        x = np.pad(x, ((padding[0],) * 2, (padding[1],) * 2, (0, 0)))
        return normalized(convolved(x, model.get_layer(name)), name)

    x = pooled(layer(spectrogram[..., None], "conv1", (1, 1)), (1, 3), (1, 2))
    x = np.pad(layer(x, "conv2", (1, 1)), ((1, 1), (0, 0), (0, 0)), constant_values=-np.inf)
    x = pooled(x, (3, 3), (2, 2))
    for name in ("conv3", "conv4", "conv5"):
        x = layer(x, name, (1, 1))
    return layer(pooled(x, (5, 2), (5, 2)), "conv6", (1, 0))[:, 0]


def test_it_is_the_network_of_the_specification(network):
    rng = np.random.default_rng(0)
    for weight in network.weights:
        if len(weight.shape) == 1:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape) - (weight.name in ("beta", "moving_mean")))
    spectrogram = rng.normal(-4, 2, (40, 80)).astype("float32")
    expected = forward(network, spectrogram)
    assert expected.shape == (4, 512)
    ours = network(spectrogram[None])[0]
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4 * expected.max())


def test_every_weight_learns(network):
    spectrogram = tf.random.stateless_normal((2, 40, 80), (0, 1))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(network(spectrogram, training=True) - 1))
    for weight, gradient in zip(
        network.trainable_weights, tape.gradient(loss, list(network.trainable_weights)), strict=True
    ):
        assert np.abs(gradient).max() > 0, weight.path


@pytest.mark.parametrize("frames", [0, 5, 1001])
def test_other_lengths_are_refused(frames):
    with pytest.raises(ValueError, match="multiple of 10"):
        build_audio_network(frames=frames)


@pytest.fixture(scope="module")
def small():
    """The small backbones by modality."""
    return {"visual": build_small_event_visual(), "audio": build_small_event_audio()}


def test_small_backbones_start_the_same_everywhere(small):
    """Stored features and saved models are bound to these hashes: a change makes all of them useless."""
    assert (digest(small["visual"]), digest(small["audio"])) == ("ff83362e736e", "e6c823634340")
    assert digest(build_small_event_visual(1)) != digest(small["visual"])
    assert digest(build_small_event_audio(1)) != digest(small["audio"])
    assert len(small["visual"].trainable_weights) == 6 and len(small["audio"].trainable_weights) == 4


def test_small_backbones_have_the_faces_of_the_real_ones(small):
    frames = np.random.default_rng(0).integers(0, 256, (1, 100, 32, 32, 3)).astype("uint8")
    seen = small["visual"](frames)
    assert seen["features"].shape == (1, 100, 512) and seen["maps"].shape == (1, 100, 4, 4, 512)
    np.testing.assert_allclose(seen["features"], np.mean(seen["maps"], (2, 3)), rtol=0, atol=1e-5)
    assert np.min(seen["maps"]) == 0 < np.max(seen["maps"])
    waveform = np.zeros((1, 160_000), "float32")
    waveform[0, 32_000:48_000] = np.sin(np.arange(16_000) * 0.3)
    heard = np.asarray(small["audio"](EventLogMel()(waveform)))[0]
    assert heard.shape == (100, 512)
    # A tone from 2 to 3 s: nothing before and after, but for the half time step that a window reaches over.
    assert np.flatnonzero(heard.any(-1)).tolist() == list(range(19, 31))


def test_the_small_visual_network_sees_each_frame_alone(small):
    frames = np.full((1, 100, 32, 32, 3), 90, "uint8")
    changed = frames.copy()
    changed[0, 40, :8, :8] = (250, 10, 10)
    before, after = small["visual"](frames)["maps"][0], small["visual"](changed)["maps"][0]
    difference = np.abs(np.asarray(after) - np.asarray(before)).max(-1)
    assert np.flatnonzero(difference.max((1, 2)) > 1e-3).tolist() == [40]
    assert difference[40, 0, 0] > 0.1 and difference[40, 3, 3] < 1e-3


def test_backbones_are_saved_and_loaded(small, network, tmp_path):
    for model, shape in ((small["audio"], (1, 1000, 80)), (network, (1, 40, 80))):
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        spectrogram = np.random.default_rng(1).normal(-4, 2, shape).astype("float32")
        np.testing.assert_allclose(loaded(spectrogram), model(spectrogram), rtol=0, atol=1e-5)
