"""LSTMs by cuDNN's kernel, which runs all time steps in one call; single steps are too short to keep a GPU busy.

Keras's own LSTM calls that kernel if there is a GPU, and its general form otherwise. Here it is given the weights of
a layer of `recurrent`; it takes the sum of that layer's two biases, so that gradients reach both.
"""

import keras
from keras import ops

from avpipeline.nn.backends import TENSORFLOW, has_gpu


def chosen(dtype: str) -> bool:
    """Whether LSTMs that compute in `dtype` use the kernel on this machine."""
    return TENSORFLOW and dtype in ("float32", "float16") and has_gpu()


class WholeLSTM:
    """Runs an LSTM over all time steps with the weights of another layer.

    It is not a Keras layer, so that it neither adds weights to the layer that holds it nor uses up its random numbers.

    Args:
      units, go_backwards, dtype: those of the layer whose weights are used.
      channels: of the input.
    """

    def __init__(self, units: int, channels: int, go_backwards: bool, dtype):
        zeros = dict.fromkeys(("kernel_initializer", "recurrent_initializer", "bias_initializer"), "zeros")
        self._layer = keras.layers.LSTM(
            units, return_sequences=True, go_backwards=go_backwards, seed=0, name="whole", dtype=dtype, **zeros
        )
        self._layer.build((None, None, channels))

    def __call__(self, sequence, kernel, recurrent_kernel, bias, initial_state=None):
        """Outputs `(batch, time, units)` in the order of time.

        Args:
          initial_state: hidden and cell state, each to be broadcast to `(batch, units)`; None is zero.
        """
        layer = self._layer
        if initial_state is not None:
            shape = (ops.shape(sequence)[0], layer.units)
            initial_state = [ops.broadcast_to(ops.cast(part, sequence.dtype), shape) for part in initial_state]
        others = [variable.value for variable in layer.non_trainable_variables]
        weights = [ops.convert_to_tensor(weight) for weight in (kernel, recurrent_kernel, bias)]
        outputs, _ = layer.stateless_call(weights, others, sequence, initial_state=initial_state)
        return ops.flip(outputs, axis=1) if layer.go_backwards else outputs
