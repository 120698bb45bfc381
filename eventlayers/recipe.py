"""How the models of the paper are trained."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf
from keras import ops

from avpipeline.nn.optimizers import Adam
from eventlayers.config import TrainConfig, train_config
from eventlayers.voting import VideoAccuracy


@keras.saving.register_keras_serializable(package="eventlayers")
class MultiHeadCrossEntropy(keras.losses.Loss):
    """Eq. 4: the sum over the heads of each one's cross-entropy with the video's one label, equally weighted.

    Labels `(batch, classes)` one-hot, scores `(batch, heads, classes)` before the softmax; the mean over the batch.
    """

    def __init__(self, name="multi_head_cross_entropy", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        labels = ops.cast(y_true, y_pred.dtype)[:, None]
        return -ops.sum(labels * ops.log_softmax(y_pred, axis=-1), axis=(1, 2))


def compile_model(model: keras.Model, config: TrainConfig | None = None) -> keras.Model:
    """Compiles `model` with the paper's loss, the configured optimizer and the accuracy of the vote; returns it.

    Args:
      config: the recipe; None is that of models on features. The gradients of `config.steps_an_update` batches are
        averaged before the weights change, which Keras's optimizers do themselves: give `fit` batches of
        `config.clips_a_step` videos.
    """
    config = config or train_config()
    steps = config.steps_an_update
    optimizer = Adam(config.learning_rate, gradient_accumulation_steps=steps if steps > 1 else None)
    # XLA is eight times slower than plain kernels on a CPU, and Keras's "auto" would choose it.
    model.compile(optimizer, MultiHeadCrossEntropy(), metrics=[VideoAccuracy()], jit_compile=False)
    return model


@contextlib.contextmanager
def precision(name: str) -> Iterator[None]:
    """Layers built inside compute in the precision `name`; "auto" is mixed_float16 on a GPU, else float32."""
    if name == "auto":
        name = "mixed_float16" if tf.config.list_physical_devices("GPU") else "float32"
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
