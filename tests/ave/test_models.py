"""Every model of the paper: against NumPy, its parts, its presets, its round trip."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import ave
from ave import train
from ave.fusion import FUSIONS
from ave.match.config import match_train_config
from ave.models import assembled, av_att, is_av_att
from avpipeline.datasets.ave import read_annotations, read_order
from avpipeline.datasets.ave_h5 import H5Source
from avpipeline.datasets.base import Split
from avpipeline.datasets.batches import steps_per_epoch
from avpipeline.errors import InputError
from avpipeline.nn.recurrent import BidirectionalLSTM, TorchLSTM
from avpipeline.training.experiment import Schedule
from tests.helpers.layer_checks import check_round_trip, check_same_network
from tests.reference import ave as numpy_reference

SMALL = {
    "attention_units": 8,
    "lstm_units": 5,
    "hidden_units": 6,
    "num_classes": 4,
    "num_segments": 3,
    "audio_channels": 7,
    "visual_shape": (2, 2, 9),
    "audio_map_shape": (3, 2, 8),
    "motion_channels": 5,
}
# A name's inputs, where they are not audio and visual; attention is guided by the other modality.
INPUTS = {
    "a": {"audio"},
    "v": {"visual"},
    "w_a": {"audio"},
    "w_v": {"visual"},
    "ed_tcn": {"visual"},
    "v_c3d": {"motion"},
    "v_s_c3d": {"visual", "motion"},
    "av_c3d": {"audio", "motion"},
    "av_s_c3d": {"audio", "visual", "motion"},
    "amap": {"audio_map"},
    "amap_att": {"audio_map", "visual"},
    "amap_v": {"audio_map", "visual"},
    "amap_v_co_att": {"audio_map", "visual"},
}
# The systems that consist of attention, LSTMs and concatenation alone.
PLAIN = ("a", "v", "v_att", "av", "av_att")


@pytest.fixture
def batch():
    rng = np.random.default_rng(1)
    audio = rng.standard_normal((3, 3, 7)).astype("float32")
    return {"audio": audio, "visual": rng.random((3, 3, 2, 2, 9), "float32")}


@pytest.fixture
def all_inputs(batch):
    rng = np.random.default_rng(2)
    return {**batch, "audio_map": rng.random((3, 3, 3, 2, 8), "float32"), "motion": rng.random((3, 3, 5), "float32")}


def sizes_of(preset):
    """Small sizes; the paper has no hidden layer."""
    return {name: size for name, size in SMALL.items() if preset == "code" or name != "hidden_units"}


def inputs_of(model, batch):
    return {name: batch[name] for name in model.input}


@pytest.mark.parametrize("preset", ave.PRESETS)
@pytest.mark.parametrize("name", PLAIN)
def test_model_equals_numpy(name, preset, batch):
    model = ave.build_model(name, preset, **sizes_of(preset))
    config = ave.model_config(name, preset, **sizes_of(preset))
    weights = {weight.path: np.asarray(weight) for weight in model.weights}
    ours = np.asarray(model(inputs_of(model, batch)))
    for video in range(3):
        expected = numpy_reference.segment_classifier(
            weights,
            audio=batch["audio"][video],
            visual=None if config.visual == "none" else batch["visual"][video],
            attention=config.visual,
            audio_added_to=config.audio_added_to,
        )
        np.testing.assert_allclose(ours[video], expected, atol=1e-5)


@pytest.mark.parametrize("preset", ave.PRESETS)
def test_av_att_is_written_out_as_the_general_builder_assembles_it(preset, batch):
    config = ave.model_config("av_att", preset, **sizes_of(preset))
    check_same_network(lambda: av_att(config, "av_att"), lambda: assembled(config, "av_att"), batch)


@pytest.mark.parametrize("preset", ave.PRESETS)
def test_only_av_att_is_the_written_out_network(preset):
    assert [name for name in ave.MODELS if is_av_att(ave.model_config(name, preset, **SMALL))] == ["av_att"]


@pytest.mark.parametrize("change", [{"visual": "mean"}, {"fusion": "gated"}, {"fused_at": "early"}, {"weak": True}])
def test_an_override_of_the_structure_is_not_ignored(change):
    model = ave.build_model("av_att", **SMALL, **change)
    expected = assembled(ave.model_config("av_att", **SMALL, **change), "av_att")
    assert [layer.name for layer in model.layers] == [layer.name for layer in expected.layers]


@pytest.mark.parametrize(("preset", "name"), [("code", name) for name in ave.MODELS] + [("paper", "av_att")])
def test_every_model_takes_only_what_it_needs_learns_and_round_trips(name, preset, all_inputs, tmp_path):
    """One gradient step's loss reaches every weight: no branch, member or projection is unconnected."""
    # Wide enough that not all ReLUs before a weight are dead.
    keras.utils.set_random_seed(0)
    sizes = {**SMALL, "hidden_units": 32, "attention_units": 32}
    model = ave.compile_model(ave.build_model(name, preset, **sizes), ave.train_config(preset))
    labels = np.eye(4, dtype="float32")[np.arange(9).reshape(3, 3) % 4]
    labels = {"video": labels[:, 0]} if ave.model_config(name).weak else labels
    with tf.GradientTape() as tape:
        outputs = model(inputs_of(model, all_inputs))
        loss = model.compute_loss(y=labels, y_pred=outputs)
    for weight, gradient in zip(model.trainable_weights, tape.gradient(loss, model.trainable_weights), strict=True):
        assert gradient is not None and np.abs(gradient).max() > 0, weight.path
    assert set(model.input) == INPUTS.get(name, {"audio", "visual"})
    assert set(ave.model_config(name).modalities) == set(model.input)
    check_round_trip(model, inputs_of(model, all_inputs), tmp_path)


@pytest.mark.parametrize("name", ["av_att", "w_a", "ed_tcn"])
def test_training_moves_every_weight(name, batch):
    model = ave.compile_model(ave.build_model(name, **SMALL))
    before = [np.array(weight) for weight in model.trainable_weights]
    labels = np.eye(4, dtype="float32")[np.arange(9).reshape(3, 3) % 4]
    labels = {"video": labels[:, 0]} if name == "w_a" else labels
    history = model.fit(inputs_of(model, batch), labels, verbose=0).history
    assert all(np.abs(old - new).max() > 0 for old, new in zip(before, model.trainable_weights, strict=True))
    assert ("segment_accuracy" in history) == (name != "w_a")


@pytest.mark.parametrize(("preset", "pool"), [("code", np.max), ("paper", np.mean)])
def test_weak_model_pools_the_scores_of_its_supervised_twin(batch, preset, pool):
    weak, twin = ave.build_model("w_av_att", preset, **SMALL), ave.build_model("av_att", preset, **SMALL)
    twin.set_weights(weak.get_weights())
    outputs = weak(batch)
    np.testing.assert_allclose(numpy_reference.softmax(np.asarray(outputs["segments"])), twin(batch), atol=1e-6)
    expected = numpy_reference.softmax(pool(np.asarray(outputs["segments"]), axis=1))
    np.testing.assert_allclose(outputs["video"], expected, atol=1e-6)


def test_decision_fusion_fuses_what_each_modality_says(batch):
    model = ave.build_model("additive_decision", **SMALL)
    votes = keras.Model(model.input, [model.get_layer("L2_audio").output, model.get_layer("L2_video").output])
    fused = model.get_layer("fusion")(*votes(batch))
    np.testing.assert_allclose(model(batch), numpy_reference.softmax(np.asarray(fused)), atol=1e-6)


HEAD = {"L1": (256, 64), "L2": (64, 29)}


def dense_layers(name, preset="code"):
    """The dense layers on the way from LSTMs to the softmax: name -> (inputs, outputs), at the published sizes."""
    model = ave.build_model(name, preset)
    return {
        layer.name: layer.kernel.shape for layer in model.layers if isinstance(layer, keras.layers.Dense)
    }


@pytest.mark.parametrize("fusion", [name for name in FUSIONS if name != "dmrn"])
def test_a_fusion_has_one_head_in_all_three_places(fusion):
    """That of A+V-att; only scores of another size than the classes need a dense layer before the softmax."""
    size = {"concat": 512, "mb": 1024, "gmb": 1024}.get(fusion, 256)
    late = "av_att" if fusion == "concat" else f"{fusion}_late"
    assert dense_layers(f"{fusion}_early") == HEAD
    assert dense_layers(late) == {**HEAD, "L1": (size, 64)}
    votes = {f"{layer}_{name}": shape for name in ("audio", "video") for layer, shape in HEAD.items()}
    back = {"L2": ({"concat": 58}.get(fusion, 841), 29)} if fusion in ("concat", "mb", "gmb") else {}
    assert dense_layers(f"{fusion}_decision") == votes | back


def test_dmrn_has_the_head_of_its_code_in_all_three_places():
    assert dense_layers("dmrn_early") == dense_layers("dmrn") == {"L2": (256, 29)}
    assert dense_layers("dmrfe") == {"L2": (256, 29), "L2_1": (256, 29)}
    assert dense_layers("dmrn_decision") == {"L2_audio": (256, 29), "L2_video": (256, 29)}


@pytest.mark.parametrize("preset", ["code", pytest.param("paper", marks=pytest.mark.slow)])
def test_all_models_are_different_networks(preset):
    """Layers by kind and size; models are rows of the paper, so no two rows are one network by accident."""
    networks = {}
    for name in ave.MODELS:
        model = ave.build_model(name, preset, **sizes_of(preset))
        layers = tuple((type(layer), tuple(weight.shape for weight in layer.weights)) for layer in model.layers)
        assert networks.setdefault((layers, *model.input), name) == name


def test_ed_tcn_needs_a_layer():
    with pytest.raises(InputError, match="--tcn-filters: needs at least one"):
        ave.build_model("ed_tcn", tcn_filters=())


def test_the_paper_has_two_lstms_of_128_and_one_layer_with_softmax():
    """Section 4.1: one direction, and a shared fully connected layer; the code has neither."""
    model = ave.build_model("av_att", "paper")
    assert type(model.get_layer("lstm_audio")) is type(model.get_layer("lstm_video")) is TorchLSTM
    assert model.get_layer("lstm_audio").kernel.shape == (128, 512) and model.get_layer("lstm_audio").units == 128
    assert [layer.name for layer in model.layers][-3:] == ["fusion", "L2", "segments"]
    assert dense_layers("av_att", "paper") == {"L2": (256, 29)}
    assert dense_layers("a", "paper") == {"L2": (128, 29)} and dense_layers("gmu_late", "paper") == {"L2": (128, 29)}
    assert dense_layers("dmrn", "paper") == {"L2": (128, 29)}
    assert dense_layers("additive_decision", "paper") == {"L2_audio": (128, 29), "L2_video": (128, 29)}
    assert isinstance(ave.build_model("av_att").get_layer("lstm_audio"), BidirectionalLSTM)


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("dmrn", {"affine_video": 512**-0.5, "affine_audio": 128**-0.5, "affine_v": 512**-0.5, "affine_h": 49**-0.5}),
        ("av_att", {"affine_video": (6 / 1024) ** 0.5, "affine_audio": (6 / 640) ** 0.5, "affine_v": (6 / 561) ** 0.5}),
    ],
)
def test_attention_starts_as_in_the_code_of_its_model(name, bounds):
    """DMRN: torch's default, 0.044 for 512 inputs and 0.143 for 49; A+V-att: Xavier. L2 is Xavier in both."""
    keras.utils.set_random_seed(0)
    model = ave.build_model(name)
    for layer, bound in bounds.items():
        largest = np.abs(getattr(model.get_layer("attention"), layer).kernel).max()
        assert 0.9 * bound < largest <= bound, layer
    last = np.asarray(model.get_layer("L2").kernel)
    assert 0.95 * (6 / sum(last.shape)) ** 0.5 < np.abs(last).max() <= (6 / sum(last.shape)) ** 0.5


def test_early_fusion_has_one_lstm_and_late_has_two():
    def lstms(name):
        return {layer.name for layer in ave.build_model(name, **SMALL).layers if layer.name.startswith("lstm")}

    assert lstms("gmu_early") == {"lstm_fused"}
    assert lstms("gmu_late") == lstms("gmu_decision") == {"lstm_audio", "lstm_video"}


def test_ensemble_averages_the_probabilities_of_two_dmrns(batch):
    model = ave.build_model("dmrfe", **SMALL)
    members = []
    for suffix in ("", "_1"):
        single = ave.build_model("dmrn", **SMALL)
        for weight in single.weights:
            path = weight.path.replace("fusion/", f"fusion{suffix}/").replace("L2/", f"L2{suffix}/")
            weight.assign(next(other for other in model.weights if other.path == path))
        members.append(np.asarray(single(batch)))
    assert np.abs(members[0] - members[1]).max() > 1e-3
    np.testing.assert_allclose(model(batch), (members[0] + members[1]) / 2, atol=1e-6)


def test_presets_of_dmrn_differ_from_the_second_block_on(batch):
    for blocks, differ in ((1, False), (2, True)):
        code = ave.build_model("dmrn", fusion_blocks=blocks, **SMALL)
        code_but = {"audio_added_to": "regions", "bidirectional": True}
        paper = ave.build_model("dmrn", "paper", **code_but, fusion_blocks=blocks, **SMALL)
        paper.set_weights(code.get_weights())
        assert (np.abs(np.asarray(code(batch)) - np.asarray(paper(batch))).max() > 1e-4) == differ


def test_c3d_stands_beside_the_mean_of_the_map(all_inputs):
    model = ave.build_model("v_s_c3d", **SMALL)
    joined = keras.Model(model.input, model.get_layer("with_motion").output)(inputs_of(model, all_inputs))
    np.testing.assert_allclose(joined[..., :9], all_inputs["visual"].mean((2, 3)), atol=1e-6)
    np.testing.assert_array_equal(joined[..., 9:], all_inputs["motion"])


def test_co_attention_is_guided_by_the_other_maps_mean(all_inputs):
    model = ave.build_model("amap_v_co_att", **SMALL)
    inputs = inputs_of(model, all_inputs)
    outputs = ave.with_attention(model)(inputs)
    heard, seen = inputs["audio_map"].mean((2, 3)), inputs["visual"].mean((2, 3))
    visual_maps = model.get_layer("attention")(heard, inputs["visual"])[1]
    audio_maps = model.get_layer("audio_attention")(seen, inputs["audio_map"])[1]
    np.testing.assert_allclose(outputs["attention"], visual_maps, atol=1e-6)
    np.testing.assert_allclose(outputs["audio_attention"], audio_maps, atol=1e-6)
    assert audio_maps.shape == (3, 3, 3, 2)


@pytest.mark.parametrize("segments", [1, 3, 8, 10])
def test_ed_tcn_gives_every_segment_back(segments):
    model = ave.build_model("ed_tcn", **{**SMALL, "num_segments": segments})
    outputs = np.asarray(model({"visual": np.ones((2, segments, 2, 2, 9), "float32")}))
    assert outputs.shape == (2, segments, 4)
    np.testing.assert_allclose(outputs.sum(-1), 1, atol=1e-5)


def test_published_sizes_have_torchs_parameter_count():
    assert ave.build_model("av_att").count_params() == 1_335_246
    assert ave.build_model("dmrn").count_params() == 1_571_150


def test_with_attention_shares_weights_and_sums_to_one(batch):
    model = ave.build_model("av_att", **SMALL)
    shown = ave.with_attention(model)
    outputs = shown(batch)
    np.testing.assert_allclose(outputs["segments"], model(batch), atol=1e-6)
    np.testing.assert_allclose(np.sum(outputs["attention"], axis=(2, 3)), 1, atol=1e-6)
    model.get_layer("L2").kernel.assign(np.zeros((6, 4)))
    np.testing.assert_allclose(shown(batch)["segments"], model(batch), atol=1e-6)


def test_with_attention_of_a_model_without_is_refused():
    with pytest.raises(ValueError, match="'a' has no attention|a has no attention"):
        ave.with_attention(ave.build_model("a", **SMALL))


def test_order_of_the_batch_does_not_matter(batch):
    model = ave.build_model("av_att", **SMALL)
    ours = np.asarray(model(batch))
    reversed_batch = {name: array[::-1] for name, array in batch.items()}
    np.testing.assert_allclose(np.asarray(model(reversed_batch))[::-1], ours, atol=1e-6)


def test_mixed_precision_gives_float32_probabilities(batch):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        outputs = ave.build_model("av_att", **SMALL)(batch)
    finally:
        keras.config.set_dtype_policy("float32")
    assert outputs.dtype == "float32"
    np.testing.assert_allclose(np.sum(outputs, -1), 1, atol=1e-5)


def test_presets_differ_where_paper_and_code_disagree():
    code, paper = ave.train_config("code"), ave.train_config("paper")
    assert (code.loss, paper.loss) == ("soft_margin", "cross_entropy")
    assert dataclasses.replace(paper, loss="soft_margin") == code
    network = {"audio_added_to": "regions", "residuals": "swapped", "mil_pooling": "max"}
    network |= {"bidirectional": True, "hidden_units": 64}
    assert ave.model_config("av_att", "paper", **network) == ave.model_config("av_att")
    assert ave.model_config("av_att").audio_added_to == "regions"
    assert ave.model_config("av_att", "paper").audio_added_to == "components"


def schedule_of(name, **more):
    settings = train.PAPER.settings_for(name, dataset="ave", **more)
    names = {field.name for field in dataclasses.fields(Schedule)}
    return Schedule(**{key: value for key, value in vars(settings.training).items() if key in names})


def test_schedules_are_those_of_the_code():
    """Epochs 1, 6, ..., 296 are validated; of weakly supervised models the last of them, 246, is kept."""
    supervised, weak = schedule_of("av_att"), schedule_of("w_av_att")
    assert supervised.validated == list(range(1, 297, 5)) and supervised.select == "best"
    assert weak.validated == list(range(1, 247, 5)) and weak.select == "last"
    assert not supervised.partial_batches and not weak.partial_batches
    matching = match_train_config("avdln")
    assert (matching.select, matching.partial_batches, matching.epochs) == ("last", True, 20)


def test_steps_of_an_epoch_reach_the_decay_in_epoch_289(reference_dir):
    """From the sizes of AVE's splits: 52 steps, 15,600 in all; weakly supervised 54, which never reach 15,000."""
    folder = reference_dir / "data" / "ave"
    videos = len(read_order(folder, "train", read_annotations(folder / "Annotations.txt")))
    noisy = len(H5Source(folder / "labels_noisy.h5"))
    supervised, weak = ave.train_config(), ave.train_config("code", "w_av_att")
    steps = videos // supervised.batch_size
    assert (steps, steps * supervised.epochs) == (52, 15_600)
    assert supervised.decay_steps // steps + 1 == 289
    weak_steps = (videos + noisy) // weak.batch_size
    assert (weak_steps, weak_steps * weak.epochs) == (54, 13_500) and weak.decay_steps == 15_000


def test_avdln_has_4174_steps_an_epoch(reference_dir):
    folder = reference_dir / "data" / "ave"
    videos = len(read_order(folder, "train", read_annotations(folder / "Annotations.txt"), matched=True))
    pairs = np.zeros((10 * videos, 1))
    split = Split("ave", "train", ("",) * len(pairs), ("", ""), {}, pairs, {})
    assert steps_per_epoch(split, 8) == 4174


@pytest.mark.parametrize("arguments", [("av_attt",), ("av_att", "papers")])
def test_unknown_names_are_refused_with_the_choices(arguments):
    with pytest.raises(ValueError, match="(models|presets) are"):
        ave.build_model(*arguments)


def test_recipe_is_that_of_the_code():
    model = ave.compile_model(ave.build_model("a", **SMALL))
    schedule = model.optimizer._learning_rate
    for step, rate in ((0, 1e-3), (14_999, 1e-3), (15_000, 1e-4), (30_000, 1e-5)):
        np.testing.assert_allclose(float(schedule(step)), rate, rtol=1e-5)
    assert model.optimizer.epsilon == 1e-8
    assert model.jit_compile is False
