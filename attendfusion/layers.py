"""The layers of "Attend-Fusion" (Awan et al., 2024), by equation.

Eq. 1                       ResidualBlock
Eq. 2, Eq. 3                GatedResidualBlock
Eq. 4, Eq. 5                Attention as self-attention: queries, keys and values come from one modality
Eq. 6, Eq. 7, Eq. 8, Eq. 9  Attention as cross-modal attention: the queries come from one modality, keys and values from
                            the other; models._cross_modal has both directions
Eq. 10                      the loss: recipe.MultiLabelCrossEntropy; GatedScores gives it the scores of a gated output
Eq. 11                      average precision: avpipeline.metrics.ranking.MeanAveragePrecision, and GAP, which pools all
                            classes
Eq. 12                      F1: avpipeline.metrics.ranking.F1

All of them work on tokens `(batch, tokens, channels)` and, but for Attention, on vectors `(batch, channels)` too.
"""

import keras
from keras import ops

from avpipeline.nn.dense import linear

# torch's default; Keras's is 1e-3.
NORM_EPSILON = 1e-5
# Added to the scores of padded frames: large, and finite also in half precision.
_NEVER = -3e4


@keras.saving.register_keras_serializable(package="attendfusion")
class FullyConnected(keras.layers.Layer):
    """Dense, ReLU, dropout: "fully connected layers with ReLU activation and dropout regularization".

    Input `(..., channels)`, output `(..., units)`.

    Args:
      units: output size.
      dropout: dropout rate in training.
    """

    def __init__(self, units: int, dropout: float = 0.4, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.rate = dropout

    def build(self, input_shape):
        self.dense = linear(self.units, input_shape[-1], activation="relu", name="dense", dtype=self.dtype_policy)
        self.dropout = keras.layers.Dropout(self.rate, name="dropout", dtype=self.dtype_policy)
        self.dense.build(input_shape)

    def call(self, x, training=None):
        return self.dropout(self.dense(x), training=training)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units, "dropout": self.rate}


@keras.saving.register_keras_serializable(package="attendfusion")
class ResidualBlock(keras.layers.Layer):
    """Eq. 1: y = F(x) + x, where F is a stack of fully connected layers as wide as the input.

    Args:
      depth: layers in F.
      dropout: dropout rate of each.

    Input and output `(..., channels)`.
    """

    def __init__(self, depth: int = 2, dropout: float = 0.4, **kwargs):
        super().__init__(**kwargs)
        self.depth = depth
        self.rate = dropout

    def build(self, input_shape):
        self.mapping = [
            FullyConnected(input_shape[-1], self.rate, name=f"fc_{index}", dtype=self.dtype_policy)
            for index in range(self.depth)
        ]
        for layer in self.mapping:
            layer.build(input_shape)

    def call(self, x, training=None):
        y = x
        for layer in self.mapping:
            y = layer(y, training=training)
        return y + x  # Eq. 1

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "depth": self.depth, "dropout": self.rate}


@keras.saving.register_keras_serializable(package="attendfusion")
class GatedResidualBlock(keras.layers.Layer):
    """Residual block with a gate between its input and its mapping.

    - Eq. 2: g = sigmoid(W_g x + b_g), one value for each channel,
    - Eq. 3: y = g * F(x) + (1 - g) * x, where F is one fully connected layer as wide as the input.

    Args:
      dropout: dropout rate of F.

    Input and output `(..., channels)`.
    """

    def __init__(self, dropout: float = 0.4, **kwargs):
        super().__init__(**kwargs)
        self.rate = dropout

    def build(self, input_shape):
        channels = input_shape[-1]
        self.mapping = FullyConnected(channels, self.rate, name="mapping", dtype=self.dtype_policy)
        self.gate = linear(channels, channels, activation="sigmoid", name="gate", dtype=self.dtype_policy)
        self.mapping.build(input_shape)
        self.gate.build(input_shape)

    def call(self, x, training=None):
        gate = self.gate(x)  # Eq. 2
        return gate * self.mapping(x, training=training) + (1 - gate) * x  # Eq. 3

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "dropout": self.rate}


@keras.saving.register_keras_serializable(package="attendfusion")
class Attention(keras.layers.Layer):
    """Single-head attention of the tokens of one modality to those of the same or of the other.

    - Eq. 4, Eq. 6, Eq. 8: Q = X_q W_Q, K = X_c W_K, V = X_c W_V,
    - Eq. 5, Eq. 7, Eq. 9: softmax(Q K^T / sqrt(d)) V, d the size of Q and K,
    - then, unless switched off, a dense layer back to the width of X_q and a layer normalisation, before which `skip`
      adds X_q: the "Add & Norm" of the self-attention that the paper cites (Vaswani et al. 2017).

    With one context token the softmax is 1 whatever Q and K are, and attention is a linear map of that token.

    Args:
      units: size of Q, K and V.
      project: whether the dense layer back to the width of X_q follows; without it the output is `units` wide.
      norm: whether the layer normalisation follows.
      skip: whether X_q is added before the normalisation.
      use_bias: whether Q, K, V and the dense layer have biases; the equations have none.

    Inputs: the queries' tokens X_q `(batch, tokens, channels)`; the context X_c `(batch, context tokens, channels)`,
    which for self-attention is X_q again; optionally which context tokens are real, `(batch, context tokens)` bool.
    Output `(batch, tokens, channels)`, or `(batch, tokens, units)` without `project`.
    """

    def __init__(
        self,
        units: int = 1024,
        project: bool = True,
        norm: bool = True,
        skip: bool = False,
        use_bias: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.units = units
        self.switches = {"project": project, "norm": norm, "skip": skip, "use_bias": use_bias}

    def build(self, queries_shape, context_shape, real_shape=None):
        channels, context_channels = queries_shape[-1], context_shape[-1]
        self.query = self._linear(self.units, channels, "query")
        self.key = self._linear(self.units, context_channels, "key")
        self.value = self._linear(self.units, context_channels, "value")
        if self.switches["project"]:
            self.output_dense = self._linear(channels, self.units, "output")
        if self.switches["norm"]:
            self.norm = keras.layers.LayerNormalization(epsilon=NORM_EPSILON, name="norm", dtype=self.dtype_policy)
            self.norm.build(self.compute_output_shape(queries_shape, context_shape))

    def _linear(self, units: int, channels: int, name: str) -> keras.layers.Dense:
        layer = linear(units, channels, use_bias=self.switches["use_bias"], name=name, dtype=self.dtype_policy)
        layer.build((None, None, channels))
        return layer

    def call(self, queries, context, real=None):
        # query, key and value are Eq. 4, or between modalities Eq. 6 and Eq. 8; the rest Eq. 5, Eq. 7 and Eq. 9.
        scores = ops.matmul(self.query(queries), ops.swapaxes(self.key(context), -1, -2)) / self.units**0.5
        if real is not None:
            scores = ops.where(ops.expand_dims(real, 1), scores, ops.cast(_NEVER, scores.dtype))
        attended = ops.matmul(ops.softmax(scores, axis=-1), self.value(context))
        if self.switches["project"]:
            attended = self.output_dense(attended)
        if self.switches["skip"]:
            attended = queries + attended
        return self.norm(attended) if self.switches["norm"] else attended

    def compute_output_shape(self, queries_shape, context_shape, real_shape=None):
        return (*queries_shape[:-1], queries_shape[-1] if self.switches["project"] else self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units, **self.switches}


@keras.saving.register_keras_serializable(package="attendfusion")
class GatedScores(keras.layers.Layer):
    """The score z whose sigmoid is a gated probability: sigmoid(z) = sigmoid(a) sigmoid(b).

    1 / sigmoid(z) = (1 + e^-a)(1 + e^-b), so z = -log(e^-a + e^-b + e^-(a+b)). Eq. 10 computed from z is that of
    log sigmoid(a) + log sigmoid(b) and log(1 - sigmoid(a) sigmoid(b)), with their gradients, however small these are.

    Inputs: the scores of labels and gate, a and b, both `(batch, classes)`. Output: z, `(batch, classes)`.
    """

    def call(self, scores, gate):
        return -ops.logsumexp(-ops.stack([scores, gate, scores + gate]), axis=0)

    def compute_output_shape(self, scores_shape, gate_shape):
        return tuple(scores_shape)


@keras.saving.register_keras_serializable(package="attendfusion")
class RealFrames(keras.layers.Layer):
    """Which frames of a padded batch are real.

    Inputs: features `(batch, frames, channels)` of the padded length; each video's own number of frames `(batch,)`.
    Output: `(batch, frames)` bool. Every video counts as having at least one frame, so that it has a mean.
    """

    def call(self, features, num_frames):
        places = ops.arange(ops.shape(features)[1], dtype="int32")
        own = ops.maximum(ops.cast(num_frames, "int32"), 1)
        return ops.expand_dims(places, 0) < ops.expand_dims(own, 1)

    def compute_output_shape(self, features_shape, num_frames_shape):
        return tuple(features_shape[:2])

    def compute_output_spec(self, features, num_frames):
        return keras.KerasTensor(self.compute_output_shape(features.shape, num_frames.shape), dtype="bool")


@keras.saving.register_keras_serializable(package="attendfusion")
class TokenMean(keras.layers.Layer):
    """Mean over a video's tokens, or over its real ones: `(batch, tokens, channels)` -> `(batch, channels)`."""

    def call(self, tokens, real=None):
        if real is None:
            return ops.mean(tokens, axis=1)
        weights = ops.expand_dims(ops.cast(real, tokens.dtype), 2)
        return ops.sum(tokens * weights, axis=1) / ops.sum(weights, axis=1)

    def compute_output_shape(self, tokens_shape, real_shape=None):
        return (tokens_shape[0], tokens_shape[2])
