"""Update dropping: three Adams, their draws, what they leave out, and that resumed training is identical."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mafnet
from avpipeline.training.state import Progress, restore_state, save_state
from mafnet.config import UPDATES
from mafnet.optimizers import SeparateAdams
from mafnet.recipe import UpdateDropping, left_out
from tests.helpers.mafnet_small import small_batch, small_model

SEQUENCE = ("all", "sound", "sound", "all", "image", "sound", "all", "image")


def compiled(name="concatenation", preset="paper", seed=0, **recipe):
    """A small model whose visual path and audio path are dense layers, with the same weights at every call."""
    keras.utils.set_random_seed(1)
    model = small_model(name, preset)
    mafnet.compile_model(model, mafnet.train_config(preset, **recipe), seed)
    # At these sizes a step costs less than its graph.
    model.run_eagerly = True
    return model


def train(model, steps=1, **schedule):
    """`steps` steps on batches that differ from each other; the history."""
    inputs, labels = small_batch(model, 4 * steps)
    return model.fit(inputs, labels, batch_size=4, shuffle=False, verbose=0, **schedule)


def weights(model, *layers):
    chosen = [layer for layer in model.layers if not layers or layer.name in layers]
    return [np.array(weight) for layer in chosen for weight in layer.trainable_weights]


def with_gradient(model):
    """The weights except biases before a normalization or softmax: their gradient is round-off, which Adam enlarges."""
    without = ("_dense/bias", "score/bias")
    return [np.array(weight) for weight in model.trainable_weights if not weight.path.endswith(without)]


def state(model):
    return [np.array(variable) for variable in (*model.variables, *model.optimizer.variables)]


def equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


# --- the draws


@pytest.mark.parametrize(("prob_image", "prob_all"), [(0.0, 0.9), (0.2, 0.5), (0.0, 0.0)])
def test_draws_have_the_shares_asked_for(prob_image, prob_all):
    optimizer = SeparateAdams(prob_image=prob_image, prob_all=prob_all, seed=3)
    counts = np.bincount(np.asarray(optimizer.drawn(np.arange(40_000))), minlength=3) / 40_000
    np.testing.assert_allclose(counts, [prob_image, prob_all, 1 - prob_image - prob_all], atol=0.01)


def test_shares_of_nothing_and_everything_are_exact():
    steps = np.arange(100_000)
    assert set(np.asarray(SeparateAdams(prob_all=1.0).drawn(steps))) == {UPDATES.index("all")}
    assert set(np.asarray(SeparateAdams(prob_image=1.0, prob_all=0.0).drawn(steps))) == {UPDATES.index("image")}
    assert UPDATES.index("image") not in np.asarray(SeparateAdams().drawn(steps))


def test_draws_of_neighbouring_steps_and_seeds_are_unrelated():
    def sounds(seed):
        drawn = np.asarray(SeparateAdams(prob_all=0.5, seed=seed).drawn(np.arange(20_000)))
        return drawn == UPDATES.index("sound")

    first = sounds(0)
    for lag in (1, 2, 3, 8, 104):
        assert abs(np.corrcoef(first[:-lag], first[lag:])[0, 1]) < 0.03
    for seed in (1, 2, 1000, 2**31):
        assert abs(np.corrcoef(first, sounds(seed))[0, 1]) < 0.03


def test_draws_are_the_same_in_a_graph_and_under_xla():
    optimizer = SeparateAdams(prob_all=0.6, seed=5)
    steps = np.arange(3000, dtype="int64")
    expected = np.asarray(optimizer.drawn(steps))
    for options in ({}, {"jit_compile": True}):
        np.testing.assert_array_equal(tf.function(optimizer.drawn, **options)(tf.constant(steps)), expected)


def test_sequence_is_repeated():
    drawn = SeparateAdams(update_sequence=("sound", "all", "image")).drawn(np.arange(7))
    assert [UPDATES[index] for index in np.asarray(drawn)] == [*2 * ("sound", "all", "image"), "sound"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"prob_image": 0.2}, "sum to at most 1"),
        ({"prob_all": -0.1}, "sum to at most 1"),
        ({"seed": -1}, "0 or more"),
        ({"update_sequence": ("sounds",)}, "updates are image, all, sound, not sounds"),
        ({"update_sequence": ()}, "not none at all"),
        ({"left_out": {"everything": (0,)}}, "not everything"),
        ({"amsgrad": True}, "amsgrad is not supported"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        SeparateAdams(**wrong)


# --- what a step changes


def test_steps_equal_three_keras_adams():
    """A Keras Adam for each update, built with that update's variables, in a plain loop."""
    ours = compiled(update_sequence=SEQUENCE, learning_rate=0.01)
    train(ours, len(SEQUENCE))

    model = compiled()
    skipped = left_out(model, "path")
    adams = {update: keras.optimizers.Adam(0.01, epsilon=1e-8) for update in UPDATES}
    inputs, labels = small_batch(model, 4 * len(SEQUENCE))
    for step, update in enumerate(SEQUENCE):
        rows = slice(4 * step, 4 * step + 4)
        variables = [
            v for place, v in enumerate(model.trainable_variables) if place not in skipped.get(update, ())
        ]
        with tf.GradientTape() as tape:
            outputs = model({name: x[rows] for name, x in inputs.items()}, training=True)
            loss = keras.losses.CategoricalCrossentropy()(labels[rows], outputs)
        adams[update].apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    for a, b in zip(with_gradient(ours), with_gradient(model), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
    assert np.asarray(ours.optimizer.steps).tolist() == [SEQUENCE.count(update) for update in UPDATES]


VISUAL, AUDIO = ("visual_block", "visual_dense", "visual_norm"), ("audio_block", "audio_dense", "audio_norm")


@pytest.mark.parametrize(("update", "left", "trained"), [("sound", VISUAL, AUDIO), ("image", AUDIO, VISUAL)])
def test_step_leaves_the_other_path_bit_identical(update, left, trained):
    """Paper preset, after steps of 'all' that gave the path moments."""
    model = compiled("film_both", update_sequence=("all", "all", update, update))
    train(model, 2)
    before = {part: weights(model, *part) for part in (left, trained)}
    shared = weights(model, "attention"), weights(model, "classifier")
    train(model, 2)
    assert before[left] and equal(before[left], weights(model, *left))
    assert not any(np.array_equal(a, b) for a, b in zip(before[trained], weights(model, *trained), strict=True))
    assert not equal(shared[0], weights(model, "attention")) and not equal(shared[1], weights(model, "classifier"))


def test_one_adam_with_zeroed_gradients_would_move_the_path():
    """The momentum of the steps before goes on moving it: why there are three Adams."""
    model = compiled()
    adam = keras.optimizers.Adam(1e-3)
    inputs, labels = small_batch(model)
    for update in ("all", "all", "sound"):
        before = weights(model, *VISUAL)
        with tf.GradientTape() as tape:
            loss = keras.losses.CategoricalCrossentropy()(labels, model(inputs, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        if update == "sound":
            skipped = left_out(model, "path")["sound"]
            gradients = [g * (place not in skipped) for place, g in enumerate(gradients)]
        adam.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    moved = [np.abs(a - b).max() for a, b in zip(before, weights(model, *VISUAL), strict=True)]
    assert min(moved) > 1e-5


def test_accident_of_the_code_still_trains_the_hidden_layer_of_the_path_left_out():
    model = compiled("mafnet", "code", update_sequence=("all", "sound", "image"))
    train(model, 1)
    seen, normed = weights(model, "visual_dense"), weights(model, "visual_norm")
    train(model, 1)
    assert equal(normed, weights(model, "visual_norm")) and not equal(seen, weights(model, "visual_dense"))
    block, heard, normed = (
        weights(model, "audio_block"),
        weights(model, "audio_dense"),
        weights(model, "audio_norm"),
    )
    train(model, 1)
    assert equal(block, weights(model, "audio_block")) and equal(normed, weights(model, "audio_norm"))
    assert not equal(heard, weights(model, "audio_dense"))


@pytest.mark.parametrize("update", UPDATES)
def test_population_statistics_follow_every_batch(update):
    """Whatever is drawn, of both paths, by the batch's biased variance."""
    model = compiled("mafnet", "code", update_sequence=(update,))
    inputs, labels = small_batch(model)
    before_norm = keras.Model(model.input, model.get_layer("visual_norm").input)(inputs)
    model.train_on_batch(inputs, labels)
    seen = np.asarray(before_norm).reshape(-1, before_norm.shape[-1])
    norm = model.get_layer("visual_norm")
    np.testing.assert_allclose(norm.moving_mean, 0.001 * seen.mean(0), rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(norm.moving_variance, 0.999 + 0.001 * seen.var(0), rtol=1e-6)
    for name in ("audio_norm", "classifier_norm"):
        assert np.abs(model.get_layer(name).moving_mean).max() > 0
    assert np.abs(model.get_layer("audio_block").norm.moving_mean).max() > 0


def test_models_with_one_path_or_a_recipe_of_their_own_have_one_adam():
    for name in mafnet.MODELS:
        model = small_model(name)
        mafnet.compile_model(model)
        both = name not in ("visual", "audio", "attention_cluster", "dmrn", "dmrn_vgg")
        assert isinstance(model, UpdateDropping) == both
        assert isinstance(model.optimizer, SeparateAdams) == both
        assert model.optimizer.epsilon == 1e-8 and model.jit_compile is False


def test_another_optimizer_trains_everything():
    model = compiled()
    model.compile("sgd", "categorical_crossentropy", run_eagerly=True, jit_compile=False)
    before = weights(model, *VISUAL)
    train(model)
    assert not equal(before, weights(model, *VISUAL))


# --- the rest of Keras


def test_learning_rate_callbacks_reach_every_set_of_moments():
    rates = [0.01, 0.0, 0.002]
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: rates[epoch])
    for update in UPDATES:
        model = compiled(update_sequence=(update,))
        seen = [weights(model)]
        note = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_, s=seen, m=model: s.append(weights(m)))
        train(model, 1, epochs=3, callbacks=[scheduler, note])
        assert [equal(a, b) for a, b in zip(seen, seen[1:], strict=False)] == [False, True, False]


def test_learning_rate_schedules_count_all_steps():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([2], [0.01, 0.0])
    model = compiled()
    model.compile(SeparateAdams(schedule, update_sequence=("all", "sound", "all")), "categorical_crossentropy")
    model.run_eagerly = True
    train(model, 3)
    before = weights(model)
    train(model, 2)
    assert equal(before, weights(model))


@pytest.mark.slow
def test_several_steps_in_one_execution_are_the_same_steps():
    one, several = (compiled(seed=4, prob_all=0.5) for _ in range(2))
    several.compile(SeparateAdams.from_config(several.optimizer.get_config()), several.loss, steps_per_execution=3)
    train(one, 6)
    train(several, 6)
    for a, b in zip(with_gradient(one), with_gradient(several), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
    assert np.asarray(several.optimizer.steps).sum() == 6 and np.asarray(several.optimizer.steps)[2] > 0


@pytest.mark.parametrize("how", ["keras file", "state of a run"])
def test_training_goes_on_bit_for_bit_after_a_reload(how, tmp_path):
    through = compiled(seed=7, prob_all=0.5)
    train(through, 2)
    if how == "keras file":
        through.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        again.run_eagerly = True
        assert isinstance(again, UpdateDropping)
        assert again.optimizer.get_config() == through.optimizer.get_config()
    else:
        save_state(through, Progress(), tmp_path / "state.npz")
        again = compiled(seed=7, prob_all=0.5)
        restore_state(again, tmp_path / "state.npz")
    assert equal(state(through), state(again))
    for model in (through, again):
        train(model, 3)
    assert equal(state(through), state(again))
    assert min(np.asarray(again.optimizer.steps)[1:]) > 0


def test_half_precision_scales_the_loss_and_leaves_out_the_same():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = compiled("mafnet", update_sequence=("all", "sound"))
    finally:
        keras.config.set_dtype_policy("float32")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    plain = compiled("mafnet", update_sequence=("all", "sound"))
    half_loss, loss = (train(each, 1).history["loss"][0] for each in (model, plain))
    # Not the loss that was scaled by 32768.
    np.testing.assert_allclose(half_loss, loss, rtol=0.01)
    before = weights(model, *VISUAL), weights(model, *AUDIO)
    train(model, 1)
    assert equal(before[0], weights(model, *VISUAL)) and not equal(before[1], weights(model, *AUDIO))
    assert np.asarray(model.optimizer.inner_optimizer.steps).tolist() == [0, 1, 1]
    for ours, theirs in zip(weights(model), weights(plain), strict=True):
        assert np.abs(ours - theirs).max() < 3e-3


def test_step_with_infinite_gradients_is_taken_by_no_adam():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = compiled(update_sequence=("all", "sound"))
    finally:
        keras.config.set_dtype_policy("float32")
    model.optimizer.dynamic_scale.assign(2.0**120)
    before = weights(model)
    train(model, 1)
    assert equal(before, weights(model))
    assert np.asarray(model.optimizer.inner_optimizer.steps).tolist() == [0, 0, 0]
