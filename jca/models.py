"""The networks of the paper: JCA written out from its inputs to its output, then those it is compared with."""

import keras

from ave.layers import AudioGuidedAttention
from ave.models import ATTENTION_LAYER
from jca.compared import SYSTEMS, segment_inputs, segment_probabilities
from jca.config import OWN, ModelConfig, model_config
from jca.dense_co_attention import DenseCoAttention
from jca.layers import JointCoAttention, L2Normalization, Rerepresentation, xavier


def joint_co_attention(config: ModelConfig, name: str = "jca") -> keras.Model:
    """JCA (Section 2, Fig. 2); shapes in the comments are the published ones, without the batch."""
    inputs = {
        "audio": keras.Input((config.num_segments, config.audio_channels), name="audio"),  # (10, 128)
        "visual": keras.Input((config.num_segments, *config.visual_shape), name="visual"),  # (10, 7, 7, 512)
    }
    layers, dropout = config.num_layers, config.recurrent_dropout

    # Sequence feature re-representation of the audio: A^0, (10, 512).
    audio = L2Normalization(name="audio_unit")(inputs["audio"])
    audio = Rerepresentation(config.audio_size, layers, dropout=dropout, name="audio_extract")(audio)

    # Early fusion: the audio decides which regions of a segment count. The dense layer is created before the attention
    # builds its weights; the order of creation decides the initial values.
    regions = L2Normalization(name="visual_unit")(inputs["visual"])
    affine = xavier(config.video_size, config.visual_shape[-1], name="affine_feat")
    attention = AudioGuidedAttention(config.video_size, zero_bias=True, name=ATTENTION_LAYER)
    video = affine(attention(audio, regions)[0])

    # Sequence feature re-representation of the video: V^0, (10, 512).
    video = Rerepresentation(config.video_size, layers, dropout=dropout, name="video_extract")(video)

    # Each layer is Eq. 1, both modalities attended by J = [V; A]; repeated, they are Eq. 2 (audio) and Eq. 3 (video).
    for index in range(config.recursions):
        co_attention = JointCoAttention(
            config.co_attention, affinity_units=config.affinity_units, dropout=config.dropout, name=f"coattn_{index}"
        )
        video, audio = co_attention(video, audio)

    # Category prediction: a joint Bi-LSTM, then an MLP on each segment, (10, 1024) to (10, 29).
    x = keras.layers.Concatenate(name="both")([video, audio])
    x = Rerepresentation(config.video_size, layers, name="joint")(x)
    x = xavier(max(1, config.video_size // 4), config.video_size, activation="relu", name="hidden")(x)
    x = keras.layers.Dropout(config.dropout, name="drop_hidden")(x)
    x = xavier(config.num_classes, x.shape[-1], name="classifier")(x)
    # float32 also under mixed precision: the loss needs the small probabilities.
    return keras.Model(inputs, keras.layers.Softmax(name="segments", dtype="float32")(x), name=name)


# What the ablations of Table 2 change.
_SWITCHES = ("unimodal_rnn", "joint_rnn", "residual_embedding", "cell", "visual", "attended_by")


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
      ValueError: unknown model, preset or setting, or an impossible size.
    """
    return segment_classifier(model_config(name, preset, **overrides), name=name)


def segment_classifier(config: ModelConfig, name: str) -> keras.Model:
    """The network of a configuration: JCA, one of its ablations, or one of the systems it is compared with."""
    if config.system != "jca":
        return OWN.built(name, config, SYSTEMS[config.system])
    is_headline = all(getattr(config, switch) == getattr(ModelConfig(), switch) for switch in _SWITCHES)
    return OWN.built(name, config, joint_co_attention if is_headline else ablation)


def ablation(config: ModelConfig, name: str) -> keras.Model:
    """JCA with the switches of Table 2; with all of them as in JCA it is the network of `joint_co_attention`."""
    inputs = segment_inputs(config)
    residual = config.residual_embedding
    layers = config.num_layers if config.unimodal_rnn else 0
    joint_layers = config.num_layers if config.joint_rnn else 0
    unimodal = {"num_layers": layers, "cell": config.cell, "residual": residual, "dropout": config.recurrent_dropout}
    audio = L2Normalization(name="audio_unit")(inputs["audio"])
    audio = Rerepresentation(config.audio_size, **unimodal, name="audio_extract")(audio)
    regions = L2Normalization(name="visual_unit")(inputs["visual"])
    affine = xavier(config.video_size, regions.shape[-1], name="affine_feat")
    video = affine(_region_vector(config, audio, regions))
    video = Rerepresentation(config.video_size, **unimodal, name="video_extract")(video)
    for index in range(config.recursions):
        video, audio = _co_attention(config, f"coattn_{index}")(video, audio)
    x = keras.layers.Concatenate(name="both")([video, audio])
    # The authors' option for GRUs does not reach this block.
    x = Rerepresentation(config.video_size, joint_layers, residual=residual, name="joint")(x)
    return keras.Model(inputs, segment_probabilities(config, x), name=name)


def _co_attention(config: ModelConfig, name: str) -> keras.layers.Layer:
    if config.attended_by == "dense":
        return DenseCoAttention(config.dense_heads, config.dense_memory, config.dropout, name=name)
    return JointCoAttention(config.co_attention, config.attended_by, config.affinity_units, config.dropout, name=name)


def _region_vector(config: ModelConfig, audio, regions):
    """The regions of each segment's frame as one vector, `(batch, time, channels)`."""
    if config.visual == "attention":
        return AudioGuidedAttention(config.video_size, zero_bias=True, name=ATTENTION_LAYER)(audio, regions)[0]
    pools = {"average": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}
    pool = pools[config.visual](name=f"{config.visual}_over_regions")
    return keras.layers.TimeDistributed(pool, name=f"visual_{config.visual}")(regions)
