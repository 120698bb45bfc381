"""The LSTM against NumPy, and what two biases do to training."""

import keras
import numpy as np
import numpy_reference
from layer_checks import check_layer

from avpipeline.recurrent import BidirectionalLSTM


def test_bidirectional_lstm_equals_numpy():
    layer = BidirectionalLSTM(4, name="lstm")
    sequence = np.random.default_rng(0).standard_normal((2, 5, 3)).astype("float32")
    (ours,) = check_layer(layer, sequence)
    weights = {weight.path: np.asarray(weight) for weight in layer.weights}
    for video in range(2):
        theirs = numpy_reference.bidirectional(sequence[video], weights, "lstm")
        np.testing.assert_allclose(ours[video], theirs, atol=1e-6)


def test_every_weight_starts_uniform_in_one_over_root_units():
    layer = BidirectionalLSTM(64, name="lstm")
    layer.build((None, 5, 32))
    for weight in layer.weights:
        values = np.asarray(weight)
        assert 0.115 < np.abs(values).max() <= 0.125
        np.testing.assert_allclose(values.std(), 0.125 / 3**0.5, rtol=0.1)


def test_masked_steps_change_nothing():
    """Padding after the end, masked, leaves the outputs of the real steps as they are, in both directions."""
    layer = BidirectionalLSTM(4, name="lstm")
    sequence = np.random.default_rng(0).standard_normal((2, 5, 3)).astype("float32")
    padded = np.concatenate([sequence, np.full((2, 3, 3), 9, "float32")], axis=1)
    mask = np.arange(8)[None] < np.array([[5], [5]])
    ours = np.asarray(layer(padded, mask=mask))
    np.testing.assert_allclose(ours[:, :5], layer(sequence), atol=1e-6)
    np.testing.assert_array_equal(ours[:, 5:], 0)


def test_two_biases_move_twice_as_far_as_one():
    """Under Adam each bias takes its own step, so their sum moves by twice the learning rate at the first step."""
    layer = BidirectionalLSTM(4, name="lstm")
    model = keras.Sequential([keras.Input((5, 3)), layer])
    model.compile(keras.optimizers.Adam(1e-3, epsilon=1e-12), "mse", jit_compile=False)
    cell = layer.forward
    before = np.asarray(cell.bias) + np.asarray(cell.recurrent_bias)
    rng = np.random.default_rng(0)
    model.train_on_batch(rng.standard_normal((8, 5, 3)), rng.standard_normal((8, 5, 8)))
    moved = np.abs(np.asarray(cell.bias) + np.asarray(cell.recurrent_bias) - before)
    np.testing.assert_allclose(moved, 2e-3, rtol=1e-2)
