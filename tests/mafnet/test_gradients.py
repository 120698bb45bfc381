"""Gradients of the loss and of the layers with a guard at extreme scores, against float64."""

import numpy as np

import mafnet
from mafnet.layers import AttentionCluster
from tests.helpers.extreme_gradients import EXTREMES, check_extreme_gradients, check_steps, softmax
from tests.helpers.mafnet_small import small_batch, small_model

CLASSES = len(EXTREMES)


def test_cross_entropy_is_softmax_minus_label():
    """For a label whose probability float32 rounds to 0."""
    model = small_model("mafnet", "paper", num_classes=CLASSES, logits_norm=False)
    mafnet.compile_model(model, mafnet.train_config("paper"))
    inputs, _ = small_batch(model, 2)
    labels = np.eye(CLASSES, dtype="float32")[[0, 0]]
    check_steps(model, inputs, labels, {"classifier": EXTREMES}, {"classifier": softmax(EXTREMES) - labels[0]})


def test_norm_of_a_cluster_at_every_length():
    """x / ||x|| with Keras's floor: below a length of 1e-7 the output is 1e7 x, and at zero there is no NaN."""
    layer = AttentionCluster(1)
    layer.build((1, 1, 2))
    layer.alpha.assign([[1.0]])
    layer.beta.assign([[0.0]])
    upstream = np.array([1.0, 2.0])
    for length in (1e-9, 1e-5, 1.0, 20.0, 50.0, 100.0):
        x = length * np.array([0.6, 0.8])
        unit = x / length
        expected = (upstream - unit * (unit @ upstream)) / length if length > 1e-7 else upstream * 1e7
        check_extreme_gradients(
            lambda x: layer(x) * upstream.astype("float32"), [x[None, None]], [expected[None, None]], atol=1e-7
        )
