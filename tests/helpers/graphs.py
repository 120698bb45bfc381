"""Training without graphs, whose tracing costs seconds where a few small steps cost next to nothing."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def without_graphs(wanted: bool = True) -> Iterator[None]:
    """Runs every `tf.function` inside op by op; with `wanted` False as graphs, also inside another such block."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(wanted)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)
