"""Which Keras backend is in use, and what depends on it.

Layers, losses and optimizers are written in `keras.ops`. TensorFlow's own operations, imported only if it is the
backend, are used where they are faster, each beside an equivalent for the other backends.
"""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from avpipeline.errors import InputError

TENSORFLOW = keras.config.backend() == "tensorflow"


def require_tensorflow(what: str) -> None:
    """Raises InputError on another backend; `what` only works with TensorFlow, e.g. "training commands run"."""
    if not TENSORFLOW:
        raise InputError(
            f"KERAS_BACKEND={keras.config.backend()}: {what} on TensorFlow only; unset KERAS_BACKEND "
            "(docs/backends.md says what runs without it)."
        )


def has_gpu() -> bool:
    """Whether the backend sees a GPU."""
    if TENSORFLOW:
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    return any(device.startswith(("gpu", "cuda")) for device in keras.distribution.list_devices())


def jit_compile() -> bool | str:
    """For `compile`: under TensorFlow, Keras's own choice on one GPU and elsewhere no XLA; under JAX always.

    TensorFlow's XLA is eight times slower than plain kernels on a CPU, and cannot sum the gradients of several devices.
    JAX without it takes a step operation by operation.
    """
    if not TENSORFLOW:
        return True
    import tensorflow as tf

    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return "auto" if replicas == 1 and has_gpu() else False


def on_host(function: Callable[..., np.ndarray], shape: Sequence[int], *tensors, ordered: bool = False):
    """Calls `function` with the tensors as NumPy arrays, also from inside a graph; returns float32 of a known shape.

    Args:
      ordered: whether the calls of one step are to end before those of the next begin.
    """
    if TENSORFLOW:
        import tensorflow as tf

        return tf.ensure_shape(tf.numpy_function(function, tensors, tf.float32), shape)
    import jax
    from jax.experimental import io_callback

    def called(*arrays):
        return function(*map(np.asarray, arrays))

    return io_callback(called, jax.ShapeDtypeStruct(tuple(shape), "float32"), *tensors, ordered=ordered)


def in_graph(variable: keras.Variable) -> bool:
    """Whether a graph that reads `variable` is being traced; if not, waits for the calls of `on_host`."""
    if TENSORFLOW:
        import tensorflow as tf

        return not tf.executing_eagerly()
    import jax

    if isinstance(variable.value, jax.core.Tracer):
        return True
    jax.effects_barrier()
    return False
