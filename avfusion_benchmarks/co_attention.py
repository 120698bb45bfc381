"""JCA's training step compared with a literal implementation of its equations."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import jca
from avfusion_benchmarks.measuring import seconds_per_call_in_turn
from avpipeline.nn.losses import MultiLabelSoftMargin
from avpipeline.nn.recurrent import TorchLSTM
from jca.layers import JointCoAttention, L2Normalization, QueryAttended, Rerepresentation

BATCH = 64


@keras.saving.register_keras_serializable(package="avfusion_benchmarks")
class PlainNormalization(L2Normalization):
    """x / max(||x||, 1e-12), without the safe gradient at rows of zeros."""

    def call(self, x):
        return x / ops.maximum(ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True)), 1e-12)


class PlainCell(keras.layers.Layer):
    """One step of torch's LSTM as a cell of `keras.layers.RNN`, with the weights of another layer."""

    def __init__(self, weights_of: TorchLSTM, **kwargs):
        super().__init__(**kwargs)
        self.weights_of = weights_of
        self.state_size = [weights_of.units, weights_of.units]
        self.built = True

    def call(self, x, states):
        hidden, cell = states
        own = self.weights_of
        gates = ops.matmul(x, own.kernel) + own.bias + ops.matmul(hidden, own.recurrent_kernel) + own.recurrent_bias
        enter, forget, candidate, leave = ops.split(gates, 4, axis=-1)
        cell = ops.sigmoid(forget) * cell + ops.sigmoid(enter) * ops.tanh(candidate)
        hidden = ops.sigmoid(leave) * ops.tanh(cell)
        return hidden, [hidden, cell]


@keras.saving.register_keras_serializable(package="avfusion_benchmarks")
class PlainRerepresentation(Rerepresentation):
    """Each direction of each LSTM runs on its own, in the loop that Keras has for custom cells."""

    def build(self, input_shape):
        super().build(input_shape)
        self.normalize = PlainNormalization(dtype=self.dtype_policy)
        self.ways = [
            keras.layers.RNN(PlainCell(layer), return_sequences=True, go_backwards=layer.go_backwards)
            for index in range(self.num_layers)
            for layer in (getattr(self.rnn, f"{way}_{index}".removesuffix("_0")) for way in ("forward", "backward"))
        ]

    def call(self, sequence):
        out = sequence
        for index in range(self.num_layers):
            if index:
                out = getattr(self.rnn, f"drop_{index}")(out)
            outputs = []
            for way, layer in enumerate(self.ways[2 * index : 2 * index + 2]):
                rows = [2 * (self.num_layers * kind + index) + way for kind in range(2)]
                shape = (ops.shape(sequence)[0], self.units // 2)
                states = [ops.broadcast_to(self.initial_states[row], shape) for row in rows]
                walked = layer(out, initial_state=states)
                outputs.append(ops.flip(walked, axis=1) if layer.go_backwards else walked)
            out = ops.concatenate(outputs, axis=-1)
        return self.normalize(self.linear(self.drop(ops.concatenate([sequence, out], axis=-1))))


@keras.saving.register_keras_serializable(package="avfusion_benchmarks")
class PlainQueryAttended(QueryAttended):
    """The scores step by step: product, scaling, tanh and Keras's dropout."""

    def build(self, x_shape, query_shape):
        super().build(x_shape, query_shape)
        self.drop_scores = keras.layers.Dropout(self.dropout, seed=self.seed, dtype=self.dtype_policy)

    def product(self, value, key, query, scale, training):
        scores = ops.tanh(ops.matmul(key, query) * scale)
        return ops.matmul(value, self.drop_scores(scores, training=training))


@keras.saving.register_keras_serializable(package="avfusion_benchmarks")
class PlainJointCoAttention(JointCoAttention):
    """Joint co-attention with `PlainQueryAttended`."""

    halves = {"qkv": PlainQueryAttended}


_PLAIN = {
    L2Normalization: PlainNormalization,
    Rerepresentation: PlainRerepresentation,
    JointCoAttention: PlainJointCoAttention,
}


def straightforward(model: keras.Model, **recipe) -> keras.Model:
    """A copy of a JCA model with the same weights, built from the plain layers and compiled with Keras's own Adam.

    Args:
      **recipe: arguments of `keras.optimizers.Adam`.
    """

    def copied(layer):
        return _PLAIN.get(type(layer), type(layer)).from_config(layer.get_config())

    plain = keras.models.clone_model(model, clone_function=copied)
    plain.set_weights(model.get_weights())
    optimizer = keras.optimizers.Adam(**{"learning_rate": 1e-4, "epsilon": 1e-8, **recipe})
    plain.compile(optimizer, MultiLabelSoftMargin(), jit_compile=False)
    optimizer.build(plain.trainable_variables)
    return plain


def training_step(seconds: float, *, batch: int = BATCH, **sizes) -> dict[str, float]:
    """One training step of JCA in both versions, measured alternately.

    Args:
      batch: number of videos.
      **sizes: fields of `jca.ModelConfig`; the published ones by default.
    """
    ours = jca.build_model("jca", **sizes)
    models = [jca.compile_model(ours), straightforward(ours)]
    random = np.random.default_rng(0)
    inputs = {
        name: tf.constant(np.maximum(random.normal(size=(batch, *tensor.shape[1:])), 0), tf.float32)
        for name, tensor in ours.input.items()
    }
    classes = ours.output.shape[-1]
    labels = tf.one_hot(random.integers(classes, size=(batch, ours.output.shape[1])), classes)
    steps = [
        tf.function(lambda model=model: model.train_step((inputs, labels))["loss"], jit_compile=False)
        for model in models
    ]
    taken, plainly = seconds_per_call_in_turn(steps, seconds)
    return {"ms a batch": 1e3 * taken, "ms a batch, plainly": 1e3 * plainly, "times as fast": plainly / taken}
