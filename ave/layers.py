"""The layers of "Audio-Visual Event Localization in Unconstrained Videos" (ECCV 2018), and an index of its equations.

Section 4.1        Eq. 1           the LSTM of each modality: `ave.models.av_att`
Section 4.1        loss            cross-entropy (the paper) or multi-label soft margin on the softmax output (the
                                   authors' code): `ave.recipe`
Section 4.2        Eq. 2 to 4      AudioGuidedAttention, here
Section 4.3        Eq. 5 and 6     DMRNBlock: `ave.fusion`, with the fusion methods that it is compared with
Section 4.4        Eq. 7           MIL pooling of weakly supervised models: `ave.models`
Section 5          Eq. 8           sliding-window search, window_costs: `ave.match.search`
Section 5          Eq. 9           distance of a pair, PairDistances: `ave.match.networks`
Section 5          Eq. 10          contrastive loss, ContrastiveLoss: `ave.match.networks`
Supplement, 3.2                    VisualGuidedAttention, here
Section 6.2                        ChannelNormalizedReLU, of the compared ED-TCN, here
"""

import keras
from keras import ops

from avpipeline.nn.dense import linear, uniform_by_fan_in

AUDIO_ADDED_TO = ("regions", "components")


@keras.saving.register_keras_serializable(package="ave")
class AudioGuidedAttention(keras.layers.Layer):
    """Audio-guided visual attention (Section 4.2): weighs the regions of a segment's visual map by its audio.

    With U_v, U_a = dense layers with ReLU and W_v, W_a, W_f = dense layers without bias:

    - Eq. 2: v_att = sum_i w_i v_i, a weighted sum of the input map, not of U_v(v),
    - Eq. 3: w = softmax(x),
    - Eq. 4: x = W_f tanh(W_v U_v(v) + (W_a U_a(a)) 1^T), one score for each of the k regions.

    Source: the paper's equations; the authors' code for the sizes, the initialisation and the axis audio is added to.

    Args:
      units: size d of U_v and U_a.
      audio_added_to: the sum in Eq. 4 is a k x k matrix, regions by components, and W_a U_a(a) has k entries.
        `"regions"` adds entry i to all components of region i (the authors' code); `"components"` adds entry j
        to component j of all regions (the paper's Eq. 4).
      zero_bias: initialise the biases of U_v and U_a with zeros instead of torch's default.
      xavier: initialise the kernels with Xavier uniform (the authors' A+V-att) instead of torch's default (their DMRN).

    Inputs: audio `(batch, time, audio_channels)`, visual `(batch, time, height, width, channels)`.
    Outputs: attended visual `(batch, time, channels)` and the attention maps `(batch, time, height, width)`, each of
    which sums to 1. Regions are numbered in row-major order.

    Raises:
      ValueError: unknown `audio_added_to`.
    """

    def __init__(
        self, units: int = 512, audio_added_to: str = "regions", zero_bias: bool = False, xavier: bool = True, **kwargs
    ):
        super().__init__(**kwargs)
        if audio_added_to not in AUDIO_ADDED_TO:
            raise ValueError(f"audio_added_to must be one of {AUDIO_ADDED_TO}, not {audio_added_to!r}")
        self.units = units
        self.audio_added_to = audio_added_to
        self.zero_bias = zero_bias
        self.xavier = xavier

    def build(self, audio_shape, visual_shape):
        height, width, channels = visual_shape[-3:]
        regions = height * width
        # The layers have the names of the authors' checkpoints: affine_video = U_v, affine_audio = U_a,
        # affine_v = W_v, affine_g = W_a, affine_h = W_f.
        dense = {"xavier": self.xavier, "zero_bias": self.zero_bias, "activation": "relu", "dtype": self.dtype_policy}
        self.affine_video = linear(self.units, channels, name="affine_video", **dense)
        self.affine_audio = linear(self.units, audio_shape[-1], name="affine_audio", **dense)
        self.affine_video.build((None, channels))
        self.affine_audio.build(audio_shape)
        self.affine_v = self._projection(regions, self.units, "affine_v")
        self.affine_g = self._projection(regions, self.units, "affine_g")
        self.affine_h = self._projection(1, regions, "affine_h")

    def _projection(self, units: int, fan_in: int, name: str) -> keras.layers.Dense:
        kernel = "glorot_uniform" if self.xavier else uniform_by_fan_in(fan_in)
        dense = keras.layers.Dense(units, use_bias=False, kernel_initializer=kernel, name=name, dtype=self.dtype_policy)
        dense.build((None, fan_in))
        return dense

    def call(self, audio, visual):
        shape = ops.shape(visual)
        height, width, channels = visual.shape[-3:]
        regions = ops.reshape(visual, (*shape[:2], height * width, channels))
        # Eq. 4: x = W_f tanh(W_v U_v(v) + (W_a U_a(a)) 1^T)
        from_audio = self.affine_g(self.affine_audio(audio))
        from_audio = ops.expand_dims(from_audio, -1 if self.audio_added_to == "regions" else -2)
        scores = self.affine_h(ops.tanh(self.affine_v(self.affine_video(regions)) + from_audio))
        # Eq. 3: w = softmax(x)
        weights = ops.softmax(ops.squeeze(scores, -1), axis=-1)
        # Eq. 2: v_att = sum_i w_i v_i
        attended = ops.squeeze(ops.matmul(ops.expand_dims(weights, -2), regions), -2)
        return attended, ops.reshape(weights, (*shape[:2], height, width))

    def compute_output_shape(self, audio_shape, visual_shape):
        return (*visual_shape[:2], visual_shape[-1]), tuple(visual_shape[:4])

    def get_config(self):
        names = ("units", "audio_added_to", "zero_bias", "xavier")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="ave")
class VisualGuidedAttention(AudioGuidedAttention):
    """Visual-guided audio attention (supplement, Section 3.2): weighs the times and frequencies of an audio map.

    The same function with the modalities exchanged: a visual vector `(batch, time, visual_channels)` is the guide, and
    the regions of an audio map `(batch, time, frames, bands, channels)` are weighed.

    Outputs: attended audio `(batch, time, channels)` and the attention maps `(batch, time, frames, bands)`.
    """


@keras.saving.register_keras_serializable(package="ave")
class ChannelNormalizedReLU(keras.layers.Layer):
    """ReLU divided by the largest channel of the same time step (the "normalized ReLU" of ED-TCN, Lea et al. 2017).

    Input and output: `(batch, time, channels)`.
    """

    def call(self, x):
        x = ops.relu(x)
        return x / (ops.max(x, axis=-1, keepdims=True) + 1e-5)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)


@keras.saving.register_keras_serializable(package="ave")
class EnsembleScores(keras.layers.Layer):
    """Scores whose softmax is the average of the members' softmaxes: the logarithm of their sum.

    Input: a list with the scores of each member, all `(..., classes)`. Output: `(..., classes)`.
    """

    def call(self, members):
        return ops.logsumexp(ops.log_softmax(ops.stack(members), axis=-1), axis=0)

    def compute_output_shape(self, member_shapes):
        return tuple(member_shapes[0])
