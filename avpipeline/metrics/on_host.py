"""Metrics that count in NumPy on the host, and a buffer on the device so that no training step waits for the host."""

from __future__ import annotations

import threading

import keras
import numpy as np
from keras import ops

from avpipeline.nn.backends import TENSORFLOW, in_graph, on_host

if TENSORFLOW:
    import tensorflow as tf

# The result shown during an epoch is computed again once the number of videos has grown by this factor.
_GROWTH = 2
# Videos that fit into the buffer on the device.
_BUFFERED = 2**15


class HostMetric(keras.metrics.Metric):
    """A metric whose counts are kept in NumPy arrays; `ranking` says what that means in `fit`.

    A subclass has `_counts`, which can be cleared and know their `nbytes`, and implements `_gather(labels,
    probabilities)`, which reduces a batch inside the graph to a list of arrays, `_add(*arrays)`, which adds these to
    the counts and the number of `_positives`, and `_computed()`, the metric over all that has been added.
    """

    def __init__(self, name, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self._shown = self.add_variable((), "zeros", "float32", name="shown")
        # Several devices add their batches at the same time.
        self._lock = threading.Lock()
        self.reset_state()

    def update_state(self, y_true, y_pred, sample_weight=None):
        no_weights(self, sample_weight)
        labels, probabilities = ops.convert_to_tensor(y_true), ops.cast(y_pred, "float32")
        usable = ops.all((probabilities >= 0) & (probabilities <= 1))
        if TENSORFLOW:
            # Checked here, so that the exception is the same eagerly and in a graph.
            tf.debugging.assert_equal(usable, True, self._unusable)
        self._take(labels, probabilities, usable)

    def _take(self, labels, probabilities, usable) -> None:
        batch = self._gather(labels, probabilities)
        videos = ops.shape(labels)[0]
        self._shown.assign(on_host(self._receive, (), usable, videos, *batch, ordered=True))

    @property
    def _unusable(self) -> str:
        return f"{self.name}: the model's outputs are not probabilities between 0 and 1 (or NaN)."

    def _receive(self, usable, videos, *arrays: np.ndarray) -> np.float32:
        """Adds the arrays of a batch of videos, unless it is not usable; returns the result to show."""
        if not usable:
            raise ValueError(self._unusable)
        with self._lock:
            self._add(*arrays)
            self._videos += int(videos)
            if self._videos >= self._next:
                self._latest, self._next = self._computed(), _GROWTH * self._videos
            return np.float32(self._latest)

    def result(self):
        """The metric over all videos; inside a graph, the latest that was computed."""
        if in_graph(self._shown):
            return ops.convert_to_tensor(self._shown)
        return ops.convert_to_tensor(self._computed() if self._videos else 0.0, "float32")

    @property
    def nbytes(self) -> int:
        """Bytes that the counts take at present."""
        return self._counts.nbytes

    def reset_state(self):
        self._videos, self._next, self._latest = 0, 1, 0.0
        self._shown.assign(0.0)
        self._positives = 0
        self._counts.clear()


class BufferedMetric(HostMetric):
    """A metric whose training steps leave a row of numbers for each video on the device.

    The host takes them when the buffer is full, when the shown result is due, and for the final result. No step waits
    for it in between. Each of several devices has a buffer of its own. Outside of a graph, and on JAX, every batch goes
    to the host.

    A subclass's `_gather` returns one array, `(batch, columns)` float32: the rows of a batch.

    Args:
      columns: of the rows.
    """

    def __init__(self, name, dtype=None, *, columns: int):
        self._buffer = _Buffer(columns) if TENSORFLOW else None
        super().__init__(name, dtype)

    def _take(self, labels, probabilities, usable) -> None:
        if self._buffer is None or not in_graph(self._shown):
            super()._take(labels, probabilities, usable)
        else:
            (rows,), shown = self._gather(labels, probabilities), ops.convert_to_tensor(self._shown)
            self._shown.assign(self._buffer.add(rows, self._receive_rows, shown))

    def _receive_rows(self, rows: np.ndarray) -> np.float32:
        return self._receive(True, len(rows), rows)

    def result(self):
        if self._buffer is not None and not in_graph(self._shown):
            for rows in self._buffer.emptied():
                self._receive_rows(rows)
        return super().result()

    def reset_state(self):
        super().reset_state()
        if self._buffer is not None:
            self._buffer.clear()


class _Buffer:
    """Rows of the latest videos, on the device, or on each of several.

    Whether it is full follows from the sizes of batches, which the host knows: nothing waits for the device.
    """

    def __init__(self, columns: int, videos: int = _BUFFERED):
        self._videos = videos
        own = {
            "trainable": False,
            # A part on each device, which its steps alone read and write.
            "synchronization": tf.VariableSynchronization.ON_READ,
            "aggregation": tf.VariableAggregation.NONE,
        }
        self._kept = tf.Variable(tf.zeros((videos, columns)), **own)
        with tf.device("CPU:0"):
            # Videos in the buffer, videos so far, and at how many the host is to see them.
            self._counts = tf.Variable(tf.constant([0, 0, 1], tf.int64), **own)

    def add(self, rows: tf.Tensor, receive, shown: tf.Tensor) -> tf.Tensor:
        """Keeps the rows, or hands all of them to the host; returns the result to show from then on."""
        kept, counts = (_own_part(variable).handle for variable in (self._kept, self._counts))
        number = tf.shape(rows, out_type=tf.int64)[0]
        filled, seen, due = tf.unstack(tf.raw_ops.ReadVariableOp(resource=counts, dtype=tf.int64))
        places, seen = tf.range(filled, filled + number), seen + number

        def hand_over() -> tf.Tensor:
            earlier = tf.raw_ops.ReadVariableOp(resource=kept, dtype=tf.float32)[:filled]
            following = tf.where(seen >= due, _GROWTH * seen, due)
            tf.raw_ops.AssignVariableOp(resource=counts, value=tf.stack([0, seen, following]))
            return on_host(receive, (), tf.concat([earlier, rows], 0))

        def keep() -> tf.Tensor:
            tf.raw_ops.ResourceScatterUpdate(resource=kept, indices=places, updates=rows)
            tf.raw_ops.AssignVariableOp(resource=counts, value=tf.stack([filled + number, seen, due]))
            return shown

        return tf.cond((seen >= due) | (filled + number > self._videos), hand_over, keep)

    def emptied(self) -> list[np.ndarray]:
        """Takes the rows of every device out of the buffer."""
        found = []
        for kept, counts in zip(_parts(self._kept), _parts(self._counts), strict=True):
            filled, seen, due = counts.numpy()
            if filled:
                found.append(kept[:filled].numpy())
                counts.assign([0, seen, due])
        return found

    def clear(self) -> None:
        for counts in _parts(self._counts):
            counts.assign([0, 0, 1])


def _own_part(variable) -> tf.Variable:
    """The variable's part on this replica; outside of any replica, where Keras only infers shapes, the first."""
    return variable if tf.distribute.get_replica_context() else _parts(variable)[0]


def _parts(variable) -> tuple:
    """A variable's parts on several devices, or itself."""
    return getattr(variable, "values", (variable,))


def no_weights(metric: keras.metrics.Metric, sample_weight) -> None:
    if sample_weight is not None:
        raise ValueError(f"{metric.name}: is not defined with sample weights; put it into compile(metrics=...).")
