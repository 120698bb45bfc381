"""Adam with epsilon where the authors' framework put it."""

import keras
from keras import ops

EPSILON_FORMS = ("torch_legacy", "torch")


@keras.saving.register_keras_serializable(package="avpipeline")
class Adam(keras.optimizers.Adam):
    """Adam whose epsilon stands where torch 0.3/0.4.1 and TF1 put it, or where today's torch does.

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

    def update_step(self, gradient, variable, learning_rate):
        if self.epsilon_form == "torch_legacy":
            super().update_step(gradient, variable, learning_rate)
            return
        dtype = variable.dtype
        step = ops.cast(self.iterations + 1, dtype)
        gradient = ops.cast(gradient, dtype)
        momentum = self._momentums[self._get_variable_index(variable)]
        velocity = self._velocities[self._get_variable_index(variable)]
        self.assign_add(momentum, (gradient - momentum) * (1 - self.beta_1))
        self.assign_add(velocity, (ops.square(gradient) - velocity) * (1 - self.beta_2))
        root_correction = ops.sqrt(1 - ops.power(ops.cast(self.beta_2, dtype), step))
        size = ops.cast(learning_rate, dtype) / (1 - ops.power(ops.cast(self.beta_1, dtype), step))
        self.assign_sub(variable, size * momentum / (ops.sqrt(velocity) / root_correction + self.epsilon))

    def get_config(self):
        return {**super().get_config(), "epsilon_form": self.epsilon_form}
