"""How the models of the paper are trained: update dropping (Section 3.6)."""

import keras

from avpipeline.nn.optimizers import Adam
from mafnet.config import TrainConfig, train_config
from mafnet.optimizers import SeparateAdams

# The layers of each path (`mafnet.models` makes them), in the order of the signal.
PATHS = {
    modality: tuple(f"{modality}_{layer}" for layer in ("block", "dense", "norm"))
    for modality in ("visual", "audio")
}


@keras.saving.register_keras_serializable(package="mafnet")
class UpdateDropping(keras.Model):
    """Functional model whose training step first draws what it trains: everything, or not one of the paths.

    It is compiled with `SeparateAdams`, as `compile_model` does; with any other optimizer every step trains
    everything. The population statistics of both paths are updated at every step, whatever is drawn.
    """

    def train_step(self, data):
        """One batch: the draw, then Keras's own step, which the drawn Adam takes."""
        # Half precision wraps the optimizer into one that scales the loss.
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        if isinstance(optimizer, SeparateAdams):
            optimizer.choose()
        return super().train_step(data)


def compile_model(model: keras.Model, config: TrainConfig | None = None, seed: int = 0) -> keras.Model:
    """Compiles `model` with the paper's loss, optimizer and metric, and returns it.

    Args:
      model: output `(batch, classes)` probabilities; a model with two paths is trained with update dropping.
      config: the recipe; None is that of the authors' code.
      seed: of the draws of update dropping.
    """
    config = config or train_config()
    if isinstance(model, UpdateDropping):
        optimizer = SeparateAdams(
            config.learning_rate,
            epsilon=config.epsilon,
            prob_image=config.prob_image,
            prob_all=config.prob_all,
            seed=seed,
            update_sequence=config.update_sequence,
            left_out=left_out(model, config.left_out),
        )
    else:
        optimizer = Adam(config.learning_rate, epsilon=config.epsilon)
    model.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(),
        metrics=[keras.metrics.CategoricalAccuracy(name="video_accuracy")],
        # XLA is eight times slower than plain kernels on a CPU, and Keras's "auto" would choose it.
        jit_compile=False,
    )
    # Variables made within the first step would make TensorFlow trace it twice.
    model.optimizer.build(model.trainable_variables)
    return model


def left_out(model: keras.Model, which: str) -> dict[str, tuple[int, ...]]:
    """Update -> places in `model.trainable_variables` of what it leaves out; 'all' leaves out nothing.

    Args:
      which: "path", the other path's layers (the paper); "accident", all of them but the hidden dense layer: the
        authors' code picks variables by a word in their names, and that layer's name lacks it.
    """
    places = {id(variable): place for place, variable in enumerate(model.trainable_variables)}
    skipped = {}
    for update, modality in (("image", "audio"), ("sound", "visual")):
        names = [name for name in PATHS[modality] if which == "path" or not name.endswith("_dense")]
        owners = [layer for layer in model.layers if layer.name in names]
        skipped[update] = tuple(places[id(variable)] for layer in owners for variable in layer.trainable_variables)
    return skipped
