"""Adam with epsilon in the place where the authors' framework puts it."""

import keras
from keras import ops

from avpipeline.nn.backends import TENSORFLOW

if TENSORFLOW:
    import tensorflow as tf

EPSILON_FORMS = ("torch_legacy", "torch")


class SharedByStep(keras.optimizers.Adam):
    """Adam that computes once per step what Keras's Adam computes again for each variable.

    `update_step` receives the shared values in place of the learning rate, on each device. A small network has so many
    variables that powers and conversions of single numbers are a good part of its graph. Under TensorFlow `kernel` does
    all of a variable's arithmetic, elsewhere `formulas` does; their arguments are the same.
    """

    def shared(self, dtype: str, learning_rate) -> tuple:
        """The values that all variables of `dtype` share in one step."""
        raise NotImplementedError

    def kernel(self, variable, momentum, velocity, gradient, rate, epsilon, powers) -> None:
        """One variable's step by TensorFlow's kernel; formulas take ten passes over the moments there.

        Args:
          variable, momentum, velocity, gradient: of one shape.
          rate: the learning rate.
          epsilon: added to sqrt(v) before the bias correction.
          powers: both betas to the power of the step, counted from 1.
        """
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=momentum.value.handle,
            v=velocity.value.handle,
            beta1_power=powers[0],
            beta2_power=powers[1],
            lr=rate,
            beta1=ops.cast(self.beta_1, variable.dtype),
            beta2=ops.cast(self.beta_2, variable.dtype),
            epsilon=epsilon,
            grad=gradient,
        )

    def formulas(self, variable, momentum, velocity, gradient, rate, epsilon, powers, taken=True) -> None:
        """The same step by Keras's operations; where `taken` is False nothing changes."""
        self.assign_add(momentum, ops.where(taken, (gradient - momentum) * (1 - self.beta_1), 0.0))
        self.assign_add(velocity, ops.where(taken, (ops.square(gradient) - velocity) * (1 - self.beta_2), 0.0))
        size = rate * ops.sqrt(1 - powers[1]) / (1 - powers[0])
        self.assign_sub(variable, ops.where(taken, size * momentum / (ops.sqrt(velocity) + epsilon), 0.0))

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        dtypes = sorted({variable.dtype for variable in trainable_variables})
        shared = {dtype: self.shared(dtype, learning_rate) for dtype in dtypes}
        super()._backend_update_step(grads, trainable_variables, shared)


@keras.saving.register_keras_serializable(package="avpipeline")
class Adam(SharedByStep):
    """Adam with epsilon where torch 0.3/0.4.1 and TF1 put it, or where today's torch does.

    Many gradients of these models are 1e-8 to 1e-7, so epsilon and its place decide the training:

    - `"torch_legacy"`: added to sqrt(v) before the bias correction, step = lr_t * m / (sqrt(v) + eps). The
      recipe that produced the published numbers, and Keras's own form.
    - `"torch"`: added after it, step = lr * m_hat / (sqrt(v_hat) + eps), which in Keras's form is
      epsilon * sqrt(1 - beta_2^t).

    Args:
      learning_rate: number or schedule.
      epsilon: 1e-8 as in torch, never Keras's default 1e-7.
      epsilon_form: one of `EPSILON_FORMS`.
      **kwargs: those of `keras.optimizers.Adam`.
    """

    def __init__(self, learning_rate=1e-3, *, epsilon=1e-8, epsilon_form="torch_legacy", name="adam", **kwargs):
        if epsilon_form not in EPSILON_FORMS:
            raise ValueError(f"epsilon_form must be one of {EPSILON_FORMS}, not {epsilon_form!r}")
        super().__init__(learning_rate, epsilon=epsilon, name=name, **kwargs)
        self.epsilon_form = epsilon_form

    def shared(self, dtype, learning_rate):
        """The learning rate, epsilon, and the powers of both betas."""
        step = ops.cast(self.iterations + 1, dtype)
        powers = [ops.power(ops.cast(beta, dtype), step) for beta in (self.beta_1, self.beta_2)]
        epsilon = ops.cast(self.epsilon, dtype)
        if self.epsilon_form == "torch":
            epsilon *= ops.sqrt(1 - powers[1])
        return ops.cast(learning_rate, dtype), epsilon, powers

    def update_step(self, gradient, variable, shared):
        dtype = keras.backend.standardize_dtype(variable.dtype)
        index = self._get_variable_index(variable)
        apply = self.kernel if TENSORFLOW else self.formulas
        apply(variable, self._momentums[index], self._velocities[index], ops.cast(gradient, dtype), *shared[dtype])

    def get_config(self):
        return {**super().get_config(), "epsilon_form": self.epsilon_form}
