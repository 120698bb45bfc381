"""The training recipe: loss (Section 4.1), optimizer, learning-rate schedule and metric."""

import keras

from ave.config import TrainConfig, train_config
from ave.models import is_weak
from avpipeline.metrics import SegmentAccuracy
from avpipeline.nn.backends import jit_compile
from avpipeline.nn.losses import CategoricalCrossentropy, MultiLabelSoftMargin
from avpipeline.nn.optimizers import Adam


def compile_model(model: keras.Model, config: TrainConfig | None = None) -> keras.Model:
    """Compiles `model` with the paper's loss, optimizer, schedule and metric, and returns it.

    Args:
      model: outputs probabilities `(batch, segments, classes)`; the loss of a weakly supervised model is that of its
        output "video", `(batch, classes)`, alone.
      config: the recipe; None means that of the authors' code.
    """
    config = config or train_config()
    learning_rate = keras.optimizers.schedules.ExponentialDecay(
        config.learning_rate, config.decay_steps, config.decay_rate, staircase=True
    )
    optimizer = Adam(learning_rate, epsilon=config.epsilon, epsilon_form=config.epsilon_form)
    # Section 4.1 names cross-entropy; the authors' code applies the soft margin loss to the softmax output.
    loss = MultiLabelSoftMargin() if config.loss == "soft_margin" else CategoricalCrossentropy()
    if is_weak(model):
        model.compile(optimizer, {"video": loss}, jit_compile=jit_compile())
    else:
        model.compile(optimizer, loss, metrics=[SegmentAccuracy()], jit_compile=jit_compile())
    # If the first step created the optimizer's variables, TensorFlow would trace it twice.
    model.optimizer.build(model.trainable_variables)
    return model
