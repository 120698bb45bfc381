"""The attention against the paper's equations written out in NumPy."""

import re
from pathlib import Path

import numpy as np
import pytest

import ave
from ave.layers import AudioGuidedAttention, ChannelNormalizedReLU, VisualGuidedAttention
from tests.helpers.layer_checks import check_layer
from tests.reference.ave import attention_weights


@pytest.fixture
def inputs():
    rng = np.random.default_rng(0)
    audio = rng.standard_normal((3, 4, 6)).astype("float32")
    visual = np.abs(rng.standard_normal((3, 4, 2, 3, 5))).astype("float32")
    return audio, visual


@pytest.mark.parametrize("audio_added_to", ["regions", "components"])
def test_attention_follows_equations_2_to_4(inputs, audio_added_to):
    audio, visual = inputs
    layer = AudioGuidedAttention(8, audio_added_to, name="attention")
    attended, maps = check_layer(layer, audio, visual)
    weights = {weight.path: np.asarray(weight) for weight in layer.weights}
    for video in range(3):
        for second in range(4):
            regions = visual[video, second].reshape(6, 5)
            w = attention_weights(audio[video, second], regions, weights, audio_added_to)
            np.testing.assert_allclose(maps[video, second].ravel(), w, atol=1e-6)
            np.testing.assert_allclose(attended[video, second], w @ regions, atol=1e-5)
    np.testing.assert_allclose(maps.sum((2, 3)), 1, atol=1e-6)


def test_the_two_readings_of_equation_4_differ(inputs):
    code, paper = AudioGuidedAttention(8, "regions"), AudioGuidedAttention(8, "components")
    code(*inputs), paper(*inputs)
    paper.set_weights(code.get_weights())
    assert np.abs(np.asarray(code(*inputs)[1]) - np.asarray(paper(*inputs)[1])).max() > 1e-3


def test_region_order_is_row_major(inputs):
    """Swapping two regions of the map swaps their attention weights where audio is added to components."""
    audio, visual = inputs
    layer = AudioGuidedAttention(8, "components")
    maps = np.asarray(layer(audio, visual)[1])
    swapped = np.asarray(layer(audio, visual[:, :, ::-1])[1])
    np.testing.assert_allclose(swapped, maps[:, :, ::-1], atol=1e-6)


def test_unknown_reading_is_refused():
    with pytest.raises(ValueError, match="audio_added_to must be one of"):
        AudioGuidedAttention(8, "everything")


def test_visual_guided_attention_changes_the_roles(inputs):
    """The regions of an audio map are weighed as those of a visual map, guided by a visual vector."""
    guide, regions = inputs
    layer = VisualGuidedAttention(8, name="attention")
    attended, maps = check_layer(layer, guide, regions)
    twin = AudioGuidedAttention(8)
    twin(guide, regions)
    twin.set_weights(layer.get_weights())
    np.testing.assert_allclose(attended, twin(guide, regions)[0], atol=1e-6)
    assert maps.shape == (3, 4, 2, 3)


def test_channel_normalized_relu():
    x = np.array([[[4.0, -1.0, 2.0], [-1.0, -2.0, -3.0]]], "float32")
    (ours,) = check_layer(ChannelNormalizedReLU(), x)
    np.testing.assert_allclose(ours, [[[1, 0, 0.5], [0, 0, 0]]], atol=1e-5)


@pytest.mark.parametrize("number", range(1, 11))
def test_every_equation_stands_at_its_code(number):
    source = "".join(path.read_text(encoding="utf-8") for path in Path(ave.__file__).parent.rglob("*.py"))
    # In a comment; the index and the formulas are in docstrings.
    assert re.search(rf"# .*Eq\. {number}\b", source)
