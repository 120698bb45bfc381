"""Whether Keras compiles steps by XLA."""

from avpipeline.nn.backends import TENSORFLOW


def jit_compile() -> bool | str:
    """For `compile`: under TensorFlow, Keras's own choice on one GPU and elsewhere no XLA; under JAX always.

    TensorFlow's XLA is eight times slower than plain kernels on a CPU, and cannot sum the gradients of several devices.
    JAX without it takes a step operation by operation.
    """
    if not TENSORFLOW:
        return True
    import tensorflow as tf

    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return "auto" if replicas == 1 and tf.config.list_physical_devices("GPU") else False
