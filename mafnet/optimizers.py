"""The optimizer for update dropping (Section 3.6): one Adam for each kind of update, one of which takes each step."""

import functools
from collections.abc import Mapping, Sequence

import keras
from keras import ops

from avpipeline.nn.backends import TENSORFLOW
from avpipeline.nn.optimizers import SharedByStep
from mafnet.config import UPDATES

if TENSORFLOW:
    import tensorflow as tf

# Number of 32-bit hashes.
_HASHES = 2**32
# Type of the hashed integers: JAX has no 64-bit ones by default, and its unsigned 32-bit ones wrap around at 2^32.
_WHOLE = "int64" if TENSORFLOW else "uint32"


def _hashed(value):
    """A 32-bit hash of a nonnegative integer, which is an int or a tensor of `_WHOLE` ones.

    Integer arithmetic only, so that graphs, XLA, all devices and backends agree bit for bit, which TensorFlow's random
    operations do not.
    """
    for _ in range(2):
        value = _remainder(value)
        value = (value ^ (value // 2**16)) * 0x45D9F3B
    value = _remainder(value)
    return value ^ (value // 2**16)


def _remainder(value):
    return value % _HASHES if TENSORFLOW or isinstance(value, int) else value


@keras.saving.register_keras_serializable(package="mafnet")
class SeparateAdams(SharedByStep):
    """Three Adams in one, for the updates 'image', 'all' and 'sound': each step is taken by one of them.

    Each has its own moments, its own step count, and variables that it leaves out. Setting the gradients of those to
    zero would not suffice, since Adam's momentum moves a variable even where its gradient is zero. All three share
    the learning rate, so a schedule or callback reaches all of them.

    Which Adam takes a step depends only on `seed` and the number of the step, so it is the same on all replicas and
    after a reload. `choose` sets it; `mafnet.recipe.UpdateDropping` calls that at the start of each step.

    Args:
      learning_rate: number or schedule.
      prob_image, prob_all: probabilities of 'image' and 'all'; the remaining steps are 'sound'.
      seed: seed of the draws, 0 or more.
      update_sequence: names of updates that the steps take in turn, instead of a random draw.
      left_out: update -> indices, among the variables that the optimizer is built with, of those it leaves out.
      epsilon: added to sqrt(v) before the bias correction, as in TF1 and Keras.
      **kwargs: those of `keras.optimizers.Adam` except `amsgrad` and `gradient_accumulation_steps`.

    Raises:
      ValueError: probabilities that are negative or sum to more than 1, an unknown update or an empty sequence, a
        negative seed, or one of the two arguments that are not supported.
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
                f"prob_image {prob_image} and prob_all {prob_all} must be probabilities that sum to at most 1"
            )
        if seed < 0:
            raise ValueError(f"the seed must be 0 or more, not {seed}")
        unknown = sorted({*(update_sequence or ()), *(left_out or ())} - set(UPDATES))
        if unknown or (update_sequence is not None and not update_sequence):
            raise ValueError(f"updates are {', '.join(UPDATES)}, not {', '.join(unknown) or 'none at all'}")
        for absent in ("amsgrad", "gradient_accumulation_steps"):
            if kwargs.get(absent):
                raise ValueError(f"{absent} is not supported: each of the three Adams would need its own")
        super().__init__(learning_rate, epsilon=epsilon, name=name, **kwargs)
        self.prob_image = prob_image
        self.prob_all = prob_all
        self.seed = seed
        self.update_sequence = None if update_sequence is None else tuple(update_sequence)
        self.left_out = {update: tuple(places) for update, places in (left_out or {}).items()}
        counter = {"dtype": "int", "aggregation": "only_first_replica"}
        everything = keras.initializers.Constant(UPDATES.index("all"))
        self.chosen = self.add_variable((), everything, name="chosen", **counter)
        self.steps = self.add_variable((len(UPDATES),), name="steps", **counter)

    def drawn(self, step) -> keras.KerasTensor:
        """Index in `UPDATES` of the update that step `step` takes.

        Args:
          step: number of the step, from 0; integers of any shape.
        """
        step = ops.convert_to_tensor(step, _WHOLE)
        if self.update_sequence is not None:
            sequence = ops.convert_to_tensor([UPDATES.index(update) for update in self.update_sequence])
            return ops.take(sequence, ops.cast(step % len(self.update_sequence), "int32"))
        number = _hashed(step + ops.convert_to_tensor(_hashed(self.seed + 1), _WHOLE))
        thresholds = [round(share * _HASHES) for share in (self.prob_image, self.prob_image + self.prob_all)]
        # A threshold of 2^32, which no hash reaches, would not fit into 32-bit integers.
        reached = [number >= ops.convert_to_tensor(each, _WHOLE) for each in thresholds if each < _HASHES]
        return sum((ops.cast(each, "int32") for each in reached), ops.zeros_like(step, "int32"))

    def choose(self) -> None:
        """Sets which Adam takes the next step."""
        self.assign(self.chosen, self.drawn(self.iterations))

    def build(self, variables):
        if self.built:
            return
        # Not Adam's own `build`, which would create a single pair of moments.
        keras.optimizers.Optimizer.build(self, variables)
        self._moments = [
            {
                update: self._pair(variable.shape, update)
                for update in UPDATES
                if index not in self.left_out.get(update, ())
            }
            for index, variable in enumerate(variables)
        ]

    def _pair(self, shape, update: str) -> list[keras.Variable]:
        return [self.add_variable(shape, name=f"{update}_{moment}") for moment in ("momentum", "velocity")]

    def shared(self, dtype, learning_rate):
        """Which Adam takes the step, the learning rate, epsilon, and both betas to the power of its own step count."""
        chosen = ops.cast(self.chosen.value, "int32")
        step = ops.cast(ops.take(self.steps.value, chosen) + 1, dtype)
        powers = [ops.power(ops.cast(beta, dtype), step) for beta in (self.beta_1, self.beta_2)]
        return chosen, (ops.cast(learning_rate, dtype), ops.cast(self.epsilon, dtype), powers)

    def update_step(self, gradient, variable, shared):
        dtype = keras.backend.standardize_dtype(variable.dtype)
        chosen, values = shared[dtype]
        gradient = ops.cast(gradient, dtype)
        moments = self._moments[self._get_variable_index(variable)]

        def step_of(update: str):
            if update in moments:
                self.kernel(variable, *moments[update], gradient, *values)
            return chosen

        if TENSORFLOW:
            tf.switch_case(chosen, [functools.partial(step_of, update) for update in UPDATES])
            return
        for update, pair in moments.items():
            self.formulas(variable, *pair, gradient, *values, taken=chosen == UPDATES.index(update))

    def apply(self, grads, trainable_variables=None):
        super().apply(grads, trainable_variables)
        self.steps.assign_add(ops.one_hot(self.chosen, len(UPDATES), dtype=self.steps.dtype))

    def get_config(self):
        return {
            **super().get_config(),
            "prob_image": self.prob_image,
            "prob_all": self.prob_all,
            "seed": self.seed,
            "update_sequence": self.update_sequence,
            "left_out": self.left_out,
        }
