"""LSTMs with the weights that the authors' PyTorch LSTMs have."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="avpipeline")
class TorchLSTM(keras.layers.Layer):
    """LSTM over time with two bias vectors, as torch keeps them.

    Gates in the order input, forget, cell, output. torch adds an input bias and a recurrent bias; the forward
    pass uses only their sum, but under Adam each moves by its own step, so the sum moves twice as far as a
    single bias would: a layer with one bias leaves the authors' trajectory after a few steps.

    Every weight and bias starts uniform in +-1/sqrt(units), torch's default; the forget bias is not raised.

    Args:
      units: size of hidden and cell state.
      go_backwards: from the last time step to the first; outputs stay in the order of time.

    Input `(batch, time, channels)` with a static number of time steps; output `(batch, time, units)`. A masked
    step leaves the state as it is and puts out zeros.
    """

    def __init__(self, units: int, go_backwards: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.go_backwards = go_backwards
        self.supports_masking = True

    def build(self, input_shape):
        limit = self.units**-0.5

        def weight(name, *shape):
            initializer = keras.initializers.RandomUniform(-limit, limit)
            return self.add_weight(shape=shape, name=name, initializer=initializer)

        self.kernel = weight("kernel", input_shape[-1], 4 * self.units)
        self.recurrent_kernel = weight("recurrent_kernel", self.units, 4 * self.units)
        self.bias = weight("bias", 4 * self.units)
        self.recurrent_bias = weight("recurrent_bias", 4 * self.units)

    def call(self, sequence, mask=None):
        # The input's share of all gates in one product; the loop is unrolled, because a while loop of ten tiny
        # steps costs more than the steps.
        from_input = ops.matmul(sequence, self.kernel) + self.bias + self.recurrent_bias
        hidden = cell = ops.zeros_like(from_input[:, 0, : self.units])
        steps = range(sequence.shape[1])
        outputs = {}
        for step in reversed(steps) if self.go_backwards else steps:
            gates = from_input[:, step] + ops.matmul(hidden, self.recurrent_kernel)
            enter, forget, candidate, leave = ops.split(gates, 4, axis=-1)
            next_cell = ops.sigmoid(forget) * cell + ops.sigmoid(enter) * ops.tanh(candidate)
            next_hidden = outputs[step] = ops.sigmoid(leave) * ops.tanh(next_cell)
            if mask is not None:
                present = ops.expand_dims(mask[:, step], -1)
                outputs[step] = ops.where(present, next_hidden, ops.zeros_like(next_hidden))
                next_hidden = ops.where(present, next_hidden, hidden)
                next_cell = ops.where(present, next_cell, cell)
            hidden, cell = next_hidden, next_cell
        return ops.stack([outputs[step] for step in steps], axis=1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units, "go_backwards": self.go_backwards}


@keras.saving.register_keras_serializable(package="avpipeline")
class BidirectionalLSTM(keras.layers.Layer):
    """torch's one-layer bidirectional LSTM: forward and backward outputs side by side.

    Args:
      units: size of the hidden state, each way.

    Input `(batch, time, channels)`; output `(batch, time, 2 * units)`, forward first.
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.supports_masking = True

    def build(self, input_shape):
        self.forward = TorchLSTM(self.units, name="forward", dtype=self.dtype_policy)
        self.backward = TorchLSTM(self.units, go_backwards=True, name="backward", dtype=self.dtype_policy)
        self.forward.build(input_shape)
        self.backward.build(input_shape)

    def call(self, sequence, mask=None):
        both = [self.forward(sequence, mask=mask), self.backward(sequence, mask=mask)]
        return ops.concatenate(both, axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 2 * self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}
