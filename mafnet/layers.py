"""The layers of "Multi-level Attention Fusion Network" (Brousmiche et al. 2021), and an index of its equations.

Section 3.2        Eq. 1 to 3      TemporalAttention, here
Section 3.3        Eq. 4 to 6      ModalityAttention, here
Section 3.4        Eq. 7           X', the features of both modalities as one tensor: `mafnet.models.mafnet`
Section 3.4        Eq. 8 to 10     ModalityTemporalAttention, here
Section 3.5        Eq. 11 and 12   FiLM, here
Section 3.5        Figure 4        FiLMedResidualBlock and, without FiLM (Table 4), ResidualBlock, here
Section 3.6        no equation     update dropping: UpdateDropping and compile_model in `mafnet.recipe` draw what a step
                                   trains, SeparateAdams in `mafnet.optimizers` trains it
Section 4.3        loss            cross-entropy: `mafnet.recipe`
Section 4.4                        AttentionCluster, of the compared Long et al. 2018, here
Section 4.5                        fusion methods (Table 2): `mafnet.fusion`
"""

import keras
from keras import ops

from avpipeline.nn.backends import TENSORFLOW
from avpipeline.nn.dense import linear

SCORES = ("hidden", "relu")
SCALES = ("one_plus", "plain")
# The epsilon of the authors' batch normalization.
_NORM_EPSILON = 1e-3


def batch_norm(decay: float, **kwargs) -> keras.layers.BatchNormalization:
    """The authors' batch normalization: over all axes but the last, population statistics updated at every step.

    The population variance is updated with the batch's biased variance.

    Args:
      decay: weight of the old population statistics in each update.
      **kwargs: those of `keras.layers.BatchNormalization`.
    """
    # Synchronized, so that two devices with half a batch each compute what one computes with the whole batch. On JAX,
    # where devices share one batch, the statistics are those of the whole batch anyway.
    return keras.layers.BatchNormalization(momentum=decay, epsilon=_NORM_EPSILON, synchronized=TENSORFLOW, **kwargs)


@keras.saving.register_keras_serializable(package="mafnet")
class MapMean(keras.layers.Layer):
    """Mean over the regions of a map: `(batch, time, height, width, channels)` -> `(batch, time, channels)`."""

    def call(self, maps):
        return ops.mean(maps, axis=(2, 3))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:2], input_shape[-1])


class _Attention(keras.layers.Layer):
    """Weighs the clips of one or more modalities by a score, whose weights all clips share.

    Args:
      score: `"hidden"`, the authors' code: z = W2 ReLU(W1 x + b1) + b2; `"relu"`, the paper's Eq. 1, Eq. 4 and Eq. 8:
        z = ReLU(W x + b).
      units: size of the hidden layer of `"hidden"`.
      separate: whether each modality's score has weights of its own; otherwise all share them.

    Input: X' of Eq. 7, `(batch, time, modalities, channels)`. Outputs: the video's feature vector of each modality,
    `(batch, modalities, channels)`, and the weights `(batch, time, modalities)`.

    Raises:
      ValueError: unknown `score`.
    """

    # The axes over which the weights sum to 1.
    over: tuple[int, ...]

    def __init__(self, score: str = "hidden", units: int = 512, separate: bool = False, **kwargs):
        super().__init__(**kwargs)
        if score not in SCORES:
            raise ValueError(f"score must be one of {SCORES}, not {score!r}")
        self.score = score
        self.units = units
        self.separate = separate

    def build(self, input_shape):
        modalities = input_shape[2]
        suffixes = [f"_{index}" for index in range(modalities)] if self.separate and modalities > 1 else [""]
        # One list, since Keras does not save the layers of a list in a list.
        self.scorer = [layer for suffix in suffixes for layer in self._scorer(suffix, tuple(input_shape))]
        self._scorers = len(suffixes)

    def _scorer(self, suffix: str, shape: tuple) -> list[keras.layers.Layer]:
        """The layers of one score, built."""
        sizes = {"hidden": (self.units, "relu"), "score": (1, None)}
        if self.score == "relu":
            sizes = {"score": (1, "relu")}
        scorer = [
            keras.layers.Dense(units, activation, name=f"{name}{suffix}", dtype=self.dtype_policy)
            for name, (units, activation) in sizes.items()
        ]
        for layer in scorer:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        return scorer

    def call(self, x):
        # The score z: Eq. 1, Eq. 4 or Eq. 8
        scores, depth = [], len(self.scorer) // self._scorers
        for index, z in enumerate(ops.split(x, self._scorers, axis=2)):
            for layer in self.scorer[index * depth : (index + 1) * depth]:
                z = layer(z)
            scores.append(z)
        z = ops.squeeze(ops.concatenate(scores, axis=2), -1)
        # The softmax: Eq. 2, Eq. 5 or Eq. 9. Keras's softmax over several axes needs a known batch size.
        exponentials = ops.exp(z - ops.max(z, axis=self.over, keepdims=True))
        weights = exponentials / ops.sum(exponentials, axis=self.over, keepdims=True)
        # The weighted features: Eq. 3, Eq. 6 or Eq. 10
        return self.pool(ops.expand_dims(weights, -1) * x), weights

    def pool(self, weighted):
        return ops.sum(weighted, axis=1)

    def compute_output_shape(self, input_shape):
        batch, time, modalities, channels = input_shape
        return (batch, modalities, channels), (batch, time, modalities)

    def get_config(self):
        return {**super().get_config(), "score": self.score, "units": self.units, "separate": self.separate}


@keras.saving.register_keras_serializable(package="mafnet")
class TemporalAttention(_Attention):
    """Temporal attention (Section 3.2): the weights of each modality's clips sum to 1.

    - Eq. 1: z_t = g(x'_t),
    - Eq. 2: alpha_t = exp(z_t) / sum_j exp(z_j),
    - Eq. 3: o = sum_t alpha_t x'_t.

    The equations are "for a given modality", as in the two papers that the section cites, so each modality has weights
    of its own there; the authors' code has no temporal attention alone.
    """

    over = (1,)


@keras.saving.register_keras_serializable(package="mafnet")
class ModalityAttention(_Attention):
    """Modality attention (Section 3.3): the weights of each clip's modalities sum to 1.

    - Eq. 4: z^k = h(x'^k),
    - Eq. 5: phi_k = exp(z^k) / sum_j exp(z^j),
    - Eq. 6: o = concat(phi_1 x'^1, ..., phi_K x'^K); the concatenation is a layer of its own in `mafnet.models`.

    The paper does not say how clips are pooled into a video: here by their mean, as without attention.
    """

    over = (2,)

    def pool(self, weighted):
        return ops.mean(weighted, axis=1)


@keras.saving.register_keras_serializable(package="mafnet")
class ModalityTemporalAttention(_Attention):
    """Modality & temporal attention (Section 3.4): the weights of all clips and modalities of a video sum to 1.

    - Eq. 8: z_t^k = f(x'_t^k),
    - Eq. 9: lambda_t^k = exp(z_t^k) / sum_j sum_l exp(z_j^l),
    - Eq. 10: o = concat(sum_t lambda_t^1 x'_t^1, ..., sum_t lambda_t^K x'_t^K); the concatenation is a layer of its
      own in `mafnet.models`.
    """

    over = (1, 2)


@keras.saving.register_keras_serializable(package="mafnet")
class FiLM(keras.layers.Layer):
    """Feature-wise linear modulation (Section 3.5): one modality scales and shifts the other's feature maps.

    - Eq. 11: gamma_{t,c} = f_c(x_t), beta_{t,c} = h_c(x_t): one dense layer, whose first half is gamma,
    - Eq. 12: FiLM(F_{t,c}) = gamma_{t,c} F_{t,c} + beta_{t,c}.

    Args:
      scale: `"one_plus"`, the authors' code: gamma is 1 + f(x); `"plain"`, the paper: gamma is f(x).

    Inputs: maps `(batch, time, height, width, channels)` and the features that modulate them,
    `(batch, time, condition_channels)`. Output: of the shape of the maps.

    Raises:
      ValueError: unknown `scale`.
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
        # Eq. 11
        gamma, beta = ops.split(self.generator(condition)[:, :, None, None], 2, axis=-1)
        # Eq. 12
        return (gamma + 1 if self.scale == "one_plus" else gamma) * maps + beta

    def compute_output_shape(self, maps_shape, condition_shape):
        return tuple(maps_shape)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


class _Block(keras.layers.Layer):
    """What the residual blocks with and without FiLM share (Figure 4): r = ReLU(Conv1x1(maps)) and BN(Conv3x3(r))."""

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
      filters: number of filters of both convolutions.
      norm_decay: decay of the batch normalization.

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
      filters: number of filters of both convolutions.
      scale: that of `FiLM`.
      norm_decay: decay of the batch normalization.

    Inputs: maps `(batch, time, height, width, channels)` and the features that modulate them,
    `(batch, time, condition_channels)`. Outputs: maps `(batch, time, height, width, filters)`, and the maps' means
    just before and just after the FiLM layer, both `(batch, time, filters)`, which Figure 7 shows.
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

    A unit weighs the clips X by a = softmax(X w + b) over time and computes

        psi(X) = (alpha * (a X) + beta) / (sqrt(N) * ||alpha * (a X) + beta||),

    with scalars alpha and beta of its own, which let units with equal weights still differ. As in that paper's code
    they are initialised from a normal distribution with standard deviation N^(-1/4), and the scores as torch does.

    Args:
      units: N.

    Input: `(batch, time, channels)`. Output: the concatenated units, `(batch, units * channels)`, whose norm is 1.
    """

    def __init__(self, units: int = 64, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.scores = linear(self.units, input_shape[-1], name="scores", dtype=self.dtype_policy)
        self.scores.build(input_shape)
        for name in ("alpha", "beta"):
            spread = keras.initializers.RandomNormal(stddev=self.units**-0.25)
            setattr(self, name, self.add_weight(shape=(self.units, 1), initializer=spread, name=name))

    def call(self, x):
        weights = ops.softmax(self.scores(x), axis=1)
        shifted = self.alpha * ops.matmul(ops.transpose(weights, (0, 2, 1)), x) + self.beta
        # Silence may give a vector of zeros, where the gradient of Keras's normalization is zero, not NaN.
        unit = ops.normalize(shifted, axis=-1, order=2) / self.units**0.5
        return ops.reshape(unit, (-1, self.units * x.shape[-1]))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.units * input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "units": self.units}
