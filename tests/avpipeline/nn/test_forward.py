"""The forward pass as a graph: the numbers of the eager one, traced once for batches of any size."""

import keras
import numpy as np
import pytest

from avpipeline.nn.forward import forward_graph


@pytest.mark.parametrize("named", [True, False])
def test_a_graph_gives_the_eager_numbers_and_is_traced_once(named):
    traces = []

    class Counted(keras.layers.Layer):
        def call(self, x):
            traces.append(x.shape)
            return 2 * x

    keras.utils.set_random_seed(0)
    frames = keras.Input((6, 6, 3), name="frames")
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(frames))
    x = keras.layers.Dropout(0.5)(Counted()(x))
    model = keras.Model({"frames": frames} if named else frames, {"maps": x} if named else x)
    forward, traced = forward_graph(model), 0
    for count in (1, 3, 2):
        # Frames are bytes in memory and float32 in the network.
        batch = np.random.default_rng(count).integers(0, 255, (count, 6, 6, 3), np.uint8)
        expected = model({"frames": batch} if named else batch, training=False)
        before = len(traces)
        found = forward({"frames": batch} if named else batch)
        traced += len(traces) - before
        if named:
            found, expected = found["maps"], expected["maps"]
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert traced == 1
