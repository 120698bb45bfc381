"""The layers of "Multi-level Attention Fusion Network" (Brousmiche et al. 2021), by equation.

Eq. 1-3            TemporalAttention
Eq. 4-6            ModalityAttention
Eq. 7-10           ModalityTemporalAttention
Eq. 11 and 12      FiLM
Section 3.5        ResidualBlock (Figure 4)
Section 4.4        AttentionCluster, of the compared Long et al. 2018

The fusion methods of Section 4.5 are in `mafnet.fusion`.
"""

import keras
from keras import ops

SCORES = ("hidden", "relu")
SCALES = ("one_plus", "plain")
# Of the authors' batch normalization; it is synchronized, so that two devices with half a batch each do what one
# does with the whole.
_NORM_EPSILON = 1e-3


def batch_norm(decay: float, **kwargs) -> keras.layers.BatchNormalization:
    """The authors' batch normalization: moments over all axes but the last, of every step into the statistics.

    The population variance is updated with the batch's biased variance.

    Args:
      decay: what the population statistics keep of themselves at a step.
    """
    return keras.layers.BatchNormalization(momentum=decay, epsilon=_NORM_EPSILON, synchronized=True, **kwargs)


@keras.saving.register_keras_serializable(package="mafnet")
class MapMean(keras.layers.Layer):
    """Mean over a map: `(batch, time, height, width, channels)` -> `(batch, time, channels)`."""

    def call(self, maps):
        return ops.mean(maps, axis=(2, 3))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:2], input_shape[-1])


class _Attention(keras.layers.Layer):
    """Weighs the clips of one or more modalities by one scorer that all clips and modalities share.

    Args:
      score: `"hidden"`, the authors' code: z = W2 ReLU(W1 x + b1) + b2; `"relu"`, the paper's Eq. 1, 4 and 8:
        z = ReLU(W x + b).
      units: size of the hidden layer of `"hidden"`.

    Input: X' of Eq. 7, `(batch, time, modalities, channels)`. Outputs: the video's feature of each modality,
    `(batch, modalities, channels)`, and the weights `(batch, time, modalities)`.
    """

    # Axes of the weights that sum to 1 together.
    over: tuple[int, ...]

    def __init__(self, score: str = "hidden", units: int = 512, **kwargs):
        super().__init__(**kwargs)
        if score not in SCORES:
            raise ValueError(f"score must be one of {SCORES}, not {score!r}")
        self.score = score
        self.units = units

    def build(self, input_shape):
        hidden = self.score == "hidden"
        scorer = (
            [] if not hidden else [keras.layers.Dense(self.units, "relu", name="hidden", dtype=self.dtype_policy)]
        )
        last = None if hidden else "relu"
        self.scorer = [*scorer, keras.layers.Dense(1, last, name="score", dtype=self.dtype_policy)]
        shape = tuple(input_shape)
        for layer in self.scorer:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def call(self, x):
        z = x
        for layer in self.scorer:
            z = layer(z)
        z = ops.squeeze(z, -1)
        # Keras's softmax over several axes cannot do with an unknown batch size.
        exponentials = ops.exp(z - ops.max(z, axis=self.over, keepdims=True))
        weights = exponentials / ops.sum(exponentials, axis=self.over, keepdims=True)
        return self.pool(ops.expand_dims(weights, -1) * x), weights

    def pool(self, weighted):
        return ops.sum(weighted, axis=1)

    def compute_output_shape(self, input_shape):
        batch, time, modalities, channels = input_shape
        return (batch, modalities, channels), (batch, time, modalities)

    def get_config(self):
        return {**super().get_config(), "score": self.score, "units": self.units}


@keras.saving.register_keras_serializable(package="mafnet")
class TemporalAttention(_Attention):
    """Temporal attention (Section 3.2): each modality's clips are weighed among themselves.

    - Eq. 1: z_t = g(x'_t),
    - Eq. 2: alpha_t = exp(z_t) / sum_j exp(z_j),
    - Eq. 3: o = sum_t alpha_t x'_t.
    """

    over = (1,)


@keras.saving.register_keras_serializable(package="mafnet")
class ModalityAttention(_Attention):
    """Modality attention (Section 3.3): each clip's modalities are weighed against each other.

    - Eq. 4: z^k = h(x'^k),
    - Eq. 5: phi_k = exp(z^k) / sum_j exp(z^j),
    - Eq. 6: phi_k x'^k, whose modalities are then concatenated.

    The paper leaves open how the clips become a video; here by their mean, as without attention.
    """

    over = (2,)

    def pool(self, weighted):
        return ops.mean(weighted, axis=1)


@keras.saving.register_keras_serializable(package="mafnet")
class ModalityTemporalAttention(_Attention):
    """Modality & temporal attention (Section 3.4): all cells (clip, modality) of a video are weighed together.

    - Eq. 8: z_t^k = f(x'_t^k),
    - Eq. 9: lambda_t^k = exp(z_t^k) / sum_j sum_l exp(z_j^l),
    - Eq. 10: sum_t lambda_t^k x'_t^k, whose modalities are then concatenated.
    """

    over = (1, 2)


@keras.saving.register_keras_serializable(package="mafnet")
class FiLM(keras.layers.Layer):
    """Feature-wise linear modulation (Section 3.5): one modality scales and shifts the other's feature maps.

    - Eq. 11: gamma_{t,c} = f_c(x_t), beta_{t,c} = h_c(x_t), both from one dense layer, gamma's half first,
    - Eq. 12: FiLM(F_{t,c}) = gamma_{t,c} F_{t,c} + beta_{t,c}.

    Args:
      scale: `"one_plus"`, the authors' code: gamma is 1 + f(x); `"plain"`, the paper: gamma is f(x).

    Inputs: maps `(batch, time, height, width, channels)` and what conditions them
    `(batch, time, condition_channels)`. Output: as the maps.
    """

    def __init__(self, scale: str = "one_plus", **kwargs):
        super().__init__(**kwargs)
        if scale not in SCALES:
            raise ValueError(f"scale must be one of {SCALES}, not {scale!r}")
        self.scale = scale

    def build(self, maps_shape, condition_shape):
        self.generator = keras.layers.Dense(2 * maps_shape[-1], name="generator", dtype=self.dtype_policy)
        self.generator.build(condition_shape)

    def call(self, maps, condition):
        scale, shift = ops.split(self.generator(condition)[:, :, None, None], 2, axis=-1)
        return (scale + 1 if self.scale == "one_plus" else scale) * maps + shift

    def compute_output_shape(self, maps_shape, condition_shape):
        return tuple(maps_shape)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


class _Block(keras.layers.Layer):
    """What the residual blocks with and without FiLM share (Figure 4).

    r = ReLU(Conv1x1(maps)); output r + ReLU(modulated(BN(Conv3x3(r)))).
    """

    def __init__(self, filters: int = 512, norm_decay: float = 0.999, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.norm_decay = norm_decay

    def build(self, maps_shape):
        height, width, channels = maps_shape[2:]
        dtype = {"dtype": self.dtype_policy}
        self.conv1 = keras.layers.Conv2D(self.filters, 1, activation="relu", name="conv1", **dtype)
        self.conv2 = keras.layers.Conv2D(self.filters, 3, padding="same", name="conv2", **dtype)
        self.norm = batch_norm(self.norm_decay, name="norm", **dtype)
        self.conv1.build((None, height, width, channels))
        self.conv2.build((None, height, width, self.filters))
        self.norm.build((None, height, width, self.filters))

    def residual(self, maps, training):
        """r and BN(Conv3x3(r)), both `(batch, time, height, width, filters)`."""
        batch, time = ops.shape(maps)[:2]
        height, width, channels = maps.shape[2:]
        clips = self.conv1(ops.reshape(maps, (-1, height, width, channels)))
        normalized = self.norm(self.conv2(clips), training=training)
        shape = (batch, time, height, width, self.filters)
        return ops.reshape(clips, shape), ops.reshape(normalized, shape)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "norm_decay": self.norm_decay}


@keras.saving.register_keras_serializable(package="mafnet")
class ResidualBlock(_Block):
    """The residual block without FiLM (Table 4): r + ReLU(BN(Conv3x3(r))) with r = ReLU(Conv1x1(maps)).

    Args:
      filters: of both convolutions.
      norm_decay: of the batch normalization.

    Input: maps `(batch, time, height, width, channels)`. Output: `(batch, time, height, width, filters)`.
    """

    def call(self, maps, training=None):
        residual, normalized = self.residual(maps, training)
        return residual + ops.relu(normalized)

    def compute_output_shape(self, maps_shape):
        return (*maps_shape[:-1], self.filters)


@keras.saving.register_keras_serializable(package="mafnet")
class FiLMedResidualBlock(_Block):
    """The residual block with FiLM (Figure 4): r + ReLU(FiLM(BN(Conv3x3(r)))) with r = ReLU(Conv1x1(maps)).

    Args:
      filters: of both convolutions.
      scale: as of `FiLM`.
      norm_decay: of the batch normalization.

    Inputs: maps `(batch, time, height, width, channels)` and what conditions them
    `(batch, time, condition_channels)`. Outputs: maps `(batch, time, height, width, filters)`, and the means over
    the map just before and just after the FiLM layer, both `(batch, time, filters)`, which Figure 7 shows.
    """

    def __init__(self, filters: int = 512, scale: str = "one_plus", norm_decay: float = 0.999, **kwargs):
        super().__init__(filters, norm_decay, **kwargs)
        self.scale = scale

    def build(self, maps_shape, condition_shape):
        super().build(maps_shape)
        self.film = FiLM(self.scale, name="film", dtype=self.dtype_policy)
        self.film.build((*maps_shape[:-1], self.filters), condition_shape)

    def call(self, maps, condition, training=None):
        residual, normalized = self.residual(maps, training)
        modulated = self.film(normalized, condition)
        before, after = ops.mean(normalized, axis=(2, 3)), ops.mean(modulated, axis=(2, 3))
        return residual + ops.relu(modulated), before, after

    def compute_output_shape(self, maps_shape, condition_shape):
        means = (*maps_shape[:2], self.filters)
        return (*maps_shape[:-1], self.filters), means, means

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable(package="mafnet")
class AttentionCluster(keras.layers.Layer):
    """N attention units with the shifting operation over one modality (Long et al. 2018, "Attention Clusters").

    A unit weighs the clips X by a = softmax(X w + b) over time and gives

        psi(X) = (alpha * (a X) + beta) / (sqrt(N) * ||alpha * (a X) + beta||),

    with numbers alpha and beta of its own, which let units that attend alike still differ. Alpha begins at 1, beta
    at 0.

    Args:
      units: N.

    Input: `(batch, time, channels)`. Output: the units one after the other, `(batch, units * channels)`, of
    length 1 in all.
    """

    def __init__(self, units: int = 64, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.scores = keras.layers.Dense(self.units, name="scores", dtype=self.dtype_policy)
        self.scores.build(input_shape)
        self.alpha = self.add_weight(shape=(self.units, 1), initializer="ones", name="alpha")
        self.beta = self.add_weight(shape=(self.units, 1), initializer="zeros", name="beta")

    def call(self, x):
        weights = ops.softmax(self.scores(x), axis=1)
        shifted = self.alpha * ops.matmul(ops.transpose(weights, (0, 2, 1)), x) + self.beta
        # Silence may be a vector of zeros; Keras's l2 normalization has no gradient there but zero.
        unit = ops.normalize(shifted, axis=-1, order=2) / self.units**0.5
        return ops.reshape(unit, (-1, self.units * x.shape[-1]))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.units * input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "units": self.units}
