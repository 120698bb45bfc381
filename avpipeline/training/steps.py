"""Several training steps in one call of TensorFlow, where a step is so short that Python between steps counts."""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from avpipeline.nn.backends import has_gpu

# Arithmetic that takes about 20 ms on two cores of a CPU; a GPU does all that these models need in that time.
_SHORT_STEP = 4e8
_MOST_TOGETHER = 32
# Before this version, Keras dropped the last batches of a validation that did not fill a whole call.
_KERAS = (3, 8)


class FiniteSteps:
    """Counts within the graph how many of an epoch's steps had a finite loss; Python sees only the last of each call.

    Args:
      model: compiled; its training step counts from now on.
    """

    def __init__(self, model: keras.Model):
        self._count = tf.Variable(0, trainable=False, dtype=tf.int64)
        step = model.train_step

        def counting(data):
            logs = step(data)
            self._count.assign_add(tf.cast(tf.math.is_finite(logs["loss"]), tf.int64))
            return logs

        model.train_step = counting

    def restart(self) -> None:
        """Begins an epoch."""
        self._count.assign(0)

    def __int__(self) -> int:
        return int(self._count.numpy())


def take_together(
    model: keras.Model, batch_size: int, steps: int, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> FiniteSteps | None:
    """Sets how many steps `fit` takes in one call, which changes no result; returns their counter, None for one step.

    Args:
      model: compiled, for one device.
      steps: those of an epoch; the number per call divides it, since Keras would go beyond the epoch otherwise.
      callbacks: if one of them follows every step, steps are taken one at a time.
    """
    together = _together(operations_of_a_step(model, batch_size), steps)
    if together == 1 or any(map(_follows_steps, callbacks)):
        return None
    model.steps_per_execution = together
    return FiniteSteps(model)


def _together(operations: float, steps: int) -> int:
    version = tuple(int(number) for number in keras.version().split(".")[:2])
    if version < _KERAS or (operations > _SHORT_STEP and not has_gpu()):
        return 1
    return max(number for number in range(1, min(_MOST_TOGETHER, steps) + 1) if steps % number == 0)


def _follows_steps(callback: keras.callbacks.Callback) -> bool:
    hooks = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
    return any(getattr(type(callback), hook) is not getattr(keras.callbacks.Callback, hook) for hook in hooks)


def operations_of_a_step(model: keras.Model, batch_size: int) -> float:
    """A rough upper bound of floating-point operations, as if every weight were used at every place of the input.

    Forward and backward pass take two and four operations a weight. Axes of unknown length count as one.
    """
    places = max(math.prod(size or 1 for size in tensor.shape[1:-1]) for tensor in model.inputs)
    return 6.0 * batch_size * places * model.count_params()
