"""GAP inside a training step: the rows wait on the device, and the result is the one of the host."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from avpipeline.metrics import on_host
from avpipeline.metrics.ranking import GAP
from tests.helpers.imports import ROOT
from tests.helpers.whole_arrays import measure


class Watched(GAP):
    """With room for eight videos; notes how many each call of the host brought."""

    def __init__(self):
        super().__init__()
        self.handed_over = []
        self._buffer = on_host._Buffer(self._buffer._kept.shape[1], videos=8)

    def _receive_rows(self, rows):
        self.handed_over.append(len(rows))
        return super()._receive_rows(rows)


def videos(count: int, classes: int):
    rng = np.random.default_rng(0)
    return (rng.random((count, classes)) < 0.2).astype(np.float32), rng.random((count, classes), np.float32)


@pytest.mark.parametrize("classes", [4, 40])
def test_the_host_is_called_when_the_result_is_due_or_the_buffer_full(classes):
    """Batches of 3 videos: due at 1, then 6, 12, 24, 48; 8 videos fit, so that the third batch to wait is too many."""
    metric, (labels, probabilities) = Watched(), videos(45, classes)
    step = tf.function(metric.update_state, jit_compile=False)
    for start in range(0, 45, 3):
        step(labels[start : start + 3], probabilities[start : start + 3])
    assert metric.handed_over == [3, 3, 6, 9, 3, 9, 9]
    assert float(metric.result()) == measure(GAP(), labels, probabilities)
    # Three videos waited.
    assert metric.handed_over[-1] == 3 and sum(metric.handed_over) == 45
    metric.reset_state()
    step(labels[:3], probabilities[:3])
    assert float(metric.result()) == measure(GAP(), labels[:3], probabilities[:3])


def test_a_batch_larger_than_the_buffer():
    metric, (labels, probabilities) = Watched(), videos(30, 5)
    step = tf.function(metric.update_state, jit_compile=False)
    for start in (0, 15):
        step(labels[start : start + 15], probabilities[start : start + 15])
    assert metric.handed_over == [15, 15] and float(metric.result()) == measure(GAP(), labels, probabilities)


def test_training_step_calls_the_host_in_a_branch_alone():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=[GAP()], jit_compile=False)
    step = tf.function(model.train_step, jit_compile=False)
    graph = step.get_concrete_function((tf.zeros((2, 3)), tf.zeros((2, 5)))).graph
    assert "PyFunc" not in " ".join(operation.type for operation in graph.get_operations())
    branches = [node.op for function in graph.as_graph_def().library.function for node in function.node_def]
    assert branches.count("EagerPyFunc") + branches.count("PyFunc") == 1


MIRRORED = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from avpipeline.metrics.ranking import GAP
from tests.helpers.whole_arrays import measure
from tests.avpipeline.metrics.test_buffered import videos
labels, inputs = videos(48, 6)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Activation("linear"), keras.layers.Dense(6, "sigmoid")])
    model.compile(keras.optimizers.SGD(0.0), "binary_crossentropy", metrics=[GAP()], jit_compile=False)
history = model.fit(inputs, labels, batch_size=8, epochs=2, verbose=0).history["gap"]
expected = measure(GAP(), labels, model.predict(inputs, verbose=0))
np.testing.assert_allclose(history, [expected, expected], atol=1e-6)
print("equal")
"""


@pytest.mark.slow
def test_two_devices_have_a_buffer_each():
    done = subprocess.run([sys.executable, "-c", MIRRORED], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.endswith("equal\n"), done.stderr
