"""How the models of the paper are trained: loss, optimizer and learning rate schedule."""

import keras

from avpipeline.metrics import SegmentAccuracy
from avpipeline.nn.backends import jit_compile
from avpipeline.nn.losses import CategoricalCrossentropy, MultiLabelSoftMargin
from avpipeline.nn.optimizers import Adam
from jca.config import TrainConfig, train_config

_LOSSES = {"soft_margin": MultiLabelSoftMargin, "cross_entropy": CategoricalCrossentropy}
# Smaller changes of the learning rate are not made, as in torch.
_SMALLEST_CHANGE = 1e-8


def compile_model(model: keras.Model, config: TrainConfig | None = None) -> keras.Model:
    """Compiles `model` with the paper's loss, optimizer and metric, and returns it.

    The paper gives no loss; the authors' code takes the multi-label soft margin. The learning rate schedule is a
    callback, `PlateauSchedule`.

    Args:
      model: output `(batch, segments, classes)` probabilities.
      config: the hyperparameters; None takes those of the authors' code for JCA.
    """
    config = config or train_config()
    optimizer = Adam(config.learning_rate, epsilon=config.epsilon, epsilon_form=config.epsilon_form)
    model.compile(optimizer, _LOSSES[config.loss](), metrics=[SegmentAccuracy()], jit_compile=jit_compile())
    # If the first step created the optimizer's variables, its graph would contain the creation of each of them.
    optimizer.build(model.trainable_variables)
    return model


class PlateauSchedule(keras.callbacks.Callback):
    """Multiplies the learning rate by `factor` when the mean training loss has stopped falling.

    torch's ReduceLROnPlateau: an epoch is better if its loss is below best * (1 - threshold); after more than
    `patience` consecutive epochs that are not better, the rate is reduced and the count starts again.
    """

    def __init__(self, factor: float = 0.5, patience: int = 10, threshold: float = 1e-4):
        super().__init__()
        self.factor, self.patience, self.threshold = factor, patience, threshold
        self.best: float | None = None
        self.waited = 0

    def on_epoch_end(self, epoch, logs=None):
        loss = float(logs["loss"])
        if self.best is None or loss < self.best * (1 - self.threshold):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        if self.waited > self.patience:
            self.waited = 0
            rate = float(self.model.optimizer.learning_rate)
            if rate * (1 - self.factor) > _SMALLEST_CHANGE:
                self.model.optimizer.learning_rate = rate * self.factor

    def get_state(self) -> dict:
        """State for a resumed run; the learning rate itself is a variable of the optimizer."""
        return {"best": self.best, "waited": self.waited}

    def set_state(self, values: dict) -> None:
        """Restores what `get_state` returned."""
        self.best, self.waited = values["best"], values["waited"]
