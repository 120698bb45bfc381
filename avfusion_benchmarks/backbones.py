"""Speed of the event layers' backbones, which take a whole clip of 10 s and give features of each time step."""

import keras
import numpy as np
import tensorflow as tf

from avfusion_benchmarks.networks import speed
from avpipeline.features.mc3 import build_mc3_18
from eventlayers.audio_network import build_audio_network
from eventlayers.small_backbones import build_small_event_audio, build_small_event_visual

_BUILD = {
    "mc3_18": build_mc3_18,
    "event_audio_network": build_audio_network,
    "small_event_visual": build_small_event_visual,
    "small_event_audio": build_small_event_audio,
}


def training_step(seconds: float, *, name: str) -> dict[str, float]:
    """Forward pass, backward pass and update for one clip in memory, with zeros as target features."""
    network, clip = _network(name)
    network.compile("adam", "mse", jit_compile=False)
    target = tf.zeros((1, *network.output.shape[1:]))
    step = tf.function(lambda: network.train_step((clip, target))["loss"], jit_compile=False)
    return speed(step, seconds, batch=1)


def forward(seconds: float, *, name: str) -> dict[str, float]:
    """The forward pass for one clip in memory, as in prediction."""
    network, clip = _network(name)
    whole = tf.function(lambda: tf.reduce_sum(network(clip, training=False)), jit_compile=False)
    return speed(whole, seconds, batch=1)


def _network(name: str) -> tuple[keras.Model, tf.Tensor]:
    """The network from a clip's frames or spectrogram to its features `(1, 100, 512)`, and a random clip."""
    network = _BUILD[name]()
    features = network.output["features"] if isinstance(network.output, dict) else network.output
    network = keras.Model(network.input, features)
    return network, tf.constant(np.random.default_rng(0).normal(size=(1, *network.input.shape[1:])), tf.float32)
