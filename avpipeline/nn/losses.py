"""Losses that more than one paper trains with."""

import keras
import numpy as np
from keras import ops

from avpipeline.nn.backends import TENSORFLOW

# The smallest float32 with all of its digits.
_SMALLEST = float(np.finfo("float32").tiny)


@keras.saving.register_keras_serializable(package="avpipeline")
class MultiLabelSoftMargin(keras.losses.Loss):
    """torch's MultiLabelSoftMarginLoss, which some published code applies to softmax probabilities.

    For labels y and scores p, both `(..., classes)`: the mean over classes of
    -[y log sigmoid(p) + (1 - y) log(1 - sigmoid(p))], then over all other axes. It was made for scores: on
    probabilities, its minimum is far above zero (0.68 for 29 classes), since sigmoid(1) is only 0.73.
    """

    def __init__(self, name="multi_label_soft_margin", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, y_pred.dtype)
        # -log sigmoid(p) = softplus(-p) and -log(1 - sigmoid(p)) = softplus(p) = softplus(-p) + p.
        return ops.mean(ops.softplus(-y_pred) + (1 - y_true) * y_pred, axis=-1)


def logarithm(probabilities):
    """log p, with the gradient 1/p down to p = 1.2e-38, below which there is none; Keras's losses clip at 1e-7."""
    return ops.log(ops.maximum(probabilities, _SMALLEST))


@keras.saving.register_keras_serializable(package="avpipeline")
class CrossEntropyOfProbabilities(keras.losses.Loss):
    """-sum_c y_c log p_c of labels y and probabilities p, both `(..., classes)`.

    For backends where Keras does not remember the scores that a softmax was computed from, and clips probabilities to
    [1e-7, 1 - 1e-7], beyond which its own loss has no gradient.
    """

    def __init__(self, name="categorical_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        return -ops.sum(ops.cast(y_true, y_pred.dtype) * logarithm(y_pred), axis=-1)


# Keras's own computes the logarithms from the scores, on TensorFlow alone.
CategoricalCrossentropy = keras.losses.CategoricalCrossentropy if TENSORFLOW else CrossEntropyOfProbabilities
