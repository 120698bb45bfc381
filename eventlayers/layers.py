"""The layers of "Event-Specific Audio-Visual Fusion Layers" (WACV 2023, Section 3.1), by equation.

Eq. 1             ContinuousEventLayer; VisualEventLayer and AudioEventLayer, where the other modality is set to zero
Eq. 2             InstantEventLayer, with the scores S_av of `correspondence`
Eq. 3             OnsetEventLayer; the onsets themselves are found in sound.py
Eq. 4             O_i = FC_i(z_i): the heads in models.event_layers; the loss: recipe.MultiHeadCrossEntropy
Section 4.2       sound_localization, the alpha of Figure 5

None of the layers has weights. Each takes the backbones' features at every time step (a tenth of a second), visual z^V
`(batch, time, visual channels)` and audio z^A `(batch, time, audio channels)` (100 time steps of 512 channels in the
paper), and returns one vector for each video, `(batch, visual channels + audio channels)`: the mean of
concat(z^V_t, z^A_t) over the time steps t that it chooses. Means and scores are computed in float32 under every dtype
policy.
"""

import keras
import numpy as np
from keras import ops

from avpipeline.nn.backends import TENSORFLOW
from eventlayers.config import INSTANT_SCORES

if TENSORFLOW:
    import tensorflow as tf


def correspondence(visual, audio, score: str = "dot"):
    """S_av of Eq. 2, the score of each time step: z^V_t . z^A_t, `(batch, time)` float32.

    Args:
      score: "dot", exactly as Eq. 2; "cosine", of features scaled to length 1 (zeros stay zeros).

    In float32, since a sum of 512 products exceeds the range of float16, and bfloat16 makes different scores equal.
    """
    visual, audio = ops.cast(visual, "float32"), ops.cast(audio, "float32")
    if score == "cosine":
        visual, audio = _normalized(visual), _normalized(audio)
    return ops.sum(visual * audio, axis=-1)


def sound_localization(maps: np.ndarray, audio: np.ndarray) -> np.ndarray:
    """alpha = V_t . z^A_t for every region and time step: `(time, height, width)` (Section 4.2, Figure 5).

    Where in the frame the sound comes from, without any training for it.

    Args:
      maps: V, the last activation of the video backbone, `(time, height, width, channels)`.
      audio: z^A, `(time, channels)`.
    """
    return np.einsum("thwc,tc->thw", maps, audio)


class _EventLayer(keras.layers.Layer):
    """What the five layers share: one vector for each video, with the channels of both modalities."""

    def __init__(self, **kwargs):
        # Inputs are not cast to half precision: onsets may come as floats, and bfloat16 has no 257.
        super().__init__(autocast=False, **kwargs)

    def _joined(self, visual, audio):
        """concat(z^V, z^A) over the channels, in this layer's dtype."""
        return ops.cast(ops.concatenate([visual, audio], axis=-1), self.compute_dtype)

    def compute_output_shape(self, visual_shape, audio_shape):
        return (visual_shape[0], visual_shape[-1] + audio_shape[-1])


@keras.saving.register_keras_serializable(package="eventlayers")
class ContinuousEventLayer(_EventLayer):
    """Eq. 1: z_cont, the mean over all time steps. Inputs: visual, audio."""

    def call(self, visual, audio):
        return self._joined(_mean(visual), _mean(audio))


@keras.saving.register_keras_serializable(package="eventlayers")
class VisualEventLayer(_EventLayer):
    """Eq. 1 with zeros for the audio: z_visual = mean of concat(z^V_t, 0). Inputs: visual, audio."""

    def call(self, visual, audio):
        return self._joined(_mean(visual), ops.zeros_like(audio[:, 0], dtype="float32"))


@keras.saving.register_keras_serializable(package="eventlayers")
class AudioEventLayer(_EventLayer):
    """Eq. 1 with zeros for the frames: z_audio = mean of concat(0, z^A_t). Inputs: visual, audio."""

    def call(self, visual, audio):
        return self._joined(ops.zeros_like(visual[:, 0], dtype="float32"), _mean(audio))


@keras.saving.register_keras_serializable(package="eventlayers")
class InstantEventLayer(_EventLayer):
    """Eq. 2: z_inst, the mean over the k time steps with the highest correspondence.

    Ties for the last place go to the earlier time step; the order of the chosen ones does not change their mean.
    Gradients flow through the features at the chosen time steps; the choice itself has none.

    Both modalities must have the same number of channels. Inputs: visual, audio.

    Args:
      k: number of time steps, 10 in the paper; all of them if a video has fewer.
      score: "dot" or "cosine", of `correspondence`.

    Raises:
      ValueError: k is below 1, or there is no such score.
    """

    def __init__(self, k: int = 10, score: str = "dot", **kwargs):
        super().__init__(**kwargs)
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        if score not in INSTANT_SCORES:
            raise ValueError(f"score must be one of {', '.join(INSTANT_SCORES)}, not {score!r}")
        self.k, self.score = k, score

    def time_steps(self, visual, audio):
        """The set K: indices `(batch, min(k, time))` int32, the highest score first."""
        scores = correspondence(visual, audio, self.score)
        time = ops.shape(scores)[1]
        k = min(self.k, time) if isinstance(time, int) else ops.minimum(self.k, time)
        return ops.top_k(scores, k)[1]

    def call(self, visual, audio):
        chosen = self.time_steps(visual, audio)
        pooled = (_mean(_at(feature, chosen)) for feature in (visual, audio))
        return self._joined(*pooled)

    def get_config(self):
        return {**super().get_config(), "k": self.k, "score": self.score}


@keras.saving.register_keras_serializable(package="eventlayers")
class OnsetEventLayer(_EventLayer):
    """Eq. 3: z_onset, the mean over the time steps at which something begins to sound.

    A video without onsets (silence, steady noise) is averaged over all its time steps: the paper leaves this open, and
    with any other choice the head would not be trained on such videos.

    Inputs:
      visual, audio: as for every layer.
      onsets: `(batch, places)` whole numbers, each video's distinct onset time steps from 0 to time - 1; the padding
        may be anything.
      onset_mask: `(batch, places)`, true or 1 where `onsets` holds a time step.

    The number of places does not affect the result, so it may differ from batch to batch.
    """

    def call(self, visual, audio, onsets, onset_mask):
        mask = ops.cast(onset_mask, "bool")
        chosen = ops.where(mask, ops.cast(onsets, "int32"), 0)
        pooled = []
        for feature in (visual, audio):
            gathered = _at(feature, chosen)
            pooled.append(ops.where(ops.any(mask, 1, keepdims=True), _masked_mean(gathered, mask), _mean(feature)))
        return self._joined(*pooled)

    def compute_output_shape(self, visual_shape, audio_shape, onsets_shape, onset_mask_shape):
        return super().compute_output_shape(visual_shape, audio_shape)


def _at(feature, time_steps):
    """The feature at each video's time steps: `(batch, time, channels)`, `(batch, k)` -> `(batch, k, channels)`."""
    if TENSORFLOW:
        return tf.gather(feature, time_steps, batch_dims=1)
    return ops.take_along_axis(feature, ops.expand_dims(time_steps, -1), axis=1)


def _normalized(feature):
    """Each time step's vector scaled to length 1; zeros stay zeros."""
    return feature * ops.rsqrt(ops.maximum(ops.sum(ops.square(feature), axis=-1, keepdims=True), 1e-24))


def _mean(feature):
    """Mean over the time steps: `(batch, time, channels)` -> `(batch, channels)` float32."""
    return ops.mean(ops.cast(feature, "float32"), axis=1)


def _masked_mean(feature, mask):
    """As `_mean`, over the time steps where `mask` `(batch, time)` is true; zeros if there is none."""
    weights = ops.cast(mask, "float32")
    total = ops.sum(ops.cast(feature, "float32") * ops.expand_dims(weights, -1), axis=1)
    return total / ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1.0)
