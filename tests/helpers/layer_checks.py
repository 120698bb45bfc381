"""The generic check that every layer passes."""

import hashlib
import json
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf


def check_layer(layer: keras.layers.Layer, *inputs: np.ndarray, no_gradient: tuple[str, ...] = ()) -> list[np.ndarray]:
    """Asserts what holds for every layer, and returns its outputs.

    The shapes are those that compute_output_shape says; the configuration survives JSON; a copy made from it
    with the same weights gives the same outputs; gradients reach every trainable weight; a batch in another order
    gives the outputs in that order; half precision runs.

    Args:
      no_gradient: ends of the paths of weights that the outputs do not depend on, such as a bias before a softmax.
    """
    outputs = as_list(layer(*inputs))
    shapes = layer.compute_output_shape(*(array.shape for array in inputs))
    shapes = [shapes] if isinstance(shapes[0], int) else list(shapes)
    assert [tuple(output.shape) for output in outputs] == [tuple(shape) for shape in shapes]

    config = layer.get_config()
    copy = type(layer).from_config(json.loads(json.dumps(config)))
    copy(*inputs)
    copy.set_weights(layer.get_weights())
    for first, second in zip(outputs, as_list(copy(*inputs)), strict=True):
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-6)

    reverse = as_list(layer(*(array[::-1].copy() for array in inputs)))
    for first, second in zip(outputs, reverse, strict=True):
        np.testing.assert_allclose(first, np.asarray(second)[::-1], rtol=0, atol=1e-5)

    check_gradients(layer, inputs, no_gradient)
    half = type(layer).from_config({**config, "dtype": "mixed_bfloat16"})
    assert all(np.isfinite(np.asarray(output, "float32")).all() for output in as_list(half(*inputs)))
    return [np.asarray(output) for output in outputs]


def check_gradients(layer, inputs, no_gradient=()) -> None:
    with tf.GradientTape() as tape:
        # Squares, since the sum of a softmax has no gradient.
        total = sum(tf.reduce_sum(tf.square(output)) for output in as_list(layer(*inputs)))
    weights = layer.trainable_weights
    for weight, gradient in zip(weights, tape.gradient(total, list(weights)), strict=True):
        assert gradient is not None, weight.path
        assert np.abs(np.asarray(gradient)).max() > 0 or weight.path.endswith(no_gradient), weight.path


def check_round_trip(model: keras.Model, inputs: dict, folder) -> None:
    """The model saved as `.keras` and loaded with safe mode on gives the same outputs."""
    path = folder / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path, compile=False)
    for first, second in zip(as_list(model(inputs)), as_list(loaded(inputs)), strict=True):
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-6)


def check_same_network(first: Callable, second: Callable, inputs: dict) -> None:
    """Both functions build the same model: structure, names, initial values from one seed, outputs to the bit."""
    models = []
    for build in (first, second):
        # Keras numbers operations without a name; the count starts anew.
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(0)
        models.append(build())
    ours, theirs = models
    assert type(ours) is type(theirs) and ours.get_config() == theirs.get_config()
    for ours_weight, theirs_weight in zip(ours.weights, theirs.weights, strict=True):
        assert ours_weight.path == theirs_weight.path
        np.testing.assert_array_equal(ours_weight, theirs_weight, err_msg=ours_weight.path)
    np.testing.assert_array_equal(ours(inputs), theirs(inputs))


def as_list(outputs) -> list:
    if isinstance(outputs, dict):
        return list(outputs.values())
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def digest(model) -> str:
    """The beginning of the hash of all of a model's weights."""
    return hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()[:12]
