"""The event layers against numbers worked out by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from eventlayers.layers import (
    AudioEventLayer,
    ContinuousEventLayer,
    InstantEventLayer,
    OnsetEventLayer,
    VisualEventLayer,
    correspondence,
)
from tests.helpers.layer_checks import check_layer, check_round_trip

# One video of four time steps, two channels a modality. S = z^V . z^A = 2, 7, -1, 7.
VISUAL = np.array([[[1, 0], [2, 1], [0, 1], [1, 3]]], "float32")
AUDIO = np.array([[[2, 5], [3, 1], [4, -1], [4, 1]]], "float32")
NO_ONSETS = (np.zeros((1, 3), "int32"), np.zeros((1, 3), bool))


def features(videos=3, time=6, channels=4, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((videos, time, channels)).astype("float32") for _ in range(2)]


def onsets_of(*videos, places=None):
    """Padded indices and mask; the padding is a time step that no video has."""
    places = places or max(map(len, videos))
    onsets, mask = np.full((len(videos), places), 10_000, "int32"), np.zeros((len(videos), places), bool)
    for row, steps in enumerate(videos):
        onsets[row, : len(steps)], mask[row, : len(steps)] = steps, True
    return onsets, mask


def test_continuous_visual_and_audio_by_hand():
    np.testing.assert_allclose(ContinuousEventLayer()(VISUAL, AUDIO), [[1, 1.25, 3.25, 1.5]])
    np.testing.assert_allclose(VisualEventLayer()(VISUAL, AUDIO), [[1, 1.25, 0, 0]])
    np.testing.assert_allclose(AudioEventLayer()(VISUAL, AUDIO), [[0, 0, 3.25, 1.5]])


def test_instant_by_hand():
    np.testing.assert_allclose(correspondence(VISUAL, AUDIO), [[2, 7, -1, 7]])
    # Time steps 1 and 3; their equal scores do not matter.
    np.testing.assert_allclose(InstantEventLayer(2)(VISUAL, AUDIO), [[1.5, 2, 3.5, 1]])
    # Time steps 1, 3 and 0.
    np.testing.assert_allclose(InstantEventLayer(3)(VISUAL, AUDIO), [[4 / 3, 4 / 3, 3, 7 / 3]], rtol=1e-6)
    # Of two equal scores for the last place the earlier time step.
    np.testing.assert_allclose(InstantEventLayer(1)(VISUAL, AUDIO), [[2, 1, 3, 1]])
    assert InstantEventLayer(3).time_steps(VISUAL, AUDIO).numpy().tolist() == [[1, 3, 0]]


def test_instant_by_cosine_by_hand():
    """Loud time steps no longer win: 2/sqrt(29), 7/sqrt(50), -1/sqrt(17), 7/sqrt(170)."""
    expected = [2 / 29**0.5, 7 / 50**0.5, -1 / 17**0.5, 7 / 170**0.5]
    np.testing.assert_allclose(correspondence(VISUAL, AUDIO, "cosine"), [expected], rtol=1e-6)
    loud = VISUAL * np.array([1, 1, 1, 100], "float32")[:, None]
    assert InstantEventLayer(1).time_steps(loud, AUDIO).numpy().tolist() == [[3]]
    assert InstantEventLayer(1, "cosine").time_steps(loud, AUDIO).numpy().tolist() == [[1]]
    # What is pooled are the features themselves.
    np.testing.assert_allclose(InstantEventLayer(1, "cosine")(loud, AUDIO), [[2, 1, 3, 1]])
    assert not correspondence(VISUAL * 0, AUDIO, "cosine").numpy().any()


def test_order_of_the_top_moments_does_not_matter():
    visual, audio = features()
    layer = InstantEventLayer(4)
    order = np.random.default_rng(1).permutation(visual.shape[1])
    np.testing.assert_allclose(layer(visual[:, order], audio[:, order]), layer(visual, audio), rtol=0, atol=1e-6)


def test_equal_moments_give_that_moment_whatever_k():
    """Silence and a still frame: all scores tie, and every choice has the same mean."""
    visual, audio = (np.repeat(feature[:, :1], 6, axis=1) for feature in features())
    for k in (1, 3, 6, 9):
        np.testing.assert_allclose(
            InstantEventLayer(k)(visual, audio), ContinuousEventLayer()(visual, audio), rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("k", [6, 7, 100])
def test_k_of_all_moments_or_more_is_the_continuous_layer(k):
    visual, audio = features()
    result = InstantEventLayer(k)(visual, audio)
    np.testing.assert_allclose(result, ContinuousEventLayer()(visual, audio), rtol=0, atol=1e-6)


def test_onset_by_hand():
    layer = OnsetEventLayer()
    np.testing.assert_allclose(layer(VISUAL, AUDIO, *onsets_of([2])), [[0, 1, 4, -1]])
    np.testing.assert_allclose(layer(VISUAL, AUDIO, *onsets_of([0, 3])), [[1, 1.5, 3, 3]])
    np.testing.assert_allclose(layer(VISUAL, AUDIO, *onsets_of([3, 0], places=4)), [[1, 1.5, 3, 3]])


def test_all_onsets_and_no_onset_are_the_continuous_layer():
    expected = ContinuousEventLayer()(VISUAL, AUDIO)
    np.testing.assert_allclose(OnsetEventLayer()(VISUAL, AUDIO, *onsets_of([0, 1, 2, 3])), expected)
    np.testing.assert_allclose(OnsetEventLayer()(VISUAL, AUDIO, *NO_ONSETS), expected)
    np.testing.assert_allclose(OnsetEventLayer()(VISUAL, AUDIO, NO_ONSETS[0][:, :0], NO_ONSETS[1][:, :0]), expected)


def test_a_video_does_not_depend_on_its_batch_mates():
    visual, audio = features()
    steps = [[4], [0, 1, 2, 5], []]
    together = np.asarray(OnsetEventLayer()(visual, audio, *onsets_of(*steps, places=7)))
    for video, own in enumerate(steps):
        alone = OnsetEventLayer()(visual[[video]], audio[[video]], *onsets_of(own, places=max(len(own), 1)))
        np.testing.assert_allclose(together[[video]], alone, rtol=0, atol=1e-6)
    for layer in (ContinuousEventLayer(), InstantEventLayer(2), VisualEventLayer(), AudioEventLayer()):
        alone = np.concatenate([layer(visual[[video]], audio[[video]]) for video in range(3)])
        np.testing.assert_allclose(layer(visual, audio), alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [ContinuousEventLayer()]
    + [InstantEventLayer(2), InstantEventLayer(2, "cosine")]
    + [VisualEventLayer(), AudioEventLayer()],
    ids=lambda layer: layer.name,
)
def test_what_holds_for_every_layer(layer):
    (output,) = check_layer(layer, *features())
    assert output.shape == (3, 8) and not layer.weights


def test_what_holds_for_every_layer_with_onsets():
    check_layer(OnsetEventLayer(), *features(), *onsets_of([4], [0, 1, 2, 5], []))


def test_k_is_kept_in_the_configuration_and_checked():
    assert InstantEventLayer.from_config(InstantEventLayer(7).get_config()).k == 7
    kept = InstantEventLayer(7, "cosine").get_config()
    assert InstantEventLayer.from_config(kept).score == "cosine"
    # Models saved before there was a choice.
    assert InstantEventLayer.from_config({name: kept[name] for name in kept if name != "score"}).score == "dot"
    with pytest.raises(ValueError, match="score must be one of dot, cosine, not 'sum'"):
        InstantEventLayer(7, "sum")
    with pytest.raises(ValueError, match="k must be at least 1"):
        InstantEventLayer(0)


def test_gradients_reach_the_chosen_moments_alone():
    visual, audio = map(tf.constant, (VISUAL, AUDIO))
    for layer, more, chosen in (
        (InstantEventLayer(2), (), [1, 3]),
        (OnsetEventLayer(), onsets_of([0, 2], places=3), [0, 2]),
        (OnsetEventLayer(), NO_ONSETS, [0, 1, 2, 3]),
    ):
        with tf.GradientTape() as tape:
            tape.watch([visual, audio])
            total = tf.reduce_sum(layer(visual, audio, *more))
        for gradient in tape.gradient(total, [visual, audio]):
            expected = np.zeros((1, 4, 2))
            expected[:, chosen] = 1 / len(chosen)
            np.testing.assert_allclose(tf.convert_to_tensor(gradient), expected, rtol=1e-6)


def test_scores_and_means_keep_float32_in_half_precision():
    """512 products of 12 x 12 leave float16; the mean does not."""
    visual = audio = np.full((1, 3, 512), 12, "float16")
    np.testing.assert_allclose(correspondence(visual, audio), np.full((1, 3), 512 * 144.0))
    result = InstantEventLayer(2, dtype="mixed_float16")(visual, audio)
    assert result.dtype == "float16"
    np.testing.assert_allclose(result, np.full((1, 1024), 12))


class CountingOnsets(OnsetEventLayer):
    """Counts how often Python runs it, which is once a trace."""

    traces = 0

    def call(self, visual, audio, onsets, onset_mask):
        self.traces += 1
        return super().call(visual, audio, onsets, onset_mask)


def two_heads(onset_layer, places=None):
    inputs = {
        "visual": keras.Input((6, 4), name="visual"),
        "audio": keras.Input((6, 4), name="audio"),
        "onsets": keras.Input((places,), dtype="int32", name="onsets"),
        "onset_mask": keras.Input((places,), dtype="bool", name="onset_mask"),
    }
    fused = [InstantEventLayer(2)(inputs["visual"], inputs["audio"]), onset_layer(*inputs.values())]
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Concatenate()(fused)))


def ragged_batches(visual, audio, steps):
    """Batches of two videos, each padded to its own number of onsets."""

    def clips():
        for video, own in enumerate(steps):
            onsets, mask = onsets_of(own)
            inputs = {"visual": visual[video], "audio": audio[video], "onsets": onsets[0], "onset_mask": mask[0]}
            yield inputs, np.zeros(1, "float32")

    features_spec, places = tf.TensorSpec((6, 4)), (None,)
    signature = {"visual": features_spec, "audio": features_spec}
    signature |= {"onsets": tf.TensorSpec(places, tf.int32), "onset_mask": tf.TensorSpec(places, tf.bool)}
    dataset = tf.data.Dataset.from_generator(clips, output_signature=(signature, tf.TensorSpec((1,))))
    return dataset.padded_batch(2).apply(tf.data.experimental.assert_cardinality(len(steps) // 2))


def test_ragged_onsets_do_not_retrace():
    """Batches with 1, 3 and 6 places run through one graph."""
    layer = CountingOnsets()
    model = two_heads(layer)
    model.compile("sgd", "mse", jit_compile=False)
    visual, audio = features(videos=6)
    steps = [[4], [0], [1, 2, 3], [5], [], [0, 1, 2, 3, 4, 5]]
    dataset = ragged_batches(visual, audio, steps)
    assert [batch["onsets"].shape[1] for batch, _ in dataset] == [1, 3, 6]
    for function, quiet in ((model.fit, {"shuffle": False, "verbose": 0}), (model.evaluate, {"verbose": 0})):
        function(dataset.take(1), **quiet)
        traces = layer.traces
        function(dataset, **quiet)
        assert layer.traces == traces > 0
    batched = np.concatenate([model(inputs) for inputs, _ in dataset])
    onsets, mask = onsets_of(*steps, places=6)
    everything = {"visual": visual, "audio": audio, "onsets": onsets, "onset_mask": mask}
    np.testing.assert_allclose(model(everything), batched, rtol=0, atol=1e-5)


def test_a_model_of_event_layers_is_saved_and_loaded(tmp_path):
    visual, audio = features(videos=2)
    onsets, mask = onsets_of([1, 4], [])
    inputs = {"visual": visual, "audio": audio, "onsets": onsets, "onset_mask": mask}
    check_round_trip(two_heads(OnsetEventLayer()), inputs, tmp_path)
