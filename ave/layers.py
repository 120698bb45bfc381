"""The layers of "Audio-Visual Event Localization in Unconstrained Videos" (ECCV 2018), by equation.

Eq. 2-4            AudioGuidedAttention
Supplement, 3.2    VisualGuidedAttention
Section 6.2        ChannelNormalizedReLU, of the compared ED-TCN

The fusion methods (Eq. 5 and 6 among them) are in `ave.fusion`.
"""

import keras
from keras import ops

AUDIO_ADDED_TO = ("regions", "components")


def uniform_by_fan_in(fan_in: int) -> keras.initializers.Initializer:
    """torch's default for the weight and the bias of a linear layer: uniform in +-1/sqrt(fan_in)."""
    return keras.initializers.RandomUniform(-(fan_in**-0.5), fan_in**-0.5)


def linear(
    units: int, fan_in: int, *, xavier: bool = False, zero_bias: bool = False, **kwargs
) -> keras.layers.Dense:
    """Dense layer that starts as the authors' linear layers do.

    Args:
      units: output size.
      fan_in: input size, on which torch's default initialisation depends.
      xavier: Xavier uniform kernel (the attention's layers, L1 and L2) instead of torch's default.
      zero_bias: bias of zeros instead of torch's default.
    """
    kernel = "glorot_uniform" if xavier else uniform_by_fan_in(fan_in)
    bias = "zeros" if zero_bias else uniform_by_fan_in(fan_in)
    return keras.layers.Dense(units, kernel_initializer=kernel, bias_initializer=bias, **kwargs)


@keras.saving.register_keras_serializable(package="ave")
class AudioGuidedAttention(keras.layers.Layer):
    """Audio-guided visual attention (Section 4.2): which regions of a segment's picture belong to its sound.

    With U_v, U_a = dense layers with ReLU and W_v, W_a, W_f = dense layers without bias:

    - Eq. 4: x = W_f tanh(W_v U_v(v) + W_a U_a(a)), one score for each of the k regions,
    - Eq. 3: w = softmax(x),
    - Eq. 2: v_att = sum_i w_i v_i, a weighted sum of the raw map, not of U_v(v).

    Source: the paper's equations; the authors' code for sizes, initialisation and for where audio is added.

    Args:
      units: size d of U_v and U_a.
      audio_added_to: the sum in Eq. 4 is a k x k matrix, regions by components, and W_a U_a(a) has k entries.
        `"regions"` adds entry i to all components of region i (the authors' code); `"components"` adds entry j
        to component j of all regions (the paper's Eq. 4).
      zero_bias: the biases of U_v and U_a start at zero instead of torch's default.

    Inputs: audio `(batch, time, audio_channels)`, visual `(batch, time, height, width, channels)`.
    Outputs: attended visual `(batch, time, channels)` and the attention maps `(batch, time, height, width)`,
    which sum to 1 over each map; regions are row-major.
    """

    def __init__(self, units: int = 512, audio_added_to: str = "regions", zero_bias: bool = False, **kwargs):
        super().__init__(**kwargs)
        if audio_added_to not in AUDIO_ADDED_TO:
            raise ValueError(f"audio_added_to must be one of {AUDIO_ADDED_TO}, not {audio_added_to!r}")
        self.units = units
        self.audio_added_to = audio_added_to
        self.zero_bias = zero_bias

    def build(self, audio_shape, visual_shape):
        height, width, channels = visual_shape[-3:]
        regions = height * width
        per_region = (None, None, regions)
        # Layers are named as in the authors' checkpoints: affine_video = U_v, affine_audio = U_a,
        # affine_v = W_v, affine_g = W_a, affine_h = W_f.
        dense = {"xavier": True, "zero_bias": self.zero_bias, "activation": "relu", "dtype": self.dtype_policy}
        self.affine_video = linear(self.units, channels, name="affine_video", **dense)
        self.affine_audio = linear(self.units, audio_shape[-1], name="affine_audio", **dense)
        self.affine_v = self._projection(regions, "affine_v")
        self.affine_g = self._projection(regions, "affine_g")
        self.affine_h = self._projection(1, "affine_h")
        self.affine_video.build((*per_region, channels))
        self.affine_audio.build(audio_shape)
        self.affine_v.build((*per_region, self.units))
        self.affine_g.build((None, None, self.units))
        self.affine_h.build((*per_region, regions))

    def _projection(self, units: int, name: str) -> keras.layers.Dense:
        return keras.layers.Dense(
            units, use_bias=False, kernel_initializer="glorot_uniform", name=name, dtype=self.dtype_policy
        )

    def call(self, audio, visual):
        shape = ops.shape(visual)
        height, width, channels = visual.shape[-3:]
        regions = ops.reshape(visual, (*shape[:2], height * width, channels))
        from_audio = self.affine_g(self.affine_audio(audio))
        from_audio = ops.expand_dims(from_audio, -1 if self.audio_added_to == "regions" else -2)
        scores = self.affine_h(ops.tanh(self.affine_v(self.affine_video(regions)) + from_audio))
        weights = ops.softmax(ops.squeeze(scores, -1), axis=-1)
        attended = ops.squeeze(ops.matmul(ops.expand_dims(weights, -2), regions), -2)
        return attended, ops.reshape(weights, (*shape[:2], height, width))

    def compute_output_shape(self, audio_shape, visual_shape):
        return (*visual_shape[:2], visual_shape[-1]), tuple(visual_shape[:4])

    def get_config(self):
        own = {"units": self.units, "audio_added_to": self.audio_added_to, "zero_bias": self.zero_bias}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="ave")
class VisualGuidedAttention(AudioGuidedAttention):
    """Visual-guided audio attention (supplement, Section 3.2): which times and frequencies belong to the picture.

    The same function with the roles changed: a visual vector `(batch, time, visual_channels)` guides, and the
    regions of an audio map `(batch, time, frames, bands, channels)` are weighed.

    Outputs: attended audio `(batch, time, channels)` and the attention maps `(batch, time, frames, bands)`.
    """


@keras.saving.register_keras_serializable(package="ave")
class ChannelNormalizedReLU(keras.layers.Layer):
    """ReLU divided by the largest channel of the time step (Lea et al. 2017, "normalized ReLU" of ED-TCN).

    Input and output `(batch, time, channels)`.
    """

    def call(self, x):
        x = ops.relu(x)
        return x / (ops.max(x, axis=-1, keepdims=True) + 1e-5)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)
