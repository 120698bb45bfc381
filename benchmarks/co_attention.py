"""JCA's training step beside one that is written as its formulas read."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import jca
from avpipeline.losses import MultiLabelSoftMargin
from benchmarks.measuring import seconds_per_call_in_turn
from jca.layers import JointCoAttention, L2Normalization, QueryAttended, Rerepresentation

BATCH = 64


@keras.saving.register_keras_serializable(package="benchmarks")
class PlainNormalization(L2Normalization):
    """x / max(||x||, 1e-12); the norm's gradient at a row of zeros is left as it is."""

    def call(self, x):
        return x / ops.maximum(ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True)), 1e-12)


@keras.saving.register_keras_serializable(package="benchmarks")
class PlainRerepresentation(Rerepresentation):
    """Each direction of each recurrent layer walks on its own."""

    def build(self, input_shape):
        super().build(input_shape)
        self.normalize = PlainNormalization(dtype=self.dtype_policy)

    def call(self, sequence):
        out = sequence
        for layer in range(self.num_layers):
            suffix = f"_{layer}" if layer else ""
            if layer:
                out = getattr(self.rnn, f"drop{suffix}")(out)
            ways = []
            for way, name in enumerate(("forward", "backward")):
                rows = [2 * (self.num_layers * kind + layer) + way for kind in range(self.rnn.cell.states)]
                states = [self.initial_states[row] for row in rows]
                ways.append(getattr(self.rnn, f"{name}{suffix}")(out, initial_state=states))
            out = ops.concatenate(ways, axis=-1)
        return self.normalize(self.linear(self.drop(ops.concatenate([sequence, out], axis=-1))))


@keras.saving.register_keras_serializable(package="benchmarks")
class PlainQueryAttended(QueryAttended):
    """The scores one step after the other: product, scaling, tanh and Keras's dropout."""

    def build(self, x_shape, query_shape):
        super().build(x_shape, query_shape)
        self.drop_scores = keras.layers.Dropout(self.dropout, seed=self.seed, dtype=self.dtype_policy)

    def product(self, value, key, query, scale, training):
        scores = ops.tanh(ops.matmul(key, query) * scale)
        return ops.matmul(value, self.drop_scores(scores, training=training))


@keras.saving.register_keras_serializable(package="benchmarks")
class PlainJointCoAttention(JointCoAttention):
    """Joint co-attention of `PlainQueryAttended`."""

    halves = {"qkv": PlainQueryAttended}


_PLAIN = {
    L2Normalization: PlainNormalization,
    Rerepresentation: PlainRerepresentation,
    JointCoAttention: PlainJointCoAttention,
}


def straightforward(model: keras.Model, **recipe) -> keras.Model:
    """A copy of a JCA model, with the same weights, written plainly and compiled with Keras's own Adam.

    Args:
      **recipe: of `keras.optimizers.Adam`.
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
    """One training step of JCA in both forms, measured in turn.

    Args:
      batch, **sizes: fields of `jca.ModelConfig`; without them the published ones.
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
