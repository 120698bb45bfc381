"""LSTMs and GRUs with the same weights as the authors' PyTorch ones."""

from collections.abc import Sequence

import keras
from keras import ops

from avpipeline.nn import cudnn


class _TorchRecurrent(keras.layers.Layer):
    """What LSTM and GRU share: two bias vectors, as torch keeps them, and the loop over time.

    The forward pass of an LSTM uses only the sum of torch's input bias and recurrent bias, but under Adam each
    moves by its own step, so the sum moves twice as far as a single bias would: a layer with one bias leaves the
    authors' trajectory after a few steps.

    Every weight and bias starts uniform in +-1/sqrt(units), torch's default; the forget bias is not raised.
    """

    gates: int  # blocks of `units` columns in the kernels
    states: int  # vectors of `units` that are handed from step to step; the first is the output
    whole: cudnn.WholeLSTM | None = None  # takes all steps in one call; None walks through them

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

        self.kernel = weight("kernel", input_shape[-1], self.gates * self.units)
        self.recurrent_kernel = weight("recurrent_kernel", self.units, self.gates * self.units)
        self.bias = weight("bias", self.gates * self.units)
        self.recurrent_bias = weight("recurrent_bias", self.gates * self.units)

    def call(self, sequence, mask=None, initial_state=None):
        if self.whole and mask is None:
            return self._through(sequence, initial_state)
        inputs = self._as_walked(ops.unstack(self._from_input(sequence), axis=1))
        present = None if mask is None else self._as_walked(ops.unstack(ops.expand_dims(mask, -1), axis=1))
        # The loop is unrolled, because a while loop of ten tiny steps costs more than the steps.
        zeros = ops.zeros_like(inputs[0][..., : self.units])
        state = [zeros] * self.states if initial_state is None else [zeros + part for part in initial_state]
        outputs = []
        for index, step_input in enumerate(inputs):
            following = self._step(step_input, state)
            output = following[0]
            if present is not None:
                here = present[index]
                output = ops.where(here, output, zeros)
                following = [ops.where(here, new, old) for new, old in zip(following, state, strict=True)]
            outputs.append(output)
            state = following
        return ops.stack(self._as_walked(outputs), axis=1)

    def _as_walked(self, steps: Sequence) -> list:
        """Steps in the order of time as the layer processes them, or the other way round."""
        # Reversing a list of steps costs nothing; reversing a tensor along time costs as much as a product.
        return list(reversed(steps) if self.go_backwards else steps)

    def _from_input(self, sequence):
        """The inputs' contribution to the gates at all steps, `(batch, time, gates * units)`, in one product."""
        raise NotImplementedError

    def _step(self, from_input, state: list) -> list:
        """The states after one step."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units, "go_backwards": self.go_backwards}


@keras.saving.register_keras_serializable(package="avpipeline")
class TorchLSTM(_TorchRecurrent):
    """LSTM over time with two bias vectors, as torch keeps them.

    Gates in the order input, forget, cell, output.

    Args:
      units: size of hidden and cell state.
      go_backwards: from the last time step to the first; outputs stay in the order of time.

    Input `(batch, time, channels)` with a static number of time steps; output `(batch, time, units)`. A masked
    step leaves the state as it is and puts out zeros. The call's `initial_state` is a pair (hidden, cell), each
    `(units,)` or `(batch, units)`; without it both are zero.
    """

    gates, states = 4, 2

    def build(self, input_shape):
        super().build(input_shape)
        if cudnn.chosen(self.compute_dtype):
            self.whole = cudnn.WholeLSTM(self.units, input_shape[-1], self.go_backwards, self.dtype_policy)
            # XLA cannot call cuDNN.
            self.supports_jit = False

    def _through(self, sequence, initial_state=None):
        """All steps in one call, outputs in the order of time."""
        bias = self.bias + self.recurrent_bias
        return self.whole(sequence, self.kernel, self.recurrent_kernel, bias, initial_state)

    def _from_input(self, sequence):
        return ops.matmul(sequence, self.kernel) + (self.bias + self.recurrent_bias)

    def _step(self, from_input, state):
        hidden, cell = state
        gates = from_input + ops.matmul(hidden, self.recurrent_kernel)
        enter, forget, candidate, leave = ops.split(gates, 4, axis=-1)
        next_cell = ops.sigmoid(forget) * cell + ops.sigmoid(enter) * ops.tanh(candidate)
        return [ops.sigmoid(leave) * ops.tanh(next_cell), next_cell]


@keras.saving.register_keras_serializable(package="avpipeline")
class TorchGRU(_TorchRecurrent):
    """GRU over time as torch computes it: r and z are gates, n = tanh(W_n x + b_n + r * (R_n h + c_n)).

    Gates in the order reset, update, new; the recurrent bias c_n is inside the product with r, so the two bias vectors
    cannot be merged into their sum. The new state is (1 - z) * n + z * h.

    Arguments, input, output and masks as `TorchLSTM`; the call's `initial_state` holds one vector.
    """

    gates, states = 3, 1

    def _from_input(self, sequence):
        return ops.matmul(sequence, self.kernel) + self.bias

    def _step(self, from_input, state):
        (hidden,) = state
        from_hidden = ops.matmul(hidden, self.recurrent_kernel) + self.recurrent_bias
        reset, update, new = ops.split(from_input, 3, axis=-1)
        hidden_reset, hidden_update, hidden_new = ops.split(from_hidden, 3, axis=-1)
        update = ops.sigmoid(update + hidden_update)
        new = ops.tanh(new + ops.sigmoid(reset + hidden_reset) * hidden_new)
        return [(1 - update) * new + update * hidden]


class _Bidirectional(keras.layers.Layer):
    """torch's bidirectional recurrent layers, one on top of the other; the subclass names the cell."""

    cell: type[_TorchRecurrent]

    def __init__(self, units: int, num_layers: int = 1, dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.num_layers = num_layers
        self.dropout = dropout
        self.supports_masking = True

    def build(self, input_shape):
        shape = tuple(input_shape)
        for index in range(self.num_layers):
            for name, backwards in (("forward", False), ("backward", True)):
                name = _numbered(name, index)
                layer = self.cell(self.units, go_backwards=backwards, name=name, dtype=self.dtype_policy)
                layer.build(shape)
                setattr(self, name, layer)
            if index:
                setattr(self, _numbered("drop", index), keras.layers.Dropout(self.dropout, dtype=self.dtype_policy))
            shape = (*shape[:-1], 2 * self.units)

    def call(self, sequence, mask=None, initial_states=None):
        for index in range(self.num_layers):
            if index:
                sequence = getattr(self, _numbered("drop", index))(sequence)
            both = [getattr(self, _numbered(name, index)) for name in ("forward", "backward")]
            rows = self._rows(initial_states, index)
            starts = [rows and [kind[way] for kind in rows] for way in range(2)]
            ways = [layer(sequence, mask=mask, initial_state=start) for layer, start in zip(both, starts, strict=True)]
            sequence = ops.concatenate(ways, axis=-1)
        return sequence

    def _rows(self, initial_states, index: int) -> list | None:
        """The states of one layer, `(2, 1, units)` each; `initial_states` groups its rows by kind of state."""
        if initial_states is None:
            return None
        starts = [2 * (self.num_layers * kind + index) for kind in range(self.cell.states)]
        return [ops.expand_dims(initial_states[start : start + 2], 1) for start in starts]

    @property
    def initial_states_shape(self) -> tuple[int, int]:
        """Shape of the call's `initial_states`."""
        return self.cell.states * 2 * self.num_layers, self.units

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 2 * self.units)

    def get_config(self):
        own = {"units": self.units, "num_layers": self.num_layers, "dropout": self.dropout}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="avpipeline")
class BidirectionalLSTM(_Bidirectional):
    """torch's bidirectional LSTM: forward and backward outputs side by side.

    Args:
      units: size of the hidden state, each way.
      num_layers: LSTMs on top of each other; each reads both directions of the one below.
      dropout: share of values left out between layers, in training.

    Input `(batch, time, channels)`; output `(batch, time, 2 * units)`, forward first. The call's
    `initial_states` has a row for each layer and direction (layer 0 forward, layer 0 backward, layer 1 forward,
    ...), the hidden states first, then the cell states: `(4 * num_layers, units)`; without it all are zero.
    """

    cell = TorchLSTM


@keras.saving.register_keras_serializable(package="avpipeline")
class BidirectionalGRU(_Bidirectional):
    """As `BidirectionalLSTM`, with GRUs; `initial_states` holds hidden states alone: `(2 * num_layers, units)`."""

    cell = TorchGRU


def unroll(model: keras.Model) -> None:
    """Makes a model's LSTMs run step by step on a GPU too, for XLA and for exports to other machines."""
    for layer in model._flatten_layers():
        if isinstance(layer, _TorchRecurrent) and layer.whole:
            layer.whole, layer.supports_jit = None, True


def _numbered(name: str, index: int) -> str:
    """The first layer's name has no number, as when there was one layer only."""
    return f"{name}_{index}" if index else name
