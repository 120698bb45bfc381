"""Dense layers initialised as torch initialises its linear layers."""

import keras


def uniform_by_fan_in(fan_in: int) -> keras.initializers.Initializer:
    """torch's default for the weight and the bias of a linear layer: uniform in +-1/sqrt(fan_in)."""
    return keras.initializers.RandomUniform(-(fan_in**-0.5), fan_in**-0.5)


def linear(units: int, fan_in: int, *, xavier: bool = False, zero_bias: bool = False, **kwargs) -> keras.layers.Dense:
    """Dense layer initialised like torch's `Linear`, whose kernel and bias are both random.

    Args:
      fan_in: input size, on which torch's default initialisation depends.
      xavier: initialise the kernel with Xavier uniform instead of torch's default.
      zero_bias: initialise the bias with zeros instead of torch's default.
    """
    kernel = "glorot_uniform" if xavier else uniform_by_fan_in(fan_in)
    bias = "zeros" if zero_bias else uniform_by_fan_in(fan_in)
    return keras.layers.Dense(units, kernel_initializer=kernel, bias_initializer=bias, **kwargs)
