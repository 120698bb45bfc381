"""How the networks of the paper are trained: loss, optimizer and precision."""

import contextlib

import keras
from keras import ops

from avpipeline.nn.backends import has_gpu, jit_compile
from avpipeline.nn.optimizers import Adam
from eventlayers.config import TrainConfig, train_config
from eventlayers.voting import vote


@keras.saving.register_keras_serializable(package="eventlayers")
class MultiHeadCrossEntropy(keras.losses.Loss):
    """Eq. 4: cross-entropy of each head with the video's single label, summed over the heads with equal weights.

    Labels `(batch, classes)` one-hot, scores `(batch, heads, classes)` before the softmax; averaged over the batch.
    """

    def __init__(self, name="multi_head_cross_entropy", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        # Eq. 4; Keras takes the mean over the batch.
        labels = ops.cast(y_true, y_pred.dtype)[:, None]
        return -ops.sum(labels * ops.log_softmax(y_pred, axis=-1), axis=(1, 2))


@keras.saving.register_keras_serializable(package="eventlayers")
class VideoAccuracy(keras.metrics.Mean):
    """`video_accuracy` as a metric that is updated batch by batch."""

    def __init__(self, name="video_accuracy", **kwargs):
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true, y_pred, sample_weight=None):
        right = ops.take_along_axis(ops.cast(y_true, "float32"), vote(y_pred)[:, None], axis=1)[:, 0]
        return super().update_state(right > 0, sample_weight)


def compile_model(model: keras.Model, config: TrainConfig | None = None) -> keras.Model:
    """Compiles `model` with the paper's loss, the configured optimizer and the accuracy of the vote; returns it.

    Args:
      config: the hyperparameters; None takes those of models on features. The gradients of `config.steps_an_update`
        batches are averaged before the weights change, which Keras's optimizers do themselves: give `fit` batches of
        `config.clips_a_step` videos.

    Raises:
      InputError: `config.clips_at_once` does not divide `config.batch_size`.
    """
    config = config or train_config()
    steps = config.steps_an_update
    optimizer = Adam(config.learning_rate, gradient_accumulation_steps=steps if steps > 1 else None)
    model.compile(optimizer, MultiHeadCrossEntropy(), metrics=[VideoAccuracy()], jit_compile=jit_compile())
    # If the first step created the optimizer's variables, TensorFlow would trace it twice.
    model.optimizer.build(model.trainable_variables)
    return model


def precision(name: str) -> contextlib.AbstractContextManager:
    """Sets the precision of the layers built inside; "auto" is mixed_float16 on a GPU, else float32."""
    if name == "auto":
        name = "mixed_float16" if has_gpu() else "float32"
    from avpipeline.training import strategy

    return strategy.precision(name.removeprefix("mixed_"))
