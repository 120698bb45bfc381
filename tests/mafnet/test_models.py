"""Every model of the paper: against NumPy, its presets, its parts, its round trip."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import ave
import mafnet
from avpipeline.results import papers
from mafnet.config import ROWS
from mafnet.models import assembled, is_mafnet
from mafnet.models import mafnet as written_out
from tests.helpers.layer_checks import check_round_trip, check_same_network
from tests.helpers.mafnet_small import SIZES, small_batch, small_model, small_sizes
from tests.helpers.structure import same_networks
from tests.reference import mafnet as numpy_mafnet
from tests.reference.ave import softmax

# MAFnet and its ablations; the other systems are built of layers and models with tests of their own.
OWN = [name for name in mafnet.MODELS if mafnet.model_config(name).system == "mafnet"]
FILMED = {"mafnet": {"audio"}, "film_both": {"audio", "visual"}, "film_visual": {"visual"}}


def trained_once(model):
    """The model with population statistics and biases other than the initial ones."""
    rng = np.random.default_rng(3)
    for weight in model.weights:
        if weight.path.endswith(("bias", "beta", "mean")):
            weight.assign(0.3 * rng.standard_normal(weight.shape))
        elif weight.path.endswith("variance"):
            weight.assign(rng.random(weight.shape) + 0.5)
    return model


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        *((name, "code") for name in OWN),
        *(pytest.param(name, "paper", marks=[] if name == "mafnet" else pytest.mark.slow) for name in OWN),
    ],
)
def test_model_equals_numpy(name, preset):
    # Some initial values leave one of the few small features zero, and the fused vector without a direction.
    keras.utils.set_random_seed(0)
    model = trained_once(small_model(name, preset))
    config = mafnet.model_config(name, preset, **small_sizes(name, preset))
    weights = {weight.path: np.asarray(weight, "float64") for weight in model.weights}
    inputs, _ = small_batch(model, 2)
    sketches = model.get_layer("fusion").sketches if name == "mcb" else None
    shown = mafnet.with_attention(model)(inputs) if mafnet.has_attention(model) else {"video": model(inputs)}
    # Where a sketch is zero but for rounding, 1e-9, its root is 3e-5.
    allowed = 1e-4 if name == "mcb" else 1e-5
    for video in range(2):
        rows = {modality: x[video] for modality, x in inputs.items()}
        probabilities, attention = numpy_mafnet.mafnet(weights, config, **rows, sketches=sketches)
        np.testing.assert_allclose(shown["video"][video], probabilities, atol=allowed)
        if attention is not None:
            np.testing.assert_allclose(shown["attention"][video], attention, atol=1e-5)


@pytest.mark.parametrize("preset", mafnet.PRESETS)
def test_mafnet_is_written_out_as_the_general_builder_assembles_it(preset):
    config = mafnet.model_config("mafnet", preset, **small_sizes("mafnet", preset))
    inputs, _ = small_batch(small_model("mafnet", preset))
    check_same_network(lambda: written_out(config, "mafnet"), lambda: assembled(config, "mafnet"), inputs)


@pytest.mark.parametrize("preset", mafnet.PRESETS)
def test_only_mafnet_is_the_written_out_network(preset):
    assert [name for name in mafnet.MODELS if is_mafnet(mafnet.model_config(name, preset))] == ["mafnet"]


@pytest.mark.parametrize(
    "change", [{"fusion": "addition"}, {"attention": "temporal"}, {"audio_block": "none"}, {"audio_shape": (5,)}]
)
def test_an_override_of_the_structure_is_not_ignored(change):
    model = small_model("mafnet", **change)
    expected = assembled(mafnet.model_config("mafnet", **{**small_sizes(), **change}), "mafnet")
    assert [layer.name for layer in model.layers] == [layer.name for layer in expected.layers]


@pytest.mark.parametrize(("preset", "name"), [*(("code", name) for name in mafnet.MODELS), ("paper", "film_both")])
def test_every_weight_of_every_model_learns(name, preset):
    """One gradient step's loss reaches every weight: no path or projection is unconnected."""
    keras.utils.set_random_seed(0)
    # Wide enough that not all ReLUs before a weight are dead.
    sizes = {"units": 32, "dmrn_attention_units": 32}
    model = mafnet.compile_model(small_model(name, preset, **sizes), mafnet.train_config(preset, name))
    inputs, labels = small_batch(model, 6)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(y=labels, y_pred=model(inputs, training=True))
    for weight, gradient in zip(model.trainable_weights, tape.gradient(loss, model.trainable_weights), strict=True):
        assert gradient is not None, weight.path
        # A bias that all cells share cancels in the softmax, and ReLU may cut off the scores of all cells.
        if not weight.path.startswith("attention/score"):
            assert np.abs(gradient).max() > 0, weight.path


@pytest.mark.parametrize("name", mafnet.MODELS)
def test_model_reads_its_modalities_and_round_trips(name, tmp_path):
    model = trained_once(small_model(name))
    assert tuple(model.input) == mafnet.model_config(name).modalities
    assert set(model.input) == {name} if name in ("visual", "audio") else {"visual", "audio"}
    inputs, _ = small_batch(model)
    check_round_trip(model, inputs, tmp_path)
    np.testing.assert_allclose(np.sum(model(inputs), -1), 1, atol=1e-5)


def test_every_row_of_the_paper_is_a_model():
    """The 25 rows of the paper's feature-based systems; those trained end to end on video are quoted only."""
    rows = [row for row in papers.rows("mafnet") if "external" not in row.table]
    assert len(rows) == 25
    texts = " ".join(mafnet.MODELS.values())
    assert all(row.table in texts for row in rows)
    configurations = {dataclasses.astuple(mafnet.model_config(name)) for name in mafnet.MODELS}
    assert len(configurations) == len(mafnet.MODELS) == 16


@pytest.mark.parametrize("preset", ["code", pytest.param("paper", marks=pytest.mark.slow)])
def test_the_rows_of_all_tables_are_distinct_networks(preset):
    """All but those that are printed twice; DMRN's two rows differ in the features that they take."""
    places = {place: lambda name=name: small_model(name, preset) for place, name in ROWS.items()}
    assert [set(group) for group in same_networks(places)] == [
        {("Table 1", "MAFnet"), ("Table 4", "FiLM in audio path")},
        {("Table 2", "concatenation"), ("Table 3", "modality & temporal attention")},
    ]


@pytest.mark.parametrize("preset", mafnet.PRESETS)
def test_dmrn_attends_to_densenets_maps(preset):
    config = mafnet.model_config("dmrn", preset)
    assert (config.visual_shape, config.audio_shape) == ((7, 7, 1920), (12, 8, 512))
    segments = small_model("dmrn", preset).get_layer("segments")
    assert "attention" in {layer.name for layer in segments.layers}


def test_both_readings_of_temporal_attention_and_of_mcb():
    each, shared = small_model("temporal"), small_model("temporal", temporal_scorer="shared")
    assert each.count_params() - shared.count_params() == 6 * 6 + 6 + 6 + 1
    assert small_model("visual").count_params() == small_model("visual", temporal_scorer="shared").count_params()
    inputs, _ = small_batch(each)
    pooled = [
        keras.Model(model.input, model.get_layer("fusion").output)(inputs)
        for model in (small_model("mcb"), small_model("mcb", mcb_normalized=False))
    ]
    lengths = [np.linalg.norm(x, axis=-1) for x in pooled]
    np.testing.assert_allclose(lengths[0], 1, atol=1e-5)
    assert np.abs(lengths[1] - 1).min() > 1e-3


def test_published_sizes():
    """The parameters of the authors' checkpoint, layer by layer, as its shapes are listed."""
    film, block = 1920 * 1024 + 1024, 512 * 512 + 512 + 9 * 512 * 512 + 512 + 4 * 512
    paths = 1920 * 512 + 512 + 512 * 512 + 512 + 2 * 4 * 512
    attention = 512 * 512 + 512 + 512 + 1
    classifier = 1024 * 28 + 28 + 4 * 28
    model = mafnet.build_model()
    assert model.count_params() == film + block + paths + attention + classifier
    assert {name: x.shape[1:] for name, x in model.input.items()} == {
        "visual": (10, 1920),
        "audio": (10, 12, 8, 512),
    }
    assert mafnet.build_model(preset="paper").input["visual"].shape[1:] == (10, 7, 7, 1920)


def test_paper_averages_the_visual_map_inside():
    """On the map's mean, the same network for a vector gives the same."""
    of_maps, of_vectors = small_model("mafnet", "paper"), small_model("mafnet", "paper", visual_shape=(7,))
    of_vectors.set_weights(of_maps.get_weights())
    inputs, _ = small_batch(of_maps)
    means = {**inputs, "visual": inputs["visual"].mean((2, 3))}
    np.testing.assert_allclose(of_maps(inputs), of_vectors(means), atol=1e-6)


def test_blocks_take_vectors_as_maps_of_one_region():
    of_maps, of_vectors = (small_model("film_both", visual_shape=shape) for shape in ((1, 1, 7), (7,)))
    of_vectors.set_weights(of_maps.get_weights())
    inputs, _ = small_batch(of_maps)
    vectors = {**inputs, "visual": inputs["visual"][:, :, 0, 0]}
    np.testing.assert_allclose(of_maps(inputs), of_vectors(vectors), atol=1e-6)


def test_mcb_sketches_are_no_weights_but_saved_as_a_seed():
    model = small_model("mcb", mcb_seed=5)
    assert not any("fusion" in weight.path for weight in model.weights)
    assert mafnet.model_config("mcb", mcb_seed=5).mcb_seed == model.get_layer("fusion").get_config()["seed"] == 5


def test_attention_clusters_stand_side_by_side():
    model = trained_once(small_model("attention_cluster"))
    inputs, _ = small_batch(model)
    weights = {weight.path: np.asarray(weight, "float64") for weight in model.weights}
    for video in range(4):
        clusters = [
            numpy_mafnet.attention_cluster(inputs["visual"][video], weights, "visual_cluster"),
            numpy_mafnet.attention_cluster(inputs["audio"][video].mean((1, 2)), weights, "audio_cluster"),
        ]
        expected = softmax(numpy_mafnet.dense(np.concatenate(clusters), weights, "classifier"))
        np.testing.assert_allclose(model(inputs)[video], expected, atol=1e-5)


@pytest.mark.parametrize(("name", "preset"), [("dmrn", "code"), ("vectors", "code"), ("dmrn_vgg", "code")])
def test_dmrn_averages_the_scores_of_aves_network(name, preset):
    vectors = {"visual_shape": (7,)} if name == "vectors" else {}
    model = small_model("dmrn" if vectors else name, preset, **vectors)
    inputs, _ = small_batch(model)
    maps = inputs["visual"] if inputs["visual"].ndim == 5 else inputs["visual"][:, :, None, None]
    twin = ave.build_model(
        "dmrn",
        visual="attention" if inputs["visual"].ndim == 5 else "mean",
        attention_units=SIZES["dmrn_attention_units"],
        lstm_units=SIZES["dmrn_lstm_units"],
        num_classes=4,
        num_segments=3,
        audio_channels=5,
        visual_shape=maps.shape[2:],
    )
    twin.set_weights(model.get_weights())
    audio = inputs["audio"] if inputs["audio"].ndim == 3 else inputs["audio"].mean((2, 3))
    scores = keras.Model(twin.input, twin.get_layer("L2").output)({"audio": audio, "visual": maps})
    np.testing.assert_allclose(model(inputs), softmax(np.asarray(scores).mean(1)), atol=1e-5)


@pytest.mark.parametrize("name", ["mafnet", "temporal", "modality", "visual"])
def test_with_attention_shares_weights_and_sums_to_one(name):
    model = small_model(name)
    shown = mafnet.with_attention(model)
    inputs, _ = small_batch(model)
    outputs = shown(inputs)
    np.testing.assert_allclose(outputs["video"], model(inputs), atol=1e-6)
    assert outputs["attention"].shape == (4, 3, len(model.input))
    axes = {"mafnet": (1, 2), "temporal": 1, "modality": 2, "visual": 1}[name]
    np.testing.assert_allclose(np.sum(outputs["attention"], axis=axes), 1, atol=1e-6)
    model.get_layer("classifier").kernel.assign(np.zeros(model.get_layer("classifier").kernel.shape))
    np.testing.assert_allclose(shown(inputs)["video"], model(inputs), atol=1e-6)


@pytest.mark.parametrize(("name", "modalities"), FILMED.items())
def test_with_film_shows_each_paths_embeddings(name, modalities):
    model = small_model(name)
    inputs, _ = small_batch(model)
    outputs = mafnet.with_film(model)(inputs)
    assert set(outputs) == {"video", *(f"{m}_{place}" for m in modalities for place in ("before", "after"))}
    for modality in modalities:
        assert outputs[f"{modality}_before"].shape == (4, 3, SIZES["filters"])
        assert np.abs(outputs[f"{modality}_after"] - outputs[f"{modality}_before"]).max() > 1e-3
    np.testing.assert_allclose(outputs["video"], model(inputs), atol=1e-6)


def test_showing_what_a_model_lacks_is_refused():
    for name in ("no_attention", "attention_cluster", "dmrn"):
        assert not mafnet.has_attention(small_model(name))
        with pytest.raises(ValueError, match=f"{name} has no attention"):
            mafnet.with_attention(small_model(name))
    with pytest.raises(ValueError, match="concatenation has no FiLM layer"):
        mafnet.with_film(small_model("concatenation"))


def test_mixed_precision_gives_float32_probabilities():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        for name in ("film_both", "mcb", "attention_cluster", "dmrn"):
            model = small_model(name)
            outputs = model(small_batch(model)[0])
            assert outputs.dtype == "float32"
            np.testing.assert_allclose(np.sum(outputs, -1), 1, atol=1e-5)
    finally:
        keras.config.set_dtype_policy("float32")


def test_presets_differ_where_paper_and_code_disagree():
    code, paper = mafnet.train_config("code"), mafnet.train_config("paper")
    assert (code.learning_rate, paper.learning_rate) == (1e-4, 1e-3)
    assert (code.left_out, paper.left_out) == ("accident", "path")
    assert (code.patience, paper.patience) == (51, 50)
    assert dataclasses.replace(paper, learning_rate=1e-4, left_out="accident", patience=51) == code
    models = [mafnet.model_config("mafnet", preset) for preset in mafnet.PRESETS]
    points = ("visual_shape", "attention_score", "film_scale", "logits_norm")
    assert [[getattr(model, point) for point in points] for model in models] == [
        [(1920,), "hidden", "one_plus", True],
        [(7, 7, 1920), "relu", "plain", False],
    ]


@pytest.mark.parametrize("arguments", [("mafnett",), ("mafnet", "papers")])
def test_unknown_names_are_refused_with_the_choices(arguments):
    with pytest.raises(ValueError, match="(models|presets) are"):
        mafnet.build_model(*arguments)
