"""How the networks of the paper are trained: loss and optimizer."""

import keras
from keras import ops

from attendfusion.config import TrainConfig, train_config
from avpipeline.metrics.ranking import GAP
from avpipeline.nn.backends import TENSORFLOW
from avpipeline.nn.losses import logarithm
from avpipeline.nn.optimizers import Adam


@keras.saving.register_keras_serializable(package="attendfusion")
class MultiLabelCrossEntropy(keras.losses.Loss):
    """Eq. 10: binary cross-entropy, summed over the classes and averaged over the videos.

    Labels and probabilities `(batch, classes)`. On TensorFlow, Keras remembers the scores that probabilities were
    computed from by a sigmoid, and takes the logarithms from them: a probability that was rounded to 0 or 1 keeps its
    loss and its gradient, p - y with respect to the score. Bare probabilities are clipped to [1e-7, 1 - 1e-7], beyond
    which they have no gradient. On other backends the logarithms are those of the probabilities: the gradient is the
    same for scores from -87 to 17, beyond which float32 rounds a probability to 0 or 1.
    """

    def __init__(self, name="multi_label_cross_entropy", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        # Eq. 10; Keras takes the mean over the batch.
        y_true = ops.cast(y_true, y_pred.dtype)
        if TENSORFLOW:
            return ops.sum(ops.binary_crossentropy(y_true, y_pred), axis=-1)
        return -ops.sum(y_true * logarithm(y_pred) + (1 - y_true) * logarithm(1 - y_pred), axis=-1)


def compile_model(model: keras.Model, config: TrainConfig | None = None) -> keras.Model:
    """Compiles `model` with the paper's loss, optimizer and metric, and returns it.

    AdamW as torch computes it: every parameter, biases included, is first multiplied by
    1 - learning_rate * weight_decay; Adam's step follows, with epsilon added after the bias correction.

    Args:
      model: output `(batch, classes)` probabilities.
      config: the hyperparameters; None takes the paper's.
    """
    config = config or train_config()
    as_torch = {"epsilon": config.epsilon, "epsilon_form": "torch", "weight_decay": config.weight_decay}
    optimizer = Adam(config.learning_rate, **as_torch, name="adamw")
    # GAP is counted in NumPy, outside of TensorFlow's graph, which XLA cannot compile.
    model.compile(optimizer, MultiLabelCrossEntropy(), metrics=[GAP()], jit_compile=not TENSORFLOW)
    # If the first step created the optimizer's variables, TensorFlow would trace it twice.
    model.optimizer.build(model.trainable_variables)
    return model
