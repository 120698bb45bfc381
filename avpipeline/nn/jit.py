"""Whether XLA compiles the training step."""

from avpipeline.nn.backends import TENSORFLOW


def jit_compile() -> bool | str:
    """For `compile`: no XLA under TensorFlow, where it is eight times slower than plain kernels on a CPU.

    JAX without it takes a step operation by operation.
    """
    return not TENSORFLOW
