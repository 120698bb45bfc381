"""LSTM with the weights that the authors' PyTorch LSTMs have."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="avpipeline")
class TorchLSTMCell(keras.layers.Layer):
    """One LSTM step with two bias vectors, as torch keeps them.

    Gates in the order input, forget, cell, output. torch adds an input bias and a recurrent bias; the forward
    pass uses only their sum, but under Adam each moves by its own step, so the sum moves twice as far as a
    single bias would: a cell with one bias leaves the authors' trajectory after a few steps.

    Every weight and bias starts uniform in +-1/sqrt(units), torch's default; the forget bias is not raised.

    Args:
      units: size of hidden and cell state.

    Inputs `(batch, channels)` and states `[(batch, units), (batch, units)]` (hidden, cell); output
    `(batch, units)` and the new states.
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    @property
    def state_size(self) -> list[int]:
        return [self.units, self.units]

    @property
    def output_size(self) -> int:
        return self.units

    def build(self, input_shape):
        limit = self.units**-0.5

        def weight(name, *shape):
            initializer = keras.initializers.RandomUniform(-limit, limit)
            return self.add_weight(shape=shape, name=name, initializer=initializer)

        self.kernel = weight("kernel", input_shape[-1], 4 * self.units)
        self.recurrent_kernel = weight("recurrent_kernel", self.units, 4 * self.units)
        self.bias = weight("bias", 4 * self.units)
        self.recurrent_bias = weight("recurrent_bias", 4 * self.units)

    def call(self, inputs, states, training=None):
        hidden, cell = states
        gates = ops.matmul(inputs, self.kernel) + self.bias
        gates += ops.matmul(hidden, self.recurrent_kernel) + self.recurrent_bias
        enter, forget, candidate, leave = ops.split(gates, 4, axis=-1)
        cell = ops.sigmoid(forget) * cell + ops.sigmoid(enter) * ops.tanh(candidate)
        hidden = ops.sigmoid(leave) * ops.tanh(cell)
        return hidden, [hidden, cell]

    def compute_output_shape(self, input_shape, states_shape=None):
        output = (*input_shape[:-1], self.units)
        return output, [output, output]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def bidirectional_lstm(units: int, name: str) -> keras.layers.Bidirectional:
    """torch's one-layer bidirectional LSTM: `(batch, time, channels)` -> `(batch, time, 2 * units)`.

    Unrolled, because a while loop of ten tiny steps costs more than the steps; the time axis must be static.
    """
    rnn = keras.layers.RNN(TorchLSTMCell(units, name="cell"), return_sequences=True, unroll=True, name="rnn")
    return keras.layers.Bidirectional(rnn, name=name)
