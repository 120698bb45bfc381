"""LSTM and GRU against NumPy, and what two biases do to training."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from avpipeline.nn import cudnn
from avpipeline.nn.recurrent import BidirectionalGRU, BidirectionalLSTM, TorchGRU, TorchLSTM, unroll
from tests.helpers.environment import with_a_gpu
from tests.helpers.layer_checks import check_layer
from tests.reference import ave as numpy_reference
from tests.reference import jca as numpy_jca


def test_bidirectional_lstm_equals_numpy():
    layer = BidirectionalLSTM(4, name="lstm")
    sequence = np.random.default_rng(0).standard_normal((2, 5, 3)).astype("float32")
    (ours,) = check_layer(layer, sequence)
    weights = {weight.path: np.asarray(weight) for weight in layer.weights}
    for video in range(2):
        theirs = numpy_reference.bidirectional(sequence[video], weights, "lstm")
        np.testing.assert_allclose(ours[video], theirs, atol=1e-6)


def test_every_weight_starts_uniform_in_one_over_root_units():
    keras.utils.set_random_seed(0)
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


def test_masked_steps_have_no_gradient():
    """Whatever the padding holds, and the real steps have the gradient that they have alone."""
    layer = BidirectionalLSTM(4, name="lstm")
    sequence = np.random.default_rng(0).standard_normal((2, 5, 3)).astype("float32")
    padded = np.concatenate([sequence, np.full((2, 3, 3), 1e4, "float32")], axis=1)
    mask = np.arange(8)[None] < np.array([[5], [5]])

    def gradient(x, **kwargs):
        x = tf.convert_to_tensor(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(layer(x, **kwargs)[:, :5] ** 2)
        return tape.gradient(total, x)

    alone = gradient(sequence)
    for found in (gradient(padded, mask=mask), tf.function(gradient)(padded, mask=mask)):
        np.testing.assert_allclose(found[:, :5], alone, atol=1e-6)
        np.testing.assert_array_equal(found[:, 5:], 0)


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


@pytest.mark.parametrize(("kind", "cell", "states"), [(BidirectionalLSTM, "lstm", 2), (BidirectionalGRU, "gru", 1)])
@pytest.mark.parametrize("given", [True, False])
def test_stacked_layers_from_initial_states_equal_numpy(kind, cell, states, given):
    layer = kind(4, num_layers=3, dropout=0.5, name="rnn")
    sequence = np.random.default_rng(0).standard_normal((2, 5, 3)).astype("float32")
    if not given:
        (ours,) = check_layer(layer, sequence)
        initial = None
    else:
        layer.build(sequence.shape)
        assert layer.initial_states_shape == (states * 6, 4)
        initial = np.random.default_rng(1).standard_normal(layer.initial_states_shape).astype("float32")
        ours = np.asarray(layer(sequence, initial_states=initial))
    weights = {weight.path: np.asarray(weight) for weight in layer.weights}
    for video in range(2):
        theirs = numpy_jca.stacked(sequence[video], weights, "rnn", num_layers=3, cell=cell, initial=initial)
        np.testing.assert_allclose(ours[video], theirs, atol=1e-5)


def test_dropout_acts_between_layers_only():
    sequence = np.random.default_rng(0).standard_normal((2, 5, 3)).astype("float32")
    for num_layers, differs in ((1, False), (2, True)):
        layer = BidirectionalLSTM(4, num_layers, dropout=0.5)
        first, second = layer(sequence, training=True), layer(sequence, training=True)
        assert (np.abs(first - second).max() > 1e-3) == differs


@pytest.mark.parametrize("kind", [TorchLSTM, TorchGRU])
def test_backwards_is_forwards_on_the_reversed_sequence(kind):
    sequence = np.random.default_rng(0).standard_normal((2, 5, 3)).astype("float32")
    forward, backward = kind(4), kind(4, go_backwards=True)
    forward(sequence), backward(sequence)
    backward.set_weights(forward.get_weights())
    np.testing.assert_allclose(backward(sequence)[:, ::-1], forward(sequence[:, ::-1].copy()), atol=1e-6)


@pytest.mark.parametrize("kind", [BidirectionalLSTM, BidirectionalGRU])
def test_masked_steps_of_stacked_layers_change_nothing(kind):
    layer = kind(4, num_layers=2)
    sequence = np.random.default_rng(0).standard_normal((2, 5, 3)).astype("float32")
    padded = np.concatenate([sequence, np.full((2, 3, 3), 9, "float32")], axis=1)
    ours = np.asarray(layer(padded, mask=np.arange(8)[None] < np.array([[5], [5]])))
    np.testing.assert_allclose(ours[:, :5], layer(sequence), atol=1e-6)
    np.testing.assert_array_equal(ours[:, 5:], 0)


@pytest.mark.parametrize("kind", [BidirectionalLSTM, BidirectionalGRU])
@pytest.mark.parametrize("whole", [False, True])
def test_a_mask_with_holes_leaves_steps_out_from_initial_states_too(kind, whole):
    """What is masked might as well not be there: each video's other steps, run alone, have the same outputs."""
    rng = np.random.default_rng(0)
    sequence, mask = rng.standard_normal((3, 6, 3)).astype("float32"), rng.random((3, 6)) < 0.6
    layer = kind(4, num_layers=2)
    with with_a_gpu() if whole else contextlib.nullcontext():
        layer.build(sequence.shape)
    initial = rng.standard_normal(layer.initial_states_shape).astype("float32")
    ours = np.asarray(layer(sequence, mask=mask, initial_states=initial))
    for video, present, found in zip(sequence, mask, ours, strict=True):
        alone = layer(video[present][np.newaxis], initial_states=initial)
        np.testing.assert_allclose(found[present], alone[0], atol=1e-5)
        np.testing.assert_array_equal(found[~present], 0)


@pytest.mark.parametrize("kind", [BidirectionalLSTM, BidirectionalGRU])
def test_initial_states_in_half_precision(kind):
    rng = np.random.default_rng(0)
    sequence = rng.standard_normal((2, 5, 3)).astype("float32")
    full, half = kind(4, num_layers=2), kind(4, num_layers=2, dtype="mixed_bfloat16")
    for layer in (full, half):
        layer.build(sequence.shape)
    half.set_weights(full.get_weights())
    initial = rng.standard_normal(full.initial_states_shape).astype("float32")
    ours = half(sequence, initial_states=initial)
    assert ours.dtype == "bfloat16"
    np.testing.assert_allclose(np.asarray(ours, "float32"), full(sequence, initial_states=initial), atol=0.03)


def test_layer_that_was_saved_with_one_layer_still_loads():
    """Configurations from before there were stacked layers lack their settings."""
    layer = BidirectionalLSTM.from_config({"name": "lstm", "units": 4})
    layer.build((None, 5, 3))
    assert (layer.num_layers, layer.dropout) == (1, 0.0)
    assert {weight.path for weight in layer.weights} == {
        f"lstm/{direction}/{kind}"
        for direction in ("forward", "backward")
        for kind in ("kernel", "recurrent_kernel", "bias", "recurrent_bias")
    }


@pytest.mark.parametrize("given", [True, False])
def test_the_whole_pass_has_the_weights_outputs_and_gradients_of_the_walk(given):
    """On a CPU Keras's call of cuDNN's kernel takes its general form, with the same weights."""
    sequence = np.random.default_rng(0).standard_normal((2, 5, 3)).astype("float32")
    start = keras.Variable(np.random.default_rng(1).standard_normal((12, 4)), dtype="float32") if given else None
    found = {}
    for whole in (False, True):
        keras.utils.set_random_seed(0)
        layer = BidirectionalLSTM(4, num_layers=3, name="rnn")
        with with_a_gpu() if whole else contextlib.nullcontext():
            layer.build(sequence.shape)
        after = keras.random.normal((3,))
        assert bool(layer.forward.whole) is whole and layer.forward.supports_jit is not whole
        variables = [*layer.trainable_variables, *([start] if given else [])]
        with tf.GradientTape() as tape:
            outputs = layer(sequence, initial_states=start)
            total = tf.reduce_sum(outputs**2)
        gradients = tape.gradient(total, [variable.value for variable in variables])
        found[whole] = [w.path for w in layer.weights], [after, *layer.weights], [outputs, *gradients]
    assert found[True][0] == found[False][0]
    for mine, theirs in zip(found[True][1], found[False][1], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(found[True][2], found[False][2], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_the_whole_pass_is_for_gpus_and_may_be_left():
    assert not cudnn.chosen("float32")
    with with_a_gpu():
        assert cudnn.chosen("float32") is (keras.backend.backend() == "tensorflow") and not cudnn.chosen("bfloat16")
        model = keras.Sequential([keras.Input((5, 3)), BidirectionalLSTM(4)])
    sequence = np.random.default_rng(0).standard_normal((2, 5, 3)).astype("float32")
    before, layer = model(sequence), model.layers[0].backward
    assert layer.whole
    unroll(model)
    assert layer.whole is None and layer.supports_jit
    np.testing.assert_allclose(model(sequence), before, atol=1e-5)
