"""One Adam for each kind of update: three sets of moments and step counts, one of which takes each step."""

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from mafnet.config import UPDATES

_NUMBERS = 2**32


def mixed(value):
    """A whole number of 0 or more, an int or an int64 tensor, mixed to another of 32 bits.

    Whole numbers alone, so that graphs, XLA and every device agree to the bit; TensorFlow's random operations do
    not.
    """
    for _ in range(2):
        value = value % _NUMBERS
        value = (value ^ (value // 2**16)) * 0x45D9F3B
    value = value % _NUMBERS
    return value ^ (value // 2**16)


@keras.saving.register_keras_serializable(package="mafnet")
class SeparateAdams(keras.optimizers.Adam):
    """Three Adams in one, for the updates 'image', 'all' and 'sound': each step is taken by one of them.

    Each has moments and a step count of its own, and variables that it leaves out. Setting the gradients of those
    to zero would not do: Adam moves a variable by its momentum also where the gradient is zero. All share the
    learning rate, so whatever sets it reaches them all.

    The moments of a variable lie in one array `(3, *shape)`, of which a step reads and writes one row: there is no
    control flow, so a step is the same program on every replica and under XLA.

    Which one takes a step is a function of `seed` and the number of the step alone, the same on all replicas and
    after a reload. `choose` sets it; `mafnet.recipe.UpdateDropping` calls that at the start of each step.

    Args:
      learning_rate: number or schedule.
      prob_image, prob_all: the shares of steps of 'image' and 'all'; the rest are 'sound'.
      seed: of the draws, 0 or more.
      update_sequence: names of updates to take one after the other, over and over, instead of drawing.
      left_out: update -> places, among the variables that the optimizer is built with, of those it leaves out.
      epsilon: in the place where TF1 had it, which is Keras's too: added to sqrt(v) before the bias correction.
      **kwargs: those of `keras.optimizers.Adam` but `amsgrad` and `gradient_accumulation_steps`.

    Raises:
      ValueError: shares that are none, an unknown update, a negative seed, one of those two.
    """

    def __init__(
        self,
        learning_rate=1e-4,
        *,
        prob_image: float = 0.0,
        prob_all: float = 0.9,
        seed: int = 0,
        update_sequence: Sequence[str] | None = None,
        left_out: Mapping[str, Sequence[int]] | None = None,
        epsilon: float = 1e-8,
        name: str = "separate_adams",
        **kwargs,
    ):
        if min(prob_image, prob_all) < 0 or prob_image + prob_all > 1:
            raise ValueError(
                f"prob_image {prob_image} and prob_all {prob_all} must be shares of at most 1 together"
            )
        if seed < 0:
            raise ValueError(f"the seed must be 0 or more, not {seed}")
        unknown = sorted({*(update_sequence or ()), *(left_out or ())} - set(UPDATES))
        if unknown or (update_sequence is not None and not update_sequence):
            raise ValueError(f"updates are {', '.join(UPDATES)}, not {', '.join(unknown) or 'none at all'}")
        for absent in ("amsgrad", "gradient_accumulation_steps"):
            if kwargs.get(absent):
                raise ValueError(f"{absent} is not offered here: it would need one for each of the three Adams")
        super().__init__(learning_rate, epsilon=epsilon, name=name, **kwargs)
        self.prob_image = prob_image
        self.prob_all = prob_all
        self.seed = seed
        self.update_sequence = None if update_sequence is None else tuple(update_sequence)
        self.left_out = {update: tuple(places) for update, places in (left_out or {}).items()}
        counter = {"dtype": "int64", "aggregation": "only_first_replica"}
        everything = keras.initializers.Constant(UPDATES.index("all"))
        self.chosen = self.add_variable((), everything, name="chosen", **counter)
        self.steps = self.add_variable((len(UPDATES),), name="steps", **counter)

    def drawn(self, step) -> tf.Tensor:
        """Index in `UPDATES` of what step `step`, from 0, trains; int64 of any shape, from NumPy or TensorFlow."""
        step = tf.convert_to_tensor(step, "int64")
        if self.update_sequence is not None:
            sequence = tf.constant([UPDATES.index(update) for update in self.update_sequence], "int64")
            return tf.gather(sequence, step % len(self.update_sequence))
        number = mixed(step + mixed(self.seed + 1))
        thresholds = [round(share * _NUMBERS) for share in (self.prob_image, self.prob_image + self.prob_all)]
        return tf.add_n([tf.cast(number >= threshold, "int64") for threshold in thresholds])

    def choose(self) -> None:
        """Sets which Adam takes the next step."""
        self.assign(self.chosen, self.drawn(self.iterations))

    def build(self, variables):
        if self.built:
            return
        # Adam's own slots are not made: it would keep one set of moments.
        keras.optimizers.Optimizer.build(self, variables)
        shapes = [(len(UPDATES), *variable.shape) for variable in variables]
        self._momentums = [self.add_variable(shape, name="momentums") for shape in shapes]
        self._velocities = [self.add_variable(shape, name="velocities") for shape in shapes]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        momentums, velocities = self._momentums[index].value, self._velocities[index].value
        row = tf.convert_to_tensor(self.chosen)
        # One row is read, never the whole: reading all would copy it before every write.
        momentum, velocity = tf.gather(momentums, row), tf.gather(velocities, row)
        gradient = tf.cast(gradient, variable.dtype)
        new_momentum = momentum + (gradient - momentum) * (1 - self.beta_1)
        new_velocity = velocity + (tf.square(gradient) - velocity) * (1 - self.beta_2)
        step = tf.cast(tf.gather(self.steps.value, row) + 1, variable.dtype)
        correction = tf.sqrt(1 - tf.pow(self.beta_2, step)) / (1 - tf.pow(self.beta_1, step))
        size = tf.cast(learning_rate, variable.dtype) * correction
        change = size * new_momentum / (tf.sqrt(new_velocity) + self.epsilon)

        leaves_out = [index in self.left_out.get(update, ()) for update in UPDATES]
        if any(leaves_out):
            skip = tf.gather(leaves_out, row)
            new_momentum = tf.where(skip, momentum, new_momentum)
            new_velocity = tf.where(skip, velocity, new_velocity)
            change = tf.where(skip, tf.zeros_like(change), change)
        self.assign(momentums, tf.IndexedSlices(new_momentum[None], row[None]))
        self.assign(velocities, tf.IndexedSlices(new_velocity[None], row[None]))
        self.assign_sub(variable, change)

    def apply(self, grads, trainable_variables=None):
        super().apply(grads, trainable_variables)
        self.steps.assign_add(tf.one_hot(self.chosen, len(UPDATES), dtype="int64"))

    def get_config(self):
        return {
            **super().get_config(),
            "prob_image": self.prob_image,
            "prob_all": self.prob_all,
            "seed": self.seed,
            "update_sequence": self.update_sequence,
            "left_out": self.left_out,
        }
