"""Speed of the papers' networks: one training step, and the forward pass."""

import importlib

import keras
import numpy as np
import tensorflow as tf

from avfusion_benchmarks.measuring import matrix_product, operations, peak_memory, seconds_per_call_in_turn
from avfusion_benchmarks.page import AGAINST
from avfusion_benchmarks.plainly import plain_form

BATCH = 64


def training_step(seconds: float, *, paper: str, model: str) -> dict[str, float]:
    """Forward pass, backward pass and update for one batch in memory, in turn with the network's plain form."""
    network, inputs, labels = _network(paper, model)
    step = _training_step(network, inputs, labels)
    step()
    # Measured before the plain form takes memory too.
    memory = peak_memory()
    plain = _training_step(plain_form(network), inputs, labels)
    return {**speed(step, seconds, plain=plain), **memory}


def _training_step(network: keras.Model, inputs, labels):
    return tf.function(lambda: network.train_step((inputs, labels))["loss"], jit_compile=False)


def forward(seconds: float, *, paper: str, model: str) -> dict[str, float]:
    """The forward pass for one batch in memory, as in prediction."""
    network, inputs, _ = _network(paper, model)

    def whole():
        # One number that depends on all outputs, so that nothing is pruned and little is copied back.
        return tf.add_n([tf.reduce_sum(output) for output in tf.nest.flatten(network(inputs, training=False))])

    return speed(tf.function(whole, jit_compile=False), seconds)


def _network(paper: str, model: str) -> tuple[keras.Model, dict, object]:
    """The compiled network at the published sizes, and a random batch for it with one-hot labels."""
    package = importlib.import_module(paper)
    network = package.compile_model(package.build_model(model))
    random = np.random.default_rng(0)

    def features(tensor):
        # Features come from a ReLU: non-negative, about half of them zero.
        return tf.constant(np.maximum(random.normal(size=(BATCH, *tensor.shape[1:])), 0), tf.float32)

    def one_hot(tensor):
        *shape, classes = (BATCH, *tensor.shape[1:])
        return tf.one_hot(random.integers(classes, size=shape), classes)

    return network, tf.nest.map_structure(features, network.input), tf.nest.map_structure(one_hot, network.output)


def speed(function, seconds: float, batch: int = BATCH, plain=None) -> dict[str, float]:
    """Time and arithmetic of a graph that processes `batch` videos, compared with the machine's best rate.

    Args:
      plain: another graph for the same, called in turn with it; None for no comparison.
    """
    product, product_count = matrix_product()
    functions = [function, product, *([plain] if plain else [])]
    taken, product_taken, *plainly = seconds_per_call_in_turn(functions, len(functions) * seconds)
    compared = {"plain, ms a batch": 1e3 * plainly[0], AGAINST: plainly[0] / taken} if plain else {}
    best = product_count / product_taken
    count = operations(function)
    return {
        "videos/s": batch / taken,
        "ms a batch": 1e3 * taken,
        "GFLOP a batch": count / 1e9,
        "GFLOP/s": count / taken / 1e9,
        "matmul GFLOP/s": best / 1e9,
        "share of matmul": count / taken / best,
        **compared,
    }
