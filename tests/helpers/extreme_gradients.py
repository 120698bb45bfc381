"""Gradients at scores where float32 rounds probabilities to 0 and 1, eagerly and in a graph."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

# Float32 rounds the sigmoid of most of them to 0 or 1, and the softmax of all but the largest to 0.
EXTREMES = np.array([-100.0, -50.0, -20.0, -17.0, 0.0, 17.0, 20.0, 50.0, 100.0])


def check_extreme_gradients(function: Callable, inputs: Sequence, expected: Sequence, **tolerance) -> None:
    """The gradients of the sum of `function(*inputs)` are `expected`, a float64 array an input, both ways."""
    tensors = [tf.constant(array, "float32") for array in inputs]

    def differentiated():
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            total = tf.reduce_sum(function(*tensors))
        return tape.gradient(total, tensors, unconnected_gradients="zero")

    for found in (differentiated(), tf.function(differentiated)()):
        for ours, reference in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, reference, **{"rtol": 1e-4, "atol": 1e-6, **tolerance})


def check_steps(model: keras.Model, inputs: dict, labels: np.ndarray, biases: dict, expected: dict) -> None:
    """What one training step with rate 1 takes off the biases of layers is `expected`, eagerly and in a graph.

    Args:
      model: compiled with the paper's loss, which is kept; its optimizer is replaced.
      biases: layer -> its bias; its kernel is set to zeros, so that its output is the bias.
      expected: layer -> the float64 gradient of the mean loss.
    """
    for eagerly in (True, False):
        model.compile(keras.optimizers.SGD(1.0), model.loss, run_eagerly=eagerly, jit_compile=False)
        for layer, bias in biases.items():
            kernel, _ = model.get_layer(layer).get_weights()
            model.get_layer(layer).set_weights([np.zeros_like(kernel), bias])
        model.train_on_batch(inputs, labels)
        for layer, gradient in expected.items():
            taken = biases[layer] - model.get_layer(layer).get_weights()[-1]
            np.testing.assert_allclose(taken, gradient, rtol=1e-4, atol=1e-5, err_msg=f"{layer}, eagerly {eagerly}")


def softmax(scores: np.ndarray) -> np.ndarray:
    """Over the last axis, in float64."""
    powers = np.exp(np.float64(scores) - np.max(scores, axis=-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def sigmoid(scores: np.ndarray) -> np.ndarray:
    """In float64."""
    return 1 / (1 + np.exp(-np.float64(scores)))
