"""Every model of the paper: against NumPy, its parts, its presets, its round trip."""

import dataclasses

import keras
import numpy as np
import numpy_reference
import pytest
from layer_checks import check_round_trip

import ave

SMALL = {
    "attention_units": 8,
    "lstm_units": 5,
    "hidden_units": 6,
    "num_classes": 4,
    "num_segments": 3,
    "audio_channels": 7,
    "visual_shape": (2, 2, 9),
}
# A name's inputs; attention is guided by the audio.
INPUTS = {"a": {"audio"}, "v": {"visual"}, "v_att": {"audio", "visual"}, "av": {"audio", "visual"}}


@pytest.fixture
def batch():
    rng = np.random.default_rng(1)
    audio = rng.standard_normal((3, 3, 7)).astype("float32")
    return {"audio": audio, "visual": rng.random((3, 3, 2, 2, 9), "float32")}


def inputs_of(model, batch):
    return {name: batch[name] for name in model.input}


@pytest.mark.parametrize("preset", ave.PRESETS)
@pytest.mark.parametrize("name", ave.MODELS)
def test_model_equals_numpy(name, preset, batch):
    model = ave.build_model(name, preset, **SMALL)
    config = ave.model_config(name, preset, **SMALL)
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


@pytest.mark.parametrize("name", ave.MODELS)
def test_model_takes_only_what_it_needs_and_round_trips(name, batch, tmp_path):
    model = ave.build_model(name, **SMALL)
    assert set(model.input) == INPUTS.get(name, {"audio", "visual"})
    assert set(ave.model_config(name).modalities) == set(model.input)
    check_round_trip(model, inputs_of(model, batch), tmp_path)


@pytest.mark.parametrize("preset", ave.PRESETS)
@pytest.mark.parametrize("name", ave.MODELS)
def test_every_configuration_trains_one_step(name, preset, batch):
    model = ave.compile_model(ave.build_model(name, preset, **SMALL), ave.train_config(preset))
    before = [np.array(weight) for weight in model.trainable_weights]
    labels = np.eye(4, dtype="float32")[np.arange(9).reshape(3, 3) % 4]
    model.fit(inputs_of(model, batch), labels, verbose=0)
    assert all(np.abs(old - new).max() > 0 for old, new in zip(before, model.trainable_weights, strict=True))


def test_published_sizes_have_torchs_parameter_count():
    assert ave.build_model("av_att").count_params() == 1_335_246


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
    assert ave.model_config("av_att").audio_added_to == "regions"
    assert ave.model_config("av_att", "paper").audio_added_to == "components"


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
