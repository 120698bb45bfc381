"""What the benchmarks measure with: time per call, arithmetic in a graph, the machine's best rate, memory."""

import resource
import sys
from collections.abc import Callable

import tensorflow as tf

from avpipeline.training.cost import operations, seconds_per_call, seconds_per_call_in_turn

__all__ = ["matrix_product", "operations", "peak_memory", "seconds_per_call", "seconds_per_call_in_turn"]

# Large enough to keep every core busy; a GPU needs more.
_MATRIX_SIZE = {"cpu": 2048, "gpu": 8192}


def matrix_product() -> tuple[Callable, int]:
    """A large float32 matrix product on the machine's best device, and its floating-point operations."""
    size = _MATRIX_SIZE["gpu" if tf.config.list_physical_devices("GPU") else "cpu"]
    left, right = tf.random.normal((size, size)), tf.random.normal((size, size))
    # Only one number is copied back from the device, and it depends on the whole product.
    return tf.function(lambda: tf.reduce_max(tf.matmul(left, right)), jit_compile=False), 2 * size**3


def peak_memory() -> dict[str, float]:
    """Peak memory of this process so far, in MB; with a GPU, that of its memory too."""
    unit = 1 if sys.platform == "darwin" else 1024  # macOS reports bytes, Linux kilobytes
    peak = {"peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6}
    if tf.config.list_physical_devices("GPU"):
        peak["peak GPU MB"] = tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e6
    return peak
