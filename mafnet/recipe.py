"""The training recipe: update dropping (Section 3.6), loss and optimizer (Section 4.3), metric."""

import keras

from avpipeline.nn.backends import TENSORFLOW, jit_compile
from avpipeline.nn.losses import CategoricalCrossentropy, MultiLabelSoftMargin
from avpipeline.nn.optimizers import Adam
from mafnet.config import TrainConfig, train_config
from mafnet.optimizers import SeparateAdams

# Section 4.3; the soft margin is that of AVE's code, with which DMRN is trained.
_LOSSES = {"cross_entropy": CategoricalCrossentropy, "soft_margin": MultiLabelSoftMargin}
# The layers of each path in `mafnet.models`, from input to output.
PATHS = {
    modality: tuple(f"{modality}_{layer}" for layer in ("block", "dense", "norm")) for modality in ("visual", "audio")
}


@keras.saving.register_keras_serializable(package="mafnet")
class UpdateDropping(keras.Model):
    """Functional model with update dropping (Section 3.6): each training step may leave out one path's weights.

    What a step trains is drawn at random by `SeparateAdams`, with which `compile_model` compiles it; with any other
    optimizer every step trains everything. The population statistics of both paths are updated at every step.
    """

    def train_step(self, *state_and_data):
        """Draws which Adam takes the step, then runs Keras's own training step on one batch.

        TensorFlow's step is given the batch alone; JAX's takes and returns all variables too.
        """
        # In half precision Keras wraps the optimizer in one that scales the loss.
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        if isinstance(optimizer, SeparateAdams):
            if TENSORFLOW:
                optimizer.choose()
            else:
                state_and_data = self._with_choice(optimizer, *state_and_data)
        return super().train_step(*state_and_data)

    def _with_choice(self, optimizer: SeparateAdams, state: tuple, data) -> tuple:
        """JAX's arguments, with the optimizer's choice among its variables."""
        trainable, non_trainable, optimizer_values, metrics = state
        variables = self.optimizer.variables
        with keras.StatelessScope(list(zip(variables, optimizer_values, strict=True))) as scope:
            optimizer.choose()
        chosen = [scope.get_current_value(variable) for variable in variables]
        return (trainable, non_trainable, chosen, metrics), data


def compile_model(model: keras.Model, config: TrainConfig | None = None, seed: int = 0) -> keras.Model:
    """Compiles `model` with the paper's loss, optimizer and metric, and returns it.

    Args:
      model: outputs probabilities `(batch, classes)`; a model with two paths is trained with update dropping.
      config: the recipe; None means that of the authors' code.
      seed: seed of the random draws of update dropping.
    """
    config = config or train_config()
    rate = config.learning_rate
    if config.decay_steps:
        rate = keras.optimizers.schedules.ExponentialDecay(rate, config.decay_steps, 0.1, staircase=True)
    if isinstance(model, UpdateDropping):
        optimizer = SeparateAdams(
            rate,
            epsilon=config.epsilon,
            prob_image=config.prob_image,
            prob_all=config.prob_all,
            seed=seed,
            update_sequence=config.update_sequence,
            left_out=left_out(model, config.left_out),
        )
    else:
        optimizer = Adam(rate, epsilon=config.epsilon)
    model.compile(
        optimizer,
        _LOSSES[config.loss](),
        metrics=[keras.metrics.CategoricalAccuracy(name="video_accuracy")],
        jit_compile=jit_compile(),
    )
    # If the first step created the optimizer's variables, TensorFlow would trace it twice.
    model.optimizer.build(model.trainable_variables)
    return model


def left_out(model: keras.Model, which: str) -> dict[str, tuple[int, ...]]:
    """Which variables each update leaves out; 'all' leaves out none.

    Args:
      which: "path" leaves out all layers of the other path (the paper); "accident" all but its hidden dense layer:
        the authors' code selects variables by a word in their names, which that layer's name lacks.

    Returns:
      Update -> indices in `model.trainable_variables`.
    """
    places = {id(variable): place for place, variable in enumerate(model.trainable_variables)}
    skipped = {}
    for update, modality in (("image", "audio"), ("sound", "visual")):
        names = [name for name in PATHS[modality] if which == "path" or not name.endswith("_dense")]
        owners = [layer for layer in model.layers if layer.name in names]
        skipped[update] = tuple(places[id(variable)] for layer in owners for variable in layer.trainable_variables)
    return skipped
