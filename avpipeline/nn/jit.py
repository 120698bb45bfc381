"""Whether XLA compiles the training step."""

import tensorflow as tf


def jit_compile() -> bool | str:
    """For `compile`: Keras's own choice on one GPU, elsewhere no XLA.

    It is eight times slower than plain kernels on a CPU, and cannot sum the gradients of several devices.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return "auto" if replicas == 1 and tf.config.list_physical_devices("GPU") else False
