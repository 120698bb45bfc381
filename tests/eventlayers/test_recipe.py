"""The loss of five heads, gradients of a batch a few clips at a time, the precision of a model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import eventlayers
from avpipeline.errors import InputError
from eventlayers.recipe import MultiHeadCrossEntropy, precision
from tests.helpers.synthetic_time_steps import CHANNELS, TIME_STEPS, arrays, time_step_split
from tests.reference import eventlayers as reference

SMALL = {"num_classes": 3, "num_moments": TIME_STEPS, "visual_channels": CHANNELS, "audio_channels": CHANNELS}


def test_loss_by_hand():
    """Two heads and two classes: log 2 for the undecided head, log(1 + e^-2) for the sure one."""
    scores = np.array([[[0.0, 0.0], [0.0, 2.0]]], "float32")
    loss = MultiHeadCrossEntropy()(np.array([[0.0, 1.0]], "float32"), scores)
    assert float(loss) == pytest.approx(np.log(2) + np.log1p(np.exp(-2)), rel=1e-6)


def test_loss_is_the_sum_of_five_cross_entropies():
    rng = np.random.default_rng(0)
    scores, labels = 5 * rng.standard_normal((7, 5, 4)).astype("float32"), rng.integers(0, 4, 7)
    expected = np.mean([reference.loss(video, label) for video, label in zip(scores, labels, strict=True)])
    loss = MultiHeadCrossEntropy()(np.eye(4, dtype="float32")[labels], scores)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_loss_of_sure_and_wrong_heads_stays_finite():
    loss = MultiHeadCrossEntropy()(np.array([[1.0, 0.0]], "float32"), np.array([[[-1e4, 1e4]] * 5], "float32"))
    assert float(loss) == pytest.approx(1e5, rel=1e-5)


def test_a_batch_a_few_clips_at_a_time_is_the_whole_batch():
    """Equal weights after the same updates: the gradients of the parts are averaged."""
    split = time_step_split("train", 8)
    inputs, trained = arrays(split), []
    for clips_at_once in (None, 2):
        keras.utils.set_random_seed(2)
        config = eventlayers.train_config(batch_size=4, clips_at_once=clips_at_once, learning_rate=0.01)
        model = eventlayers.compile_model(eventlayers.build_model(**SMALL), config)
        model.fit(inputs, split.labels, batch_size=config.clips_a_step, epochs=3, shuffle=False, verbose=0)
        trained.append(model.get_weights())
    for whole, weight in zip(*trained, strict=True):
        np.testing.assert_allclose(weight, whole, atol=1e-5)


@pytest.mark.parametrize("clips_at_once", [3, 8])
def test_parts_that_do_not_make_up_the_batch_are_refused(clips_at_once):
    config = eventlayers.train_config(batch_size=4, clips_at_once=clips_at_once)
    with pytest.raises(InputError, match=f"--clips-at-once {clips_at_once}: does not divide --batch-size 4"):
        eventlayers.compile_model(eventlayers.build_model(**SMALL), config)


def test_precision_is_that_of_the_layers_built_inside():
    with precision("mixed_bfloat16"):
        inside = keras.layers.Dense(1)
    with precision("auto"):
        auto = keras.layers.Dense(1)
    outside = keras.layers.Dense(1)
    assert inside.compute_dtype == "bfloat16" and outside.compute_dtype == "float32"
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    assert auto.compute_dtype == ("float16" if on_gpu else "float32")


def test_half_precision_trains_with_a_scaled_loss():
    """float16: small gradients survive since Keras scales the loss, also where updates are put together."""
    split = time_step_split("train", 8)
    with precision("mixed_float16"):
        model = eventlayers.build_model(**SMALL)
    config = eventlayers.train_config(batch_size=4, clips_at_once=2, learning_rate=0.05)
    model = eventlayers.compile_model(model, config)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    losses = model.fit(arrays(split), split.labels, batch_size=2, epochs=20, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < 0.7 * losses[0]


def test_metric_in_fit_is_the_accuracy_of_the_votes():
    split = time_step_split("val", 8)
    model = eventlayers.compile_model(eventlayers.build_model(**SMALL))
    measured = model.evaluate(arrays(split), split.labels, batch_size=3, verbose=0, return_dict=True)
    scores = model.predict(arrays(split), verbose=0)
    votes = [reference.vote(video) for video in scores]
    expected = np.mean([labels[vote] > 0 for labels, vote in zip(split.labels, votes, strict=True)])
    assert measured["video_accuracy"] == pytest.approx(expected)
    assert measured["video_accuracy"] == pytest.approx(eventlayers.video_accuracy(split.labels, scores))
