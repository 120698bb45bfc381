"""What a function costs: the time of a call, and the floating-point operations in its graph."""

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf


def seconds_per_call(function: Callable, seconds: float) -> float:
    """Median time of a call, over the calls that fit into `seconds` (at least one), after a warm-up call.

    Args:
      function: returns a tensor, which is waited for, or anything else once its work is done.
    """
    return seconds_per_call_in_turn([function], seconds)[0]


def seconds_per_call_in_turn(functions: Sequence[Callable], seconds: float) -> list[float]:
    """Like `seconds_per_call`, for several functions called in turn, so that other load slows all of them alike."""
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
    # GPU kernels run asynchronously; only reading the values waits for them.
    if isinstance(result, tf.Tensor):
        np.asarray(result)


def operations(function: tf.types.experimental.PolymorphicFunction) -> int:
    """Floating-point operations of one call, counted in its graph; a multiply-add counts as two.

    Element-wise operations count once where TensorFlow's profiler knows them. Shapes must be static in the graph.
    """
    tf.get_logger().setLevel("ERROR")  # the profiler itself calls a deprecated function
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    graph = function.get_concrete_function().graph
    return tf.compat.v1.profiler.profile(graph, options=options).total_float_ops
