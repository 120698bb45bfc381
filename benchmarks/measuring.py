"""What every benchmark measures with: time a call, arithmetic in a graph, the machine's best rate, memory."""

import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

# Large enough to keep every core busy; a GPU needs more.
_MATRIX_SIZE = {"cpu": 2048, "gpu": 8192}


def seconds_per_call(function: Callable, seconds: float) -> float:
    """Median time of a call, over the calls of about `seconds` (at least one), after one that is not counted.

    Args:
      function: returns a tensor, which is waited for, or anything else once its work is done.
    """
    return seconds_per_call_in_turn([function], seconds)[0]


def seconds_per_call_in_turn(functions: Sequence[Callable], seconds: float) -> list[float]:
    """As `seconds_per_call`, of several functions called in turn: other work on the machine slows all alike."""
    for function in functions:
        _finish(function())
    times = [[] for _ in functions]
    while sum(map(sum, times)) < seconds:
        for function, own_times in zip(functions, times, strict=True):
            start = time.perf_counter()
            _finish(function())
            own_times.append(time.perf_counter() - start)
    return [statistics.median(own_times) for own_times in times]


def _finish(result) -> None:
    # Kernels of a GPU run on after a call returns; only taking the values waits for them.
    if isinstance(result, tf.Tensor):
        np.asarray(result)


def matrix_product() -> tuple[Callable, int]:
    """A large float32 matrix product on the machine's best device, and its floating-point operations."""
    size = _MATRIX_SIZE["gpu" if tf.config.list_physical_devices("GPU") else "cpu"]
    left, right = tf.random.normal((size, size)), tf.random.normal((size, size))
    # Only one number is taken back from the device, and it needs the whole product.
    return tf.function(lambda: tf.reduce_max(tf.matmul(left, right)), jit_compile=False), 2 * size**3


def operations(function: tf.types.experimental.PolymorphicFunction) -> int:
    """Floating-point operations of one call, counted in its graph: products and convolutions twice their size.

    Element-wise operations count once where TensorFlow's profiler knows them. Shapes must be known in the graph.
    """
    tf.get_logger().setLevel("ERROR")  # the profiler's own use of an old function
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    graph = function.get_concrete_function().graph
    return tf.compat.v1.profiler.profile(graph, options=options).total_float_ops


def peak_memory() -> dict[str, float]:
    """The most memory that this process has held so far, in MB; with a GPU, the most of its memory too."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes on Linux
    peak = {"peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6}
    if tf.config.list_physical_devices("GPU"):
        peak["peak GPU MB"] = tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e6
    return peak
