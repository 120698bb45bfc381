"""Every row's network: the paper's counts, the forward pass in NumPy, tokens, training steps, round trips."""

import dataclasses
import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import attendfusion
from attendfusion import sizes
from attendfusion.config import DESIGNS, ROWS, SHARED, TOKENS
from attendfusion.models import attend_fusion, network_of_blocks
from attendfusion.recipe import MultiLabelCrossEntropy
from attendfusion.train import PAPER
from avpipeline.results import papers
from tests.helpers.layer_checks import check_round_trip, check_same_network
from tests.reference.attendfusion import Network, forward

SMALL = {"width": 8, "num_classes": 5, "audio_channels": 4, "visual_channels": 6}
VIDEOS = 3
# What is no row of the paper is left to the slow tests.
EVERY_MODEL = [
    name if name in ROWS.values() else pytest.param(name, marks=pytest.mark.slow) for name in attendfusion.MODELS
]


@functools.cache
def small(name, tokens="mean_std"):
    keras.utils.set_random_seed(3)
    return attendfusion.build_model(name, **SMALL, tokens=tokens)


def inputs(model, tokens=2, seed=0):
    rng = np.random.default_rng(seed)
    features = {
        "audio": rng.standard_normal((VIDEOS, tokens, 4)).astype("float32"),
        "visual": rng.standard_normal((VIDEOS, tokens, 6)).astype("float32"),
    }
    return {name: features[name] for name in model.input if name in features}


@pytest.mark.parametrize("name", EVERY_MODEL)
def test_forward_pass_is_that_of_numpy_and_survives_a_file(name, tmp_path):
    model = small(name)
    # Biases and normalisation weights of their own, so that each of them counts.
    rng = np.random.default_rng(4)
    model.set_weights([w + 0.3 * rng.standard_normal(w.shape).astype("float32") for w in model.get_weights()])
    features = inputs(model)
    ours = np.asarray(model(features))
    assert ours.shape == (VIDEOS, 5)
    for video in range(VIDEOS):
        audio, visual = (features.get(name, np.zeros((VIDEOS, 2, 1)))[video] for name in ("audio", "visual"))
        np.testing.assert_allclose(ours[video], forward(Network(model), name, audio, visual), atol=1e-5)
    check_round_trip(model, features, tmp_path)


@pytest.mark.parametrize(
    "tokens", [name if name == "frames" else pytest.param(name, marks=pytest.mark.slow) for name in TOKENS]
)
def test_attend_fusion_written_out_is_the_network_of_its_blocks(tokens):
    config = attendfusion.model_config("attend_fusion", **SMALL, tokens=tokens)
    features = inputs(small("attend_fusion", tokens), tokens=1 if tokens == "mean" else 2)
    features |= {"num_frames": np.array([2, 1, 2])} if tokens == "frames" else {}
    check_same_network(lambda: attend_fusion(config), lambda: network_of_blocks(config, "attend_fusion"), features)


@pytest.mark.parametrize("name", EVERY_MODEL)
def test_count_from_shapes_is_that_of_the_built_model(name):
    model = small(name)
    assert attendfusion.count_parameters(name, **SMALL) == model.count_params()


@pytest.mark.parametrize("name", ["fcrgn_late", "self_cross_fcrn"])
def test_shapes_at_another_width(name):
    wider = {**SMALL, "width": 24}
    shapes = sizes.weight_shapes(attendfusion.model_config(name, **wider))
    assert shapes == {weight.path: tuple(weight.shape) for weight in attendfusion.build_model(name, **wider).weights}


def test_the_count_knows_other_sizes_of_attention_and_refuses_halves():
    built = attendfusion.build_model("attend_fusion", **SMALL, attention_units=3)
    assert attendfusion.count_parameters("attend_fusion", **SMALL, attention_units=3) == built.count_params()
    with pytest.raises(ValueError, match="the width 7 is odd"):
        attendfusion.count_parameters("attend_fusion", **{**SMALL, "width": 7})


def test_every_row_of_the_paper_has_a_network():
    rows = {(published.table, published.row) for published in papers.rows("attendfusion")}
    assert rows == set(ROWS) and len(rows) == 22
    assert len({ROWS[place] for place in rows - set(SHARED)}) == len(rows - set(SHARED)) == 18
    assert len({attendfusion.model_config(name) for name in attendfusion.MODELS}) == 24
    assert PAPER.rows_of("fc_audio") == [("Table 1", "FC Audio"), ("Table 2", "FC Late Fusion audio only")]
    alternatives = set(attendfusion.MODELS) - set(ROWS.values())
    assert alternatives == {
        *(f"attend_fusion_{design}" for design in DESIGNS),
        "fc_late_averaged",
        "fcrn_late_averaged",
    }
    assert not any(PAPER.rows_of(name) for name in alternatives)


def structure(model):
    """Layers with their settings and connections; neither names nor seeds of initialisers."""
    layers = model.get_config()["layers"]
    places = {layer["name"]: place for place, layer in enumerate(layers)}

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items() if not key.endswith(("_initializer", "seed"))}
        if isinstance(value, (list, tuple)):
            return [plain(each) for each in value]
        return places.get(value, value) if isinstance(value, str) else value

    return json.dumps(plain(layers))


def test_networks_are_distinct():
    again = attendfusion.build_model("attend_fusion", **SMALL)
    assert structure(again) == structure(small("attend_fusion"))
    assert len({structure(small(name)) for name in attendfusion.MODELS}) == len(attendfusion.MODELS) == 24


# Millions of parameters of Attend-Fusion and of its audio-only and visual-only rows; the paper prints 72, 35 and 37.
DESIGN_COUNTS = {
    "skipless": (72_071_788, 35_120_748, 36_955_756),
    "literal": (72_016_492, 35_093_100, 36_928_108),
    "multi_head": (72_041_068, 35_105_388, 36_940_396),
    "attention_fc": (72_047_212, 35_108_460, 36_943_468),
}


@pytest.mark.slow
@pytest.mark.parametrize("design", DESIGNS)
def test_other_designs_come_out_at_the_papers_millions_too(design):
    rows = ("attend_fusion", "attend_fusion_audio", "attend_fusion_visual")
    counts = tuple(attendfusion.count_parameters(row, branch=DESIGNS[design]) for row in rows)
    assert counts == DESIGN_COUNTS[design]
    assert [round(count / 1e6) for count in counts] == [72, 35, 37]
    assert attendfusion.count_parameters(f"attend_fusion_{design}") == counts[0]


@pytest.mark.slow
def test_only_the_attention_with_normalisation_gives_the_172_million_of_the_cross_modal_rows():
    """The rest of these rows as it is; the paper prints 172 for both."""

    def count(*design):
        stage = (*design, "fc")
        return attendfusion.count_parameters("self_cross", branch=stage, cross=("fc", *stage))

    assert count("add_norm_attention") == count("self_attention") == 171_553_388
    assert count("literal_attention") == 171_442_796
    assert count("multi_head_attention", "fc", "fc") == 171_491_948


@pytest.mark.slow
def test_late_fusion_by_averaging_has_the_same_millions():
    for name in ("fc_late", "fcrn_late"):
        assert attendfusion.count_parameters(f"{name}_averaged") == 340_729_432
        assert attendfusion.count_parameters(name) == 340_724_716


def test_add_and_norm_gives_every_query_a_gradient_and_no_skip_does_not():
    """Two tokens become alike with every attention that has no skip; at the start of training."""
    smallest = {}
    for name in ("attend_fusion", "attend_fusion_skipless"):
        keras.utils.set_random_seed(1)
        model = attendfusion.build_model(name, **{**SMALL, "width": 256})
        features = inputs(model, seed=2)
        with tf.GradientTape() as tape:
            loss = MultiLabelCrossEntropy()(np.eye(5, dtype="float32")[:VIDEOS], model(features))
        kernels = {weight.path: weight.value for weight in model.weights if weight.path.endswith("kernel")}
        gradients = dict(zip(kernels, tape.gradient(loss, list(kernels.values())), strict=True))
        sizes = {path: float(tf.norm(gradient)) for path, gradient in gradients.items()}
        smallest[name] = min(
            size / sizes[path.replace("/query/", "/value/")] for path, size in sizes.items() if "/query/" in path
        )
    assert smallest["attend_fusion"] > 1e-3
    assert smallest["attend_fusion_skipless"] < 1e-6


def test_rows_of_one_size_compute_different_things():
    """FC Late and FCRN Late, and the two rows of 172 million, have the same weights and other wiring."""
    for first, second in (("fc_late", "fcrn_late"), ("self_cross", "self_cross_fcrn")):
        one, other = small(first), small(second)
        shapes = sorted(tuple(weight.shape) for weight in one.weights)
        assert shapes == sorted(tuple(weight.shape) for weight in other.weights)
        other.set_weights(one.get_weights())
        features = inputs(one)
        assert np.abs(np.asarray(one(features)) - np.asarray(other(features))).max() > 1e-3


@pytest.mark.parametrize("name", ["fcrgn_late", "residual_attention_early", "self_cross"])
def test_a_step_moves_every_weight(name):
    """The other rows train a step in the tables' test; these three have every kind of block."""
    keras.utils.set_random_seed(5)
    recipe = attendfusion.train_config(weight_decay=0, learning_rate=1e-2)
    model = attendfusion.compile_model(attendfusion.build_model(name, **SMALL), recipe)
    # Tracing a graph of some hundred variables takes ten times as long as the step.
    model.run_eagerly = True
    before = [np.array(weight) for weight in model.trainable_weights]
    assert np.isfinite(model.train_on_batch(inputs(model), np.eye(5, dtype="float32")[:VIDEOS])).all()
    for weight, old in zip(model.trainable_weights, before, strict=True):
        # A bias of the keys adds the same to all of a query's scores, so that it has no gradient anywhere.
        if not weight.path.endswith("/key/bias"):
            assert np.abs(np.asarray(weight) - old).max() > 0, weight.path


@pytest.mark.parametrize("name", ["residual_attention_early", "self_cross", "fc_audio"])
def test_frames_in_a_longer_batch_give_the_same(name):
    model = small(name, "frames")
    features = inputs(model, tokens=5)
    alone = [np.asarray(model({**{n: x[:, :2] for n, x in features.items()}, "num_frames": np.full(VIDEOS, 2)}))]
    padded = np.asarray(model({**features, "num_frames": np.array([2, 5, 2])}))
    np.testing.assert_allclose(padded[[0, 2]], alone[0][[0, 2]], atol=1e-5)
    assert np.abs(padded[1] - alone[0][1]).max() > 1e-4


@pytest.mark.parametrize("tokens", ["mean_std", "mean", "frames"])
def test_tokens_decide_the_inputs_and_not_the_weights(tokens):
    model = small("attend_fusion", tokens)
    assert model.count_params() == small("attend_fusion").count_params()
    counts = {"mean_std": 2, "mean": 1, "frames": None}
    assert {name: tuple(tensor.shape) for name, tensor in model.input.items() if name != "num_frames"} == {
        "audio": (None, counts[tokens], 4),
        "visual": (None, counts[tokens], 6),
    }
    assert ("num_frames" in model.input) == (tokens == "frames")


def test_mixed_precision_gives_float32_probabilities():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = attendfusion.build_model("fcrgn_late", **SMALL)
        output = model(inputs(model))
    finally:
        keras.config.set_dtype_policy("float32")
    assert output.dtype == "float32" and np.isfinite(np.asarray(output)).all()


def test_published_widths():
    for name in attendfusion.MODELS:
        config = attendfusion.model_config(name)
        assert config.width == (8000 if name.startswith("fc") and name != "fc_attention" else 2048), name
        assert (config.dropout, config.num_classes) == (0.4, 4716)
    assert attendfusion.model_config("attend_fusion").inner == 1024
    assert dataclasses.asdict(attendfusion.train_config())["learning_rate"] == 1e-4


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: attendfusion.build_model("attend"), "unknown model 'attend'; the models are fc_audio"),
        (lambda: attendfusion.build_model("fc_audio", "code"), "there is no public code"),
        (lambda: attendfusion.train_config("code"), "unknown preset 'code'"),
        (lambda: attendfusion.build_model(branch=("nonsense",)), "--branch .*one of input, fc, fc_skip"),
        (lambda: attendfusion.build_model(modalities=()), "--modalities .*must be audio, visual or both"),
        (lambda: attendfusion.build_model(head=("average", "fc")), "give average alone"),
    ],
)
def test_unknown_names_are_refused(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
