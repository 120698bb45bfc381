"""How the models of the paper are trained."""

import keras

from avpipeline.losses import MultiLabelSoftMargin
from avpipeline.metrics import SegmentAccuracy
from avpipeline.optimizers import Adam
from jca.config import TrainConfig, train_config

_LOSSES = {"soft_margin": MultiLabelSoftMargin, "cross_entropy": keras.losses.CategoricalCrossentropy}


def compile_model(model: keras.Model, config: TrainConfig | None = None) -> keras.Model:
    """Compiles `model` with the paper's loss, optimizer and metric, and returns it.

    Args:
      model: output `(batch, segments, classes)` probabilities.
      config: the recipe; None is that of the authors' code for JCA.
    """
    config = config or train_config()
    optimizer = Adam(config.learning_rate, epsilon=config.epsilon, epsilon_form=config.epsilon_form)
    # XLA does not help on a CPU, and Keras's "auto" would choose it.
    model.compile(optimizer, _LOSSES[config.loss](), metrics=[SegmentAccuracy()], jit_compile=False)
    return model
