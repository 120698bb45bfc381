"""Losses that more than one paper trains with."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="avpipeline")
class MultiLabelSoftMargin(keras.losses.Loss):
    """torch's MultiLabelSoftMarginLoss, which some published code applies to softmax probabilities.

    For labels y and scores p, both `(..., classes)`: the mean over classes of
    -[y log sigmoid(p) + (1 - y) log(1 - sigmoid(p))], then over all other axes. It was made for scores: of
    probabilities its minimum is far above zero (0.68 for 29 classes), since sigmoid(1) is only 0.73.
    """

    def __init__(self, name="multi_label_soft_margin", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, y_pred.dtype)
        # -log sigmoid(p) = softplus(-p) and -log(1 - sigmoid(p)) = softplus(p) = softplus(-p) + p.
        return ops.mean(ops.softplus(-y_pred) + (1 - y_true) * y_pred, axis=-1)
