"""The layers of "Audio-Visual Event Localization via Recursive Fusion by Joint Co-Attention" (WACV 2021).

Section 2, Fig. 2          Rerepresentation, the sequence feature re-representation layer
Section 2, J = [A; V]      JointCoAttention: one joint co-attention layer, which holds one of these for each modality:
Section 2, C and H         AffinityAttended, the paper's formulas; QueryAttended, the authors' code
Eq. 1                      _Attended.call, the last step of both
Eq. 2, Eq. 3               Eq. 1 repeated for audio and for video: the loop in models.joint_co_attention
Table 2, [12]              DenseCoAttention, in `jca.dense_co_attention`
authors' code              L2Normalization
loss                       the paper gives none; the authors' code takes the multi-label soft margin
                           (avpipeline.nn.losses.MultiLabelSoftMargin), chosen in recipe.compile_model

Audio-guided attention, the early fusion of Fig. 2, is AVE's (`ave.layers.AudioGuidedAttention`).
"""

from typing import ClassVar

import keras
from keras import ops

from avpipeline.nn.backends import TENSORFLOW
from avpipeline.nn.dense import linear
from avpipeline.nn.recurrent import BidirectionalGRU, BidirectionalLSTM
from jca.config import ATTENDED_BY, CELLS, FORMS

if TENSORFLOW:
    from jca.attending import attend

# Rows shorter than this count as zero.
_SHORTEST = 1e-12


def xavier(units: int, fan_in: int, **kwargs) -> keras.layers.Dense:
    """Built dense layer with the authors' initialisation: Xavier uniform kernel, zero bias."""
    layer = linear(units, fan_in, xavier=True, zero_bias=True, **kwargs)
    layer.build((None, fan_in))
    return layer


@ops.custom_gradient
def _unit_rows(x):
    squares = ops.sum(ops.square(x), axis=-1, keepdims=True)
    there = squares > _SHORTEST**2
    factor = ops.rsqrt(ops.maximum(squares, _SHORTEST**2))
    unit = x * factor

    def gradient(upstream):
        along = ops.sum(upstream * unit, axis=-1, keepdims=True)
        return ops.where(there, factor, ops.zeros_like(factor)) * (upstream - along * unit)

    return unit, gradient


@keras.saving.register_keras_serializable(package="jca")
class L2Normalization(keras.layers.Layer):
    """x / max(||x||, 1e-12) over the last axis.

    A row of zeros (silence, a black frame) stays zero and passes no gradient back; the formula's would be 1e12 times
    the upstream gradient. Computed in float32 also under mixed precision, where squares overflow.
    """

    def call(self, x):
        # Flattened to a list of rows, which changes no sum: TFLite normalizes tensors of at most four axes.
        if len(x.shape) > 4:
            return ops.reshape(self.call(ops.reshape(x, (-1, x.shape[-1]))), ops.shape(x))
        return ops.cast(_unit_rows(ops.cast(x, "float32")), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)


@keras.saving.register_keras_serializable(package="jca")
class Rerepresentation(keras.layers.Layer):
    """Sequence feature re-representation: bidirectional recurrent layers with trainable initial states.

    y = L2-normalised Dense(dropout([x; RNN(x)])): the input is concatenated with the recurrent layers' output (residual
    embedding). Source: Section 2 and Fig. 2; the authors' code for initial states and dropout.

    Args:
      units: size of the output; each direction has half of it.
      num_layers: stacked recurrent layers; with 0, y = L2-normalised Dense(dropout(x)).
      cell: "lstm" or "gru".
      residual: False leaves the input out of the concatenation.
      dropout: rate between the recurrent layers and before the dense layer, in training.

    Input `(batch, time, channels)` with a static number of time steps; output `(batch, time, units)`.
    """

    cells: ClassVar[dict] = {"lstm": BidirectionalLSTM, "gru": BidirectionalGRU}

    def __init__(
        self, units: int, num_layers: int = 2, cell: str = "lstm", residual: bool = True, dropout: float = 0.0, **kwargs
    ):
        super().__init__(**kwargs)
        if cell not in CELLS:
            raise ValueError(f"cell must be one of {CELLS}, not {cell!r}")
        self.units = units
        self.num_layers = num_layers
        self.cell = cell
        self.residual = residual
        self.dropout = dropout

    def build(self, input_shape):
        size = input_shape[-1]
        if self.num_layers:
            self.rnn = self.cells[self.cell](
                self.units // 2, self.num_layers, self.dropout, name="rnn", dtype=self.dtype_policy
            )
            self.rnn.build(input_shape)
            self.initial_states = self.add_weight(
                shape=self.rnn.initial_states_shape, initializer="glorot_uniform", name="initial_states"
            )
            size = self.units + (size if self.residual else 0)
        self.drop = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)
        self.linear = xavier(self.units, size, name="linear", dtype=self.dtype_policy)
        self.normalize = L2Normalization(dtype=self.dtype_policy)

    def call(self, sequence):
        if self.num_layers:
            out = self.rnn(sequence, initial_states=ops.convert_to_tensor(self.initial_states))
            sequence = ops.concatenate([sequence, out], axis=-1) if self.residual else out
        return self.normalize(self.linear(self.drop(sequence)))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        names = ("units", "num_layers", "cell", "residual", "dropout")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class _Attended(keras.layers.Layer):
    """What both forms of an attended modality share: Eq. 1, whose g is a sum."""

    def __init__(self, dropout: float = 0.0, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, not {dropout}")
        self.dropout = dropout
        self.seed = seed
        # A variable of the layer, so that a resumed run continues the sequence of dropout masks.
        self.seed_generator = keras.random.SeedGenerator(seed) if dropout else None

    def build(self, x_shape, query_shape):
        self.drop = keras.layers.Dropout(self.dropout, seed=self.seed, dtype=self.dtype_policy)

    def call(self, x, query, training=False):
        # Eq. 1: X' = g(X, update) = X + update; the dropout is the authors' code's.
        return x + self.drop(self._update(x, query, training), training=training)

    def _update(self, x, query, training):
        """The second argument of g in Eq. 1, `(batch, time, channels)`."""
        raise NotImplementedError

    def product(self, value, key, query, scale: float, training):
        """value @ dropout(tanh(scale * key @ query)), which takes most of the network's time."""
        dropping = training and self.dropout
        if TENSORFLOW:
            seed = self.seed_generator.next() if dropping else None
            return attend(value, key * scale, query, rate=self.dropout, seed=seed)
        scores = ops.tanh(ops.matmul(key * scale, query))
        if dropping:
            scores = keras.random.dropout(scores, self.dropout, seed=self.seed_generator)
        return ops.matmul(value, scores)

    def compute_output_shape(self, x_shape, query_shape):
        return tuple(x_shape)

    def get_config(self):
        return {**super().get_config(), "dropout": self.dropout, "seed": self.seed}


@keras.saving.register_keras_serializable(package="jca")
class QueryAttended(_Attended):
    """One modality X `(time, d_i)` attended by a query J `(time, d)`, as in the authors' code.

    - K = Dense(X^T), along time, `(d_i, time)`; V = Dense(X), `(time, d_i)`,
    - scores S = dropout(tanh(K J / sqrt(d))), `(d_i, d)`,
    - Eq. 1: X' = X + dropout(ReLU(Dense(ReLU(tanh(V S))))).

    Args:
      dropout: rate for the scores and for the update, in training.
      seed: seed of the dropout; None draws one from Keras's global seed.

    Inputs: X `(batch, time, d_i)` and J `(batch, time, d)`, with a static number of time steps; output as X.
    """

    def build(self, x_shape, query_shape):
        super().build(x_shape, query_shape)
        _, steps, size = x_shape
        self.key = xavier(steps, steps, name="key", dtype=self.dtype_policy)
        self.value = xavier(size, size, name="value", dtype=self.dtype_policy)
        self.out = xavier(size, query_shape[-1], name="out", activation="relu", dtype=self.dtype_policy)

    def _update(self, x, query, training):
        key = self.key(ops.transpose(x, (0, 2, 1)))
        weighted = self.product(self.value(x), key, query, query.shape[-1] ** -0.5, training)
        return self.out(ops.relu(ops.tanh(weighted)))


@keras.saving.register_keras_serializable(package="jca")
class AffinityAttended(_Attended):
    """One modality X `(time, d_i)` attended by J `(time, d)`, in the paper's formulas (Section 2).

    - affinity C = dropout(tanh(X^T W_j J / sqrt(d))), `(d_i, d)`,
    - attention map H = ReLU(W X + W_c C^T), `(k, d_i)`,
    - Eq. 1: X' = X + dropout(W_h^T H).

    W_j is `(time, time)`, W and W_h are `(k, time)`, W_c is `(k, d)`; none has a bias. The paper does not mention
    dropout; it is applied where the authors' code applies it.

    Args:
      units: rows k of the attention map.
      dropout, seed: as in `QueryAttended`, and so are inputs and output.
    """

    def __init__(self, units: int = 32, dropout: float = 0.0, seed: int | None = None, **kwargs):
        super().__init__(dropout, seed, **kwargs)
        self.units = units

    def build(self, x_shape, query_shape):
        super().build(x_shape, query_shape)
        steps = x_shape[1]

        def matrix(name, *shape):
            return self.add_weight(shape=shape, initializer="glorot_uniform", name=name)

        self.W_j = matrix("W_j", steps, steps)
        self.W = matrix("W", self.units, steps)
        self.W_c = matrix("W_c", self.units, query_shape[-1])
        self.W_h = matrix("W_h", self.units, steps)

    def _update(self, x, query, training):
        # W_c C^T = W_c tanh(J^T (W_j^T X) / sqrt(d)): QueryAttended's product with the roles of X and J exchanged.
        from_x = ops.matmul(ops.transpose(self.W_j), x)
        value = ops.broadcast_to(self.W_c, (ops.shape(x)[0], *self.W_c.shape))
        key = ops.transpose(query, (0, 2, 1))
        weighted = self.product(value, key, from_x, query.shape[-1] ** -0.5, training)
        attention_map = ops.relu(ops.matmul(self.W, x) + weighted)
        return ops.matmul(ops.transpose(self.W_h), attention_map)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="jca")
class JointCoAttention(keras.layers.Layer):
    """One joint co-attention layer (Section 2): both modalities attended by J = [video; audio], each by Eq. 1.

    In the authors' code J first passes through a dense layer that keeps its size.

    Args:
      form: "qkv", the authors' code (`QueryAttended`), or "affinity", the paper (`AffinityAttended`).
      attended_by: "joint", or "other": dual co-attention, where video is attended by audio alone and audio by video
        (Table 2's ablation); each then has a dense layer of its own for its J.
      affinity_units: rows k of the attention maps of the form "affinity".
      dropout, seed: as in `QueryAttended`.

    Inputs: video `(batch, time, d_v)` and audio `(batch, time, d_a)`; outputs as inputs.
    """

    halves = {"qkv": QueryAttended, "affinity": AffinityAttended}

    def __init__(
        self,
        form: str = "qkv",
        attended_by: str = "joint",
        affinity_units: int = 32,
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value, known in (("form", form, FORMS), ("attended_by", attended_by, ATTENDED_BY)):
            if value not in known:
                raise ValueError(f"{name} must be one of {known}, not {value!r}")
        self.form = form
        self.attended_by = attended_by
        self.affinity_units = affinity_units
        self.dropout = dropout
        self.seed = seed

    def build(self, video_shape, audio_shape):
        sizes = {"query_video": audio_shape[-1], "query_audio": video_shape[-1]}
        if self.attended_by == "joint":
            sizes = {"query": sum(sizes.values())}
        widths = list(sizes.values())
        self.query_layers = []
        if self.form == "qkv":
            self.query_layers = [xavier(size, size, name=name, dtype=self.dtype_policy) for name, size in sizes.items()]
        self.video, self.audio = self._half("video", 0), self._half("audio", 1)
        self.video.build(video_shape, (*video_shape[:-1], widths[0]))
        self.audio.build(audio_shape, (*audio_shape[:-1], widths[-1]))

    def _half(self, name: str, index: int) -> _Attended:
        options = {"units": self.affinity_units} if self.form == "affinity" else {}
        # Two seeds: with one, both modalities would drop the same values.
        seed = None if self.seed is None else 2 * self.seed + index
        return self.halves[self.form](dropout=self.dropout, seed=seed, name=name, dtype=self.dtype_policy, **options)

    def call(self, video, audio, training=False):
        joint = self.attended_by == "joint"
        attending = [ops.concatenate([video, audio], axis=-1)] if joint else [audio, video]
        if self.query_layers:
            attending = [layer(x) for layer, x in zip(self.query_layers, attending, strict=True)]
        return self.video(video, attending[0], training=training), self.audio(audio, attending[-1], training=training)

    def compute_output_shape(self, video_shape, audio_shape):
        return tuple(video_shape), tuple(audio_shape)

    def get_config(self):
        names = ("form", "attended_by", "affinity_units", "dropout", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
