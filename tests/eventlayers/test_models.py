"""Every model of the paper: against NumPy, its inputs, its gradients, its round trip; on features and on clips."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import eventlayers
from avpipeline.features import mc3
from avpipeline.nn.forward import forward_graph
from eventlayers import audio_network
from eventlayers.models import BACKBONES, event_layers, network_of_heads, with_time_steps
from tests.helpers.layer_checks import check_round_trip, check_same_network
from tests.helpers.synthetic_time_steps import CHANNELS, TIME_STEPS, arrays, time_step_split
from tests.reference import eventlayers as reference

SMALL = {
    "num_classes": 3,
    "num_moments": TIME_STEPS,
    "visual_channels": CHANNELS,
    "audio_channels": CHANNELS,
    "top_k": 2,
}
BOTH = {"visual", "audio"}
INPUTS = {
    "audio_only": {"audio"},
    "vision_only": {"visual"},
    "naive_av": BOTH,
    "event_layers": BOTH | {"onsets", "onset_mask"},
}


@pytest.fixture
def batch():
    return arrays(time_step_split("test", 4))


def inputs_of(model, batch):
    return {name: batch[name] for name in model.input}


def weights_of(model):
    return {weight.path: np.asarray(weight) for weight in model.weights}


def onsets_of(batch, video):
    return batch["onsets"][video][batch["onset_mask"][video] > 0].astype(int).tolist()


def test_event_layers_equal_numpy(batch):
    keras.utils.set_random_seed(1)
    model = eventlayers.build_model(**SMALL)
    ours = np.asarray(model(batch))
    assert ours.shape == (4, 5, 3)
    for video in range(4):
        expected = reference.scores(
            weights_of(model), batch["visual"][video], batch["audio"][video], onsets_of(batch, video), k=2
        )
        np.testing.assert_allclose(ours[video], expected, atol=1e-5)


def test_event_layers_written_out_are_the_network_of_their_heads(batch):
    config = eventlayers.model_config("event_layers", **SMALL)
    check_same_network(lambda: event_layers(config), lambda: network_of_heads(config, "event_layers"), batch)


def test_baselines_are_linear_heads_on_the_means(batch):
    for name, features in (
        ("audio_only", batch["audio"]),
        ("vision_only", batch["visual"]),
        ("naive_av", np.concatenate([batch["visual"], batch["audio"]], -1)),
    ):
        model = eventlayers.build_model(name, **SMALL)
        kernel, bias = model.get_weights()
        found = model(inputs_of(model, batch))
        np.testing.assert_allclose(found, (features.mean(1) @ kernel + bias)[:, None], atol=1e-5)


@pytest.mark.parametrize("name", eventlayers.MODELS)
def test_model_takes_only_what_it_needs_and_round_trips(name, batch, tmp_path):
    model = eventlayers.build_model(name, **SMALL)
    assert set(model.input) == INPUTS[name]
    check_round_trip(model, inputs_of(model, batch), tmp_path)


@pytest.mark.parametrize("name", eventlayers.MODELS)
def test_every_weight_learns_and_the_order_of_videos_does_not_matter(name, batch):
    keras.utils.set_random_seed(0)
    model = eventlayers.compile_model(eventlayers.build_model(name, **SMALL))
    inputs, labels = inputs_of(model, batch), np.eye(3, dtype="float32")[[0, 1, 2, 0]]
    with tf.GradientTape() as tape:
        scores = model(inputs)
        loss = model.compute_loss(y=labels, y_pred=scores)
    for weight, gradient in zip(model.trainable_weights, tape.gradient(loss, model.trainable_weights), strict=True):
        assert gradient is not None
        # The half of the visual head that sees the zeros in the sound's place, and the other way round, has none.
        idle = {"head_visual": slice(CHANNELS, None), "head_audio": slice(0, CHANNELS)}
        layer = weight.path.split("/")[0]
        if name == "event_layers" and layer in idle and "kernel" in weight.path:
            assert np.abs(gradient[idle[layer]]).max() == 0
        assert np.abs(gradient).max() > 0, weight.path
    reverse = model({key: array[::-1].copy() for key, array in inputs.items()})
    np.testing.assert_allclose(scores, np.asarray(reverse)[::-1], atol=1e-5)


def test_a_video_does_not_depend_on_its_batch_mates(batch):
    model = eventlayers.build_model(**SMALL)
    together = np.asarray(model(batch))
    for video in range(4):
        alone = model({key: array[[video]] for key, array in batch.items()})
        np.testing.assert_allclose(together[[video]], alone, atol=1e-5)


def test_scores_are_float32_in_half_precision(batch):
    model = eventlayers.build_model(**SMALL)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = eventlayers.build_model(**SMALL)
    finally:
        keras.config.set_dtype_policy(before)
    half.set_weights(model.get_weights())
    assert half(batch).dtype == tf.float32
    np.testing.assert_allclose(half(batch), model(batch), atol=0.1)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("five_layers",), "unknown model 'five_layers'; the models are audio_only, "),
        (("naive_av", "code"), "unknown preset 'code'"),
    ],
)
def test_unknown_names_list_the_known_ones(words, sentence):
    with pytest.raises(ValueError, match=sentence):
        eventlayers.build_model(*words)


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(3)
    onsets = np.zeros((2, 100), "float32")
    onsets[0, :3] = [5, 20, 70]
    return {
        "visual": rng.integers(0, 255, (2, 100, 32, 32, 3), dtype="uint8"),
        "audio": (0.1 * rng.standard_normal((2, 160_000))).astype("float32"),
        "onsets": onsets,
        "onset_mask": (onsets > 0).astype("float32"),
    }


SMALL_CLIPS = {"num_classes": 3, "inputs": "clips", "backbones": "small", "frame_size": 32}


def test_model_on_clips_is_the_heads_on_its_moments(clips, tmp_path):
    """What `time_step_features` gives is what the event layers pool; z^V is the mean of the maps."""
    model = eventlayers.build_model(**SMALL_CLIPS)
    seen = eventlayers.time_step_features(model)
    steps = seen(inputs_of(seen, clips))
    assert steps["maps"].shape[:2] == (2, 100) and steps["maps"].shape[-1] == 512
    np.testing.assert_allclose(np.mean(steps["maps"], (2, 3)), steps["visual"], atol=1e-4)
    heads = eventlayers.build_model(num_classes=3)
    heads.set_weights([weight for layer in heads.layers for weight in model.get_layer(layer.name).get_weights()
                       if layer.name.startswith("head_")])  # fmt: skip
    on_features = heads({**clips, **{name: np.asarray(steps[name]) for name in ("visual", "audio")}})
    np.testing.assert_allclose(model(clips), on_features, rtol=1e-4, atol=1e-4)
    found = forward_graph(with_time_steps(model))(clips)
    assert set(found) == {*steps, "scores"}
    for name, expected in {**steps, "scores": model(clips)}.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-4)
    check_round_trip(model, clips, tmp_path)


def test_event_layers_on_clips_are_the_network_of_their_heads_on_clips(clips):
    config = eventlayers.model_config("event_layers", **SMALL_CLIPS)
    check_same_network(lambda: event_layers(config), lambda: network_of_heads(config, "event_layers"), clips)


def test_one_stream_on_clips_has_one_backbone(clips):
    for name, stream in (("audio_only", "audio"), ("vision_only", "visual")):
        model = eventlayers.build_model(name, **SMALL_CLIPS)
        assert set(model.input) == {stream}
        assert [name for name in BACKBONES.values() if name in {layer.name for layer in model.layers}] == [
            BACKBONES[stream]
        ]
        assert stream in eventlayers.time_step_features(model).output
        own = {stream: clips[stream]}
        np.testing.assert_allclose(with_time_steps(model)(own)["scores"], model(own), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_published_networks_train_end_to_end(clips):
    """One joint step of MC3-18 and the audio network reaches every weight; one second at 16x16, to be quick."""
    keras.utils.set_random_seed(0)
    config = {"num_classes": 3, "inputs": "clips", "frame_size": 16, "num_moments": 10}
    model = eventlayers.compile_model(eventlayers.build_model(**config))
    clip = {"visual": clips["visual"][:, :10, ::2, ::2], "audio": clips["audio"][:, :16_000]}
    clip |= {"onsets": clips["onsets"][:, :10], "onset_mask": clips["onset_mask"][:, :10]}
    clip["onsets"][0, :3] = [2, 5, 7]
    with tf.GradientTape() as tape:
        loss = model.compute_loss(y=np.eye(3, dtype="float32")[[1, 2]], y_pred=model(clip, training=True))
    gradients = tape.gradient(loss, model.trainable_weights)
    without = [w.path for w, g in zip(model.trainable_weights, gradients, strict=True) if g is None or not np.any(g)]
    assert without == []
    before = model.get_weights()
    model.optimizer.apply(gradients, model.trainable_weights)
    assert sum(np.any(old != new) for old, new in zip(before, model.get_weights(), strict=True)) == len(gradients)
    networks = mc3.build_mc3_18(frames=10, size=16), audio_network.build_audio_network(frames=100)
    in_heads = 5 * (1024 * 3 + 3)
    in_backbones = sum(w.numpy().size for network in networks for w in network.trainable_weights)
    assert sum(w.numpy().size for w in model.trainable_weights) == in_heads + in_backbones
