"""The models of the paper, wired from its layers."""

import keras

from ave.layers import AudioGuidedAttention
from ave.models import ATTENTION_LAYER
from jca.compared import SYSTEMS
from jca.config import ModelConfig, model_config
from jca.layers import JointCoAttention, L2Normalization, Rerepresentation, xavier


def build_model(name: str = "jca", preset: str = "code", **overrides) -> keras.Model:
    """One of `jca.MODELS`, freshly initialised.

    Args:
      name: key of `jca.MODELS`.
      preset: "code" or "paper".
      **overrides: fields of `jca.ModelConfig`, e.g. `recursions=2`.

    Returns:
      Functional model. Inputs `{"audio": (batch, segments, 128), "visual": (batch, segments, 7, 7, 512)}`; output:
      class probabilities `(batch, segments, classes)`.

    Raises:
      ValueError: unknown model, preset or setting, or a size that cannot be.
    """
    return segment_classifier(model_config(name, preset, **overrides), name=name)


def segment_classifier(config: ModelConfig, name: str) -> keras.Model:
    """Recursive joint co-attention (Fig. 2), one of its ablations, or one of the systems it is compared with."""
    inputs = {
        "audio": keras.Input((config.num_segments, config.audio_channels), name="audio"),
        "visual": keras.Input((config.num_segments, *config.visual_shape), name="visual"),
    }
    if config.system != "jca":
        return SYSTEMS[config.system](config, inputs, name)
    audio = L2Normalization(name="audio_unit")(inputs["audio"])
    audio = _rerepresentation(config, config.audio_size, "audio_extract")(audio)
    regions = L2Normalization(name="visual_unit")(inputs["visual"])
    video = xavier(config.video_size, regions.shape[-1], name="affine_feat")(_one_vector(config, audio, regions))
    video = _rerepresentation(config, config.video_size, "video_extract")(video)
    for index in range(config.recursions):
        layer = JointCoAttention(
            config.co_attention,
            config.attended_by,
            affinity_units=config.affinity_units,
            dropout=config.dropout,
            name=f"coattn_{index}",
        )
        video, audio = layer(video, audio)
    return keras.Model(inputs, _prediction(config, video, audio), name=name)


def _rerepresentation(config: ModelConfig, units: int, name: str) -> keras.layers.Layer:
    return Rerepresentation(
        units,
        config.num_layers if config.unimodal_rnn else 0,
        config.cell,
        config.residual_embedding,
        config.recurrent_dropout,
        name=name,
    )


def _one_vector(config: ModelConfig, audio, regions):
    """Early fusion: the regions of each segment's picture as one vector, `(batch, time, channels)`."""
    if config.visual == "attention":
        return AudioGuidedAttention(config.video_size, zero_bias=True, name=ATTENTION_LAYER)(audio, regions)[0]
    pools = {"average": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}
    pool = pools[config.visual](name=f"{config.visual}_over_regions")
    return keras.layers.TimeDistributed(pool, name=f"visual_{config.visual}")(regions)


def _prediction(config: ModelConfig, video, audio):
    """Probabilities, float32 also under mixed precision: the loss needs the small ones."""
    x = keras.layers.Concatenate(name="both")([video, audio])
    layers = config.num_layers if config.joint_rnn else 0
    x = Rerepresentation(config.video_size, layers, config.cell, config.residual_embedding, name="joint")(x)
    x = xavier(max(1, config.video_size // 4), config.video_size, activation="relu", name="hidden")(x)
    x = keras.layers.Dropout(config.dropout, name="drop_hidden")(x)
    x = xavier(config.num_classes, x.shape[-1], name="classifier")(x)
    return keras.layers.Softmax(name="segments", dtype="float32")(x)
