"""Networks in prediction: one graph for batches of any size, so that no intermediate result outlives its use."""

from collections.abc import Callable

import keras
import numpy as np

from avpipeline.nn.backends import TENSORFLOW


def forward_graph(model: keras.Model) -> Callable:
    """The forward pass of a model as one graph, traced at the first call (TensorFlow; elsewhere the model is called).

    Called eagerly, a network keeps every activation of the pass: MC3-18 took three times the memory for a clip.

    Returns:
      a function from the model's inputs, arrays `(batch, ...)` in its structure, to its outputs as NumPy arrays.
    """
    if not TENSORFLOW:
        return lambda inputs: keras.tree.map_structure(np.asarray, model(inputs, training=False))
    import tensorflow as tf

    def of_any_batch(tensor) -> tf.TensorSpec:
        return tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)

    specs = tf.nest.map_structure(of_any_batch, model.input)
    run = tf.function(
        lambda inputs: model(inputs, training=False), input_signature=[specs], autograph=False, jit_compile=False
    )

    def forward(inputs):
        given = tf.nest.map_structure(lambda spec, array: tf.cast(array, spec.dtype), specs, inputs)
        return tf.nest.map_structure(lambda tensor: tensor.numpy(), run(given))

    return forward
