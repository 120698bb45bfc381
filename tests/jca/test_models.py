"""Every model of the paper: against NumPy, its parts, its parameters, its round trip; the recipe."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import ave
import jca
from avfusion_benchmarks.co_attention import straightforward, training_step
from jca.compared import EventPooling
from jca.config import AVE_ROWS, ROWS
from jca.layers import Rerepresentation
from jca.models import ablation, joint_co_attention
from jca.recipe import PlateauSchedule
from tests.helpers.layer_checks import check_round_trip, check_same_network
from tests.helpers.structure import same_networks
from tests.reference import jca as numpy_jca

SMALL = {
    "video_size": 8,
    "audio_size": 6,
    "recursions": 2,
    "affinity_units": 5,
    "dense_heads": 2,
    "num_classes": 4,
    "num_segments": 3,
    "audio_channels": 7,
    "visual_shape": (2, 2, 9),
}
COMPARED = ("avsdn", "dam")
PLAIN = [name for name in jca.MODELS if name not in COMPARED]


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(1)
    audio = rng.standard_normal((3, 3, 7)).astype("float32")
    audio[1, 2] = 0  # a silent second
    return {"audio": audio, "visual": rng.random((3, 3, 2, 2, 9), "float32")}


@pytest.fixture(scope="module")
def labels():
    return np.eye(4, dtype="float32")[np.arange(9).reshape(3, 3) % 4]


def build(name, preset="code", **sizes):
    keras.utils.set_random_seed(2)
    return jca.build_model(name, preset, **{**SMALL, **sizes})


@pytest.mark.parametrize(
    ("name", "preset"), [(name, "code") for name in [*PLAIN, "dual"]] + [("jca", "paper"), ("dual", "paper")]
)
def test_model_equals_numpy(name, preset, batch):
    # Two layers where they matter, since each operation takes its time.
    sizes = {**SMALL, "num_layers": 2 if name in ("jca", "gru") else 1}
    if name == "dual":
        name, sizes["attended_by"] = "jca", "other"
    model, config = build(name, preset, **sizes), jca.model_config(name, preset, **sizes)
    weights = {weight.path: np.asarray(weight) for weight in model.weights}
    ours = np.asarray(model(batch))
    for video in range(3):
        theirs = numpy_jca.segment_classifier(
            weights, config, audio=batch["audio"][video], visual=batch["visual"][video]
        )
        np.testing.assert_allclose(ours[video], theirs, atol=1e-5)


@pytest.mark.parametrize("preset", jca.PRESETS)
def test_jca_written_out_is_the_ablations_network_with_nothing_taken_away(preset, batch):
    config = jca.model_config("jca", preset, **SMALL)
    check_same_network(lambda: joint_co_attention(config), lambda: ablation(config, "jca"), batch)


# What costs time here is each operation, not its size.
SHORT = {"recursions": 1, "num_layers": 1, "num_segments": 2}
# Wide enough that not all ReLUs before a weight are dead.
WIDE = {"video_size": 32, "audio_size": 32}


@pytest.mark.parametrize(("name", "preset"), [(name, "code") for name in jca.MODELS] + [("jca", "paper")])
def test_every_weight_of_every_model_learns_and_survives_saving(name, preset, batch, labels, tmp_path):
    """One step moves every weight, with dropout and a silent second; the saved model is the same."""
    batch = {modality: array[:, 1:] for modality, array in batch.items()}
    model = jca.compile_model(build(name, preset, **SHORT, **WIDE), jca.train_config(preset, name))
    before = [np.array(weight) for weight in model.trainable_weights]
    model.run_eagerly = True  # tracing would cost more than the step
    assert np.isfinite(model.train_on_batch(batch, labels[:, 1:])).all()
    for old, new in zip(before, model.trainable_weights, strict=True):
        assert np.isfinite(new).all() and np.abs(old - new).max() > 0, new.path
    np.testing.assert_allclose(np.sum(model(batch), -1), 1, atol=1e-5)
    check_round_trip(model, batch, tmp_path)


def test_a_loaded_model_trains_in_mixed_precision(batch, labels, tmp_path):
    """The custom gradient under fit, after a round trip through a file, in half precision with dropout."""
    batch = {modality: array[:, 1:] for modality, array in batch.items()}
    labels = labels[:, 1:]
    keras.config.set_dtype_policy("mixed_float16")
    try:
        build("jca", **SHORT).save(tmp_path / "half.keras")
        model = jca.compile_model(keras.models.load_model(tmp_path / "half.keras", compile=False))
    finally:
        keras.config.set_dtype_policy("float32")
    model.run_eagerly = True
    history = model.fit(batch, labels, batch_size=3, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all() and "segment_accuracy" in history
    assert model(batch).dtype == "float32"


def test_published_sizes_have_torchs_parameter_count():
    """22,776,510, put together from the published sizes; one bias a gate would be 12,288 fewer."""
    d_v = d_a = 512
    classes, regions, recursions, steps = 29, 49, 4, 10

    def dense(inputs, outputs, bias=1):
        return inputs * outputs + bias * outputs

    def block(inputs, outputs, biases=2, layers=2):
        """Two layers of LSTMs both ways, eight rows of initial states, the dense layer after the concatenation."""
        half = outputs // 2
        lstms = [2 * 4 * half * (size + half + biases) for size in (inputs, outputs)[:layers]]
        return sum(lstms) + 4 * layers * half + dense(inputs + outputs, outputs)

    attention = dense(d_a, d_v) + dense(512, d_v) + 2 * dense(d_v, regions, 0) + dense(regions, 1, 0) + dense(512, d_v)
    recursion = dense(d_v + d_a, d_v + d_a) + 2 * dense(steps, steps)
    recursion += dense(d_v, d_v) + dense(d_a, d_a) + dense(d_v + d_a, d_v) + dense(d_v + d_a, d_a)
    head = dense(d_v, d_v // 4) + dense(d_v // 4, classes)

    def total(biases):
        blocks = [block(size, output, biases) for size, output in ((128, d_a), (d_v, d_v), (d_v + d_a, d_v))]
        return sum(blocks) + attention + recursions * recursion + head

    assert total(biases=2) == 22_776_510
    # Keras's own LSTM has one bias a gate where torch's has two: 3 blocks x 2 layers x 2 ways x 4 gates x 256 fewer.
    assert total(biases=2) - total(biases=1) == 3 * 2 * 2 * 4 * 256 == 12_288
    assert jca.build_model("jca").count_params() == 22_776_510


def test_plain_form_of_the_benchmark_gives_equal_outputs(batch):
    model = build("jca")
    plain = straightforward(model)
    assert {type(layer) for layer in plain.layers} != {type(layer) for layer in model.layers}
    # Where a row is zero the forms of the normalisation agree too.
    np.testing.assert_allclose(plain(batch), model(batch), atol=1e-6)


@pytest.mark.slow
def test_the_benchmark_measures_both_forms():
    columns = training_step(0.01, batch=2, **{**SMALL, **SHORT})
    assert columns["times as fast"] == pytest.approx(columns["ms a batch, plainly"] / columns["ms a batch"])
    assert all(value > 0 for value in columns.values())


def test_with_attention_shares_weights_and_sums_to_one(batch):
    model = build("jca")
    outputs = ave.with_attention(model)(batch)
    np.testing.assert_allclose(outputs["segments"], model(batch), atol=1e-6)
    np.testing.assert_allclose(np.sum(outputs["attention"], axis=(2, 3)), 1, atol=1e-6)


def test_the_rows_of_both_tables_are_distinct_networks():
    """All but the full model, which is printed twice."""
    ours = {place: lambda name=name: build(name, num_layers=1) for place, name in ROWS.items()}
    theirs = {place: lambda name=name: ave.build_model(name) for place, name in AVE_ROWS.items()}
    assert len(ours | theirs) == 16
    assert same_networks(ours | theirs) == [[("Table 1", "JCA"), ("Table 2", "w/ Joint Co-Attention")]]


def test_gru_leaves_the_joint_block_as_it_is():
    kinds = {layer.name: layer.cell for layer in build("gru").layers if isinstance(layer, Rerepresentation)}
    assert kinds == {"audio_extract": "gru", "video_extract": "gru", "joint": "lstm"}


def test_recursions_are_layers_with_own_weights():
    model = build("jca", recursions=3)
    layers = [layer for layer in model.layers if layer.name.startswith("coattn")]
    assert len(layers) == 3
    assert len({id(weight) for layer in layers for weight in layer.weights}) == 3 * len(layers[0].weights)


def test_presets_differ_in_the_form_of_the_co_attention():
    code, paper = jca.model_config("jca"), jca.model_config("jca", "paper")
    assert dataclasses.replace(paper, co_attention="qkv") == code
    assert jca.train_config("code") == jca.train_config("paper")


@pytest.mark.parametrize("arguments", [("jcaa",), ("jca", "papers")])
def test_unknown_names_are_refused_with_the_choices(arguments):
    with pytest.raises(ValueError, match="(models|presets) are"):
        jca.build_model(*arguments)


def test_odd_size_is_refused():
    with pytest.raises(ValueError, match="--video-size 7: must be even"):
        jca.build_model("jca", video_size=7)


# AVSDN and DAM


def test_avsdn_decodes_from_what_the_encoders_end_with(batch):
    """A change in the last second alone reaches the first second's label, through the decoder's first state."""
    model = build("avsdn")
    changed = {**batch, "audio": batch["audio"].copy()}
    changed["audio"][:, -1] += 1
    assert np.abs(np.asarray(model(batch))[:, 0] - np.asarray(model(changed))[:, 0]).max() > 1e-5


def test_dam_composes_category_and_relevance(batch):
    model = build("dam")
    names = ("category", "audio_in_video_event", "video_in_audio_event", "segments")
    parts = keras.Model(model.input, {name: model.get_layer(name).output for name in names})(batch)
    scores, heard, watched = (parts[name].numpy() for name in names[:3])
    category = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    relevance = (1 / (1 + np.exp(-heard)) + 1 / (1 + np.exp(-watched))) / 2
    np.testing.assert_allclose(parts["segments"][..., -1], 1 - relevance, atol=1e-6)
    np.testing.assert_allclose(parts["segments"][..., :-1], relevance[..., None] * category[:, None], atol=1e-6)


def test_events_are_pooled_over_their_seconds_in_training():
    pool = EventPooling()
    x = tf.constant(np.arange(12, dtype="float32").reshape(2, 3, 2))
    np.testing.assert_allclose(pool(x), np.mean(x, axis=1))
    pool.segments = tf.constant([[0.0, 1, 1], [0, 0, 0]])
    # The second video has no event: all its seconds count.
    np.testing.assert_allclose(pool(x), [[3, 4], [8, 9]])


def test_dam_is_told_the_events_seconds_in_training_only(batch, labels):
    """Labels that move the event change the training loss beyond the loss itself; predictions never see labels."""
    model = jca.compile_model(build("dam"), jca.train_config(name="dam", learning_rate=1e-30))
    seen = []
    pools = [layer for layer in model.layers if isinstance(layer, EventPooling)]
    call = EventPooling.call
    model.run_eagerly = True
    try:
        EventPooling.call = lambda self, x: seen.append(self.segments) or call(self, x)
        model.train_on_batch(batch, labels)
        model.test_on_batch(batch, labels)
    finally:
        EventPooling.call = call
    assert len(pools) == 2 and len(seen) == 4
    np.testing.assert_array_equal(seen[0], 1 - labels[..., -1])
    assert seen[2] is seen[3] is None


# Training


def test_recipe_is_that_of_the_code():
    model = jca.compile_model(build("jca", **SHORT))
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-4)
    assert (model.optimizer.epsilon, model.optimizer.epsilon_form) == (1e-8, "torch_legacy")
    assert model.jit_compile is False
    config = jca.train_config()
    assert (config.batch_size, config.shuffle, config.epochs, config.validate_every) == (64, True, 300, 5)


class Rated:
    """What the schedule needs of a model."""

    def __init__(self, rate=1.0):
        self.optimizer = self
        self.learning_rate = rate


def rates(losses, schedule, model):
    schedule.set_model(model)
    found = []
    for epoch, loss in enumerate(losses):
        schedule.on_epoch_end(epoch, {"loss": loss})
        found.append(model.learning_rate)
    return found


def test_learning_rate_is_halved_after_more_than_ten_epochs_without_a_lower_loss():
    """torch's ReduceLROnPlateau: 0.99991 is no improvement on 1 by the relative threshold, 0.9998 is one."""
    config = jca.train_config()
    schedule = PlateauSchedule(config.plateau_factor, config.plateau_patience, config.plateau_threshold)
    losses = [1.0] + [0.99991] * 10 + [0.9998] + [0.9998] * 11 + [0.9998] * 11
    found = rates(losses, schedule, Rated())
    assert found == [1.0] * 22 + [0.5] * 11 + [0.25]


def test_the_schedule_goes_on_from_its_state():
    losses = list(np.random.default_rng(0).random(60))
    whole = rates(losses, PlateauSchedule(patience=2), Rated())
    assert whole[-1] < 1
    for cut in (1, 7, 30):
        first, model = PlateauSchedule(patience=2), Rated()
        begun = rates(losses[:cut], first, model)
        second = PlateauSchedule(patience=2)
        second.set_state(first.get_state())
        assert begun + rates(losses[cut:], second, model) == whole


def test_a_rate_that_hardly_changes_is_left():
    model = Rated(1.5e-8)
    rates([1.0] * 30, PlateauSchedule(), model)
    assert model.learning_rate == 1.5e-8
