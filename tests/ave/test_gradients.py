"""Gradients of the losses and of every layer with a guard at extreme scores, against float64."""

import keras
import numpy as np
import pytest

import ave
from ave.fusion import FUSIONS
from ave.layers import ChannelNormalizedReLU, EnsembleScores
from ave.match.networks import ContrastiveLoss, PairDistances
from tests.helpers.extreme_gradients import EXTREMES, check_extreme_gradients, check_steps, sigmoid, softmax

CLASSES = len(EXTREMES)
SMALL = {"attention_units": 4, "lstm_units": 4, "hidden_units": 4, "num_classes": CLASSES, "num_segments": 2}
SMALL |= {"audio_channels": 3, "visual_shape": (2, 2, 3)}


def batch(model):
    return {name: np.zeros((1, *tensor.shape[1:]), "float32") for name, tensor in model.input.items()}


def compiled(name, preset):
    return ave.compile_model(ave.build_model(name, preset, **SMALL), ave.train_config(preset, name))


def test_cross_entropy_of_segments():
    """Softmax minus label, for a label whose probability float32 rounds to 0."""
    labels = np.tile(np.eye(CLASSES, dtype="float32")[0], (1, 2, 1))
    model = compiled("a", "paper")
    check_steps(model, batch(model), labels, {"L2": EXTREMES}, {"L2": softmax(EXTREMES) - labels[0, 0]})


def test_cross_entropy_of_a_weak_models_video():
    """Segments alike share the gradient of their pooled score."""
    labels = np.eye(CLASSES, dtype="float32")[:1]
    model = compiled("w_a", "paper")
    check_steps(model, batch(model), labels, {"L2": EXTREMES}, {"L2": softmax(EXTREMES) - labels[0]})


@pytest.mark.parametrize("label", [0, 4, 8])
def test_cross_entropy_of_an_ensemble(label):
    """p = (p_1 + p_2) / 2: member m has -(p_m / sum p)(y - p_m), without rounding."""
    members = [EXTREMES, EXTREMES[::-1] / 2]
    p = [softmax(scores) for scores in members]
    y = np.eye(CLASSES)[label]
    shares = [each[label] / (p[0][label] + p[1][label]) for each in p]
    expected = [-share * (y - each) for share, each in zip(shares, p, strict=True)]
    loss = keras.losses.CategoricalCrossentropy(reduction=None)

    def function(first, second):
        return loss(y[None].astype("float32"), keras.layers.Softmax()(EnsembleScores()([first[None], second[None]])))

    check_extreme_gradients(function, members, expected)


def test_scores_of_an_ensemble_are_the_logarithm_of_the_sum():
    members = np.random.default_rng(0).standard_normal((2, 3, 4)).astype("float32")
    p = softmax(members).sum(0)
    np.testing.assert_allclose(EnsembleScores()(list(members)), np.log(p), atol=1e-6)
    config = EnsembleScores().get_config()
    assert EnsembleScores.from_config(config).compute_output_shape([(3, 4), (3, 4)]) == (3, 4)


def test_the_ensembles_network_ends_in_its_scores():
    assert ave.build_model("dmrfe", **SMALL).get_layer("members").output.shape == (None, 2, CLASSES)


def test_soft_margin_on_probabilities_as_the_code_has_it():
    """The derivative of the code's loss through the softmax: it vanishes where the softmax is sure, right or wrong."""
    y = np.eye(CLASSES, dtype="float32")[0]
    p = softmax(EXTREMES)
    of_p = (sigmoid(p) - y) / CLASSES
    labels = np.tile(y, (1, 2, 1))
    model = compiled("a", "code")
    check_steps(model, batch(model), labels, {"L2": EXTREMES}, {"L2": p * (of_p - (p * of_p).sum())})


def test_maximum_of_two_projections_passes_the_larger_ones_gradient():
    """MP fusion: max(U a, V v) at -100 to 100."""
    layer = FUSIONS["mp"](1)
    a, v = (each.ravel() for each in np.meshgrid(EXTREMES, EXTREMES + 1))
    layer(a[None, :, None].astype("float32"), v[None, :, None].astype("float32"))
    for projection in (layer.U, layer.V):
        projection.set_weights([np.ones((1, 1)), *(np.zeros(1) for _ in projection.weights[1:])])
    larger = (a > v)[None, :, None]
    check_extreme_gradients(layer, [a[None, :, None], v[None, :, None]], [larger, ~larger])


def test_normalized_relu_at_extremes():
    """x / (max x + 1e-5) as in ED-TCN's code: where nothing is above zero there is no gradient."""
    x = np.stack([EXTREMES, -np.abs(EXTREMES) - 1])[:, None]
    weights = np.arange(CLASSES)
    positive, peak = np.maximum(EXTREMES, 0), 100.0
    expected = np.zeros_like(x)
    expected[0, 0] = weights * (EXTREMES > 0) / (peak + 1e-5)
    expected[0, 0, -1] -= (weights * positive).sum() / (peak + 1e-5) ** 2
    check_extreme_gradients(lambda x: ChannelNormalizedReLU()(x) * weights.astype("float32"), [x], [expected])


def test_distance_and_contrastive_loss_as_the_code_has_them():
    """sqrt(max(sum d^2, 1e-7)) has no gradient at its floor; far apart it is y 2 d, and the margin's side ends at 2."""
    apart = np.array([*np.abs(EXTREMES), 1.0, 1e-5])
    visual, audio = apart[None, :, None], np.zeros((1, len(apart), 1))
    own = np.maximum(apart**2, 1e-7) ** 0.5
    moves = apart**2 > 1e-7
    for label, expected in ((1.0, 2 * apart * moves), (0.0, -2 * np.maximum(2 - own, 0) * moves)):
        loss = ContrastiveLoss(reduction=None)
        labels = np.full((1, len(apart)), label, "float32")
        gradient = expected[None, :, None]
        check_extreme_gradients(
            lambda v, a, loss=loss, labels=labels: loss(labels, PairDistances()(v, a)),
            [visual, audio],
            [gradient, -gradient],
        )
