"""A paper's network written plainly, with Keras's own layers: the form that ours is compared with.

Keras's LSTM and GRU instead of `avpipeline.nn.recurrent`, its Adam instead of ours; for JCA also its equations step by
step. The weights differ, but the arithmetic is the same, except that Keras's LSTM has one bias vector.
"""

from typing import ClassVar

import keras
from keras import ops

from avfusion_benchmarks.co_attention import PlainJointCoAttention, PlainNormalization
from avpipeline.nn.recurrent import BidirectionalGRU, BidirectionalLSTM, TorchGRU, TorchLSTM
from jca.layers import JointCoAttention, L2Normalization, Rerepresentation


class KerasBidirectional(keras.layers.Layer):
    """Keras's bidirectional recurrent layers, one on top of the other, called as those of `avpipeline.nn.recurrent`."""

    cell: type[keras.layers.Layer]

    def __init__(self, units: int, num_layers: int, dropout: float, **kwargs):
        super().__init__(**kwargs)
        both = [self.cell(units, return_sequences=True) for _ in range(num_layers)]
        self.ways = [keras.layers.Bidirectional(layer) for layer in both]
        self.drops = [keras.layers.Dropout(dropout) for _ in both[1:]]
        self.units, self.kinds = units, 2 if self.cell is keras.layers.LSTM else 1

    def build(self, input_shape):
        for layer in self.ways:
            layer.build(input_shape)
            input_shape = self.compute_output_shape(input_shape)

    def call(self, sequence, mask=None, initial_states=None):
        for index, layer in enumerate(self.ways):
            if index:
                sequence = self.drops[index - 1](sequence)
            sequence = layer(sequence, initial_state=self._start(sequence, initial_states, index))
        return sequence

    def _start(self, sequence, initial_states, index: int) -> list | None:
        """Hidden and cell state of the forward layer, then those of the backward one."""
        if initial_states is None:
            return None
        rows = [2 * (len(self.ways) * kind + index) + way for way in range(2) for kind in range(self.kinds)]
        shape = (ops.shape(sequence)[0], self.units)
        return [ops.broadcast_to(initial_states[row], shape) for row in rows]

    @property
    def initial_states_shape(self) -> tuple[int, int]:
        """Shape of the call's `initial_states`."""
        return self.kinds * 2 * len(self.ways), self.units

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 2 * self.units)


class KerasLSTMs(KerasBidirectional):
    """LSTMs as Keras has them."""

    cell = keras.layers.LSTM


class KerasGRUs(KerasBidirectional):
    """GRUs as Keras has them."""

    cell = keras.layers.GRU


@keras.saving.register_keras_serializable(package="avfusion_benchmarks")
class KerasRerepresentation(Rerepresentation):
    """JCA's sequence layer with Keras's recurrent layers and the formula of the normalization."""

    cells: ClassVar[dict] = {"lstm": KerasLSTMs, "gru": KerasGRUs}

    def build(self, input_shape):
        super().build(input_shape)
        self.normalize = PlainNormalization(dtype=self.dtype_policy)


_CELLS = {BidirectionalLSTM: KerasLSTMs, BidirectionalGRU: KerasGRUs}
_SINGLE = {TorchLSTM: keras.layers.LSTM, TorchGRU: keras.layers.GRU}
_PLAIN = {
    L2Normalization: PlainNormalization,
    Rerepresentation: KerasRerepresentation,
    JointCoAttention: PlainJointCoAttention,
}


def plain_form(model: keras.Model) -> keras.Model:
    """A compiled model's plain form, compiled with the same loss and metrics, and Adam as Keras has it."""

    def copied(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = type(layer)
        if kind in _CELLS:
            return _CELLS[kind](layer.units, layer.num_layers, layer.dropout, name=layer.name)
        if kind in _SINGLE:
            return _SINGLE[kind](layer.units, return_sequences=True, name=layer.name)
        return _PLAIN.get(kind, kind).from_config(layer.get_config())

    plain = keras.models.clone_model(model, clone_function=copied)
    plain.compile_from_config({**model.get_compile_config(), "optimizer": _optimizer(model.optimizer)})
    plain.jit_compile = False
    plain.optimizer.build(plain.trainable_variables)
    return plain


def _optimizer(ours: keras.optimizers.Optimizer) -> dict:
    decay = {"weight_decay": ours.weight_decay} if ours.weight_decay else {}
    kind = keras.optimizers.AdamW if decay else keras.optimizers.Adam
    return keras.saving.serialize_keras_object(kind(float(ours.learning_rate), epsilon=ours.epsilon, **decay))
