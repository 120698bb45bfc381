"""Gradients of the losses and of the layers with a guard at extreme scores, against float64."""

import keras
import numpy as np
import pytest

import jca
from jca.compared import CrossModalMatch, EventPooling, EventScores
from jca.layers import L2Normalization
from tests.helpers.extreme_gradients import EXTREMES, check_extreme_gradients, check_steps, sigmoid, softmax

CLASSES = len(EXTREMES)
SMALL = {"video_size": 8, "audio_size": 6, "recursions": 1, "affinity_units": 5, "num_classes": CLASSES}
SMALL |= {"num_segments": 2, "audio_channels": 3, "visual_shape": (2, 2, 3)}


@pytest.mark.parametrize("loss", ["cross_entropy", "soft_margin"])
def test_losses_of_a_label_whose_probability_is_rounded_to_0(loss):
    """Softmax minus label; or, as the code has it, the soft margin of probabilities, which vanishes where the softmax
    is sure, right or wrong."""
    model = jca.compile_model(jca.build_model("avsdn", **SMALL), jca.train_config(name="avsdn", loss=loss))
    inputs = {key: np.zeros((1, *tensor.shape[1:]), "float32") for key, tensor in model.input.items()}
    y, p = np.eye(CLASSES, dtype="float32")[0], softmax(EXTREMES)
    of_p = (sigmoid(p) - y) / CLASSES
    expected = {"cross_entropy": p - y, "soft_margin": p * (of_p - (p * of_p).sum())}[loss]
    check_steps(model, inputs, np.tile(y, (1, 2, 1)), {"classifier": EXTREMES}, {"classifier": expected})


@pytest.mark.parametrize("label", [0, 2, 3])
def test_cross_entropy_of_dams_probabilities(label):
    """p = relevance * category and 1 - relevance, for every pair of extreme matches and a category of three."""
    heard, watched = (each.ravel()[None] for each in np.meshgrid(EXTREMES, EXTREMES))
    category = np.array([[-100.0, 0.0, 50.0]])
    labels = np.tile(np.eye(4, dtype="float32")[label], (1, heard.size, 1))
    total = sigmoid(heard) + sigmoid(watched)
    rest = sigmoid(-heard) + sigmoid(-watched)
    # Derivatives of log((s + t) / 2) and log(1 - (s + t) / 2), both sums without cancellation.
    sign, mean = (1, rest) if label == 3 else (-1, total)
    expected = [sign * sigmoid(each) * sigmoid(-each) / mean for each in (heard, watched)]
    of_category = np.zeros((1, 3)) if label == 3 else heard.size * (softmax(category) - np.eye(3)[label])
    loss = keras.losses.CategoricalCrossentropy(reduction=None)

    def function(category, heard, watched):
        return loss(labels, keras.layers.Softmax()(EventScores()(category, heard, watched)))

    check_extreme_gradients(function, [category, heard, watched], [of_category, *expected])


def test_dams_network_ends_in_its_scores():
    model = jca.build_model("dam", **SMALL)
    assert model.get_layer("segment_scores").output.shape == (None, 2, CLASSES)


def test_a_match_as_saved_models_have_it_is_a_sigmoid():
    local, event = np.ones((1, 2, 4), "float32"), np.full((1, 4), 3, "float32")
    np.testing.assert_allclose(CrossModalMatch()(local, event), sigmoid(np.full((1, 2), 6.0)), rtol=1e-6)
    np.testing.assert_allclose(CrossModalMatch(sigmoid=False)(local, event), np.full((1, 2), 6.0), rtol=1e-6)


def test_unit_rows_at_every_length():
    """torch's x / max(||x||, 1e-12); a row below the floor counts as zero and has no gradient."""
    upstream = np.array([1.0, 2.0])
    for length in (1e-14, 1e-6, 1.0, 20.0, 50.0, 100.0):
        unit = np.array([0.6, 0.8])
        expected = (upstream - unit * (unit @ upstream)) / length if length > 1e-12 else np.zeros(2)
        check_extreme_gradients(
            lambda x: L2Normalization()(x) * upstream.astype("float32"), [length * unit[None]], [expected[None]]
        )


def test_pooling_of_an_event_or_of_all_segments():
    """The guard for a video without an event, at features of 100."""
    x = np.tile(EXTREMES[:, None], (2, 1, 1))
    segments = np.zeros((2, CLASSES), "float32")
    segments[0, 2:4] = 1
    expected = np.zeros_like(x)
    expected[0, 2:4], expected[1] = 1 / 2, 1 / CLASSES
    pool = EventPooling()
    pool.segments = segments
    check_extreme_gradients(pool, [x], [expected])
