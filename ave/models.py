"""The models of the paper, wired from its layers."""

import keras

from ave.config import ModelConfig, model_config
from ave.layers import AudioGuidedAttention, linear
from avpipeline.recurrent import BidirectionalLSTM

ATTENTION_LAYER = "attention"


def build_model(name: str = "av_att", preset: str = "code", **overrides) -> keras.Model:
    """One of `ave.MODELS`, freshly initialised.

    Args:
      name: key of `ave.MODELS`.
      preset: "code" or "paper".
      **overrides: fields of `ave.ModelConfig`, e.g. `num_classes=9`.

    Returns:
      Functional model. Inputs, as far as the model uses them: `{"audio": (batch, segments, 128),
      "visual": (batch, segments, 7, 7, 512)}`. Output: class probabilities `(batch, segments, classes)`.

    Raises:
      ValueError: unknown model, preset or setting.
    """
    return segment_classifier(model_config(name, preset, **overrides), name=name)


def segment_classifier(config: ModelConfig, name: str) -> keras.Model:
    """Audio-visual event localization network (Section 4.1), with late fusion by concatenation.

    Each modality: features -> bidirectional LSTM; together: ReLU -> Dense -> ReLU -> Dense -> softmax.
    """
    shapes = {"audio": (config.audio_channels,), "visual": config.visual_shape}
    inputs = {name: keras.Input((config.num_segments, *shapes[name]), name=name) for name in config.modalities}

    branches = []
    if config.audio:
        branches.append(BidirectionalLSTM(config.lstm_units, name="lstm_audio")(inputs["audio"]))
    if config.visual != "none":
        branches.append(BidirectionalLSTM(config.lstm_units, name="lstm_video")(_visual_vectors(config, inputs)))

    x = branches[0] if len(branches) == 1 else keras.layers.Concatenate(name="fusion")(branches)
    x = keras.layers.ReLU(name="relu_lstm")(x)
    x = linear(config.hidden_units, x.shape[-1], xavier=True, activation="relu", name="L1")(x)
    scores = linear(config.num_classes, config.hidden_units, xavier=True, name="L2")(x)
    # float32 also under mixed precision: the loss needs the small probabilities.
    segments = keras.layers.Softmax(name="segments", dtype="float32")(scores)
    return keras.Model(inputs, segments, name=name)


def _visual_vectors(config: ModelConfig, inputs):
    """`(batch, time, channels)`: the map attended under the audio's guidance, or its mean over regions."""
    if config.visual == "mean":
        pool = keras.layers.GlobalAveragePooling2D(name="mean_over_regions")
        return keras.layers.TimeDistributed(pool, name="visual_mean")(inputs["visual"])
    attention = AudioGuidedAttention(config.attention_units, config.audio_added_to, name=ATTENTION_LAYER)
    attended, _ = attention(inputs["audio"], inputs["visual"])
    return attended


def has_attention(model: keras.Model) -> bool:
    """Whether the model looks with audio-guided attention."""
    return any(layer.name == ATTENTION_LAYER for layer in model.layers)


def with_attention(model: keras.Model) -> keras.Model:
    """The same model, sharing its weights, that also returns where it looked.

    Returns:
      Model with outputs `{"segments": (batch, segments, classes), "attention": (batch, segments, 7, 7)}`.

    Raises:
      ValueError: the model has no attention.
    """
    if not has_attention(model):
        raise ValueError(f"{model.name} has no attention to show; av_att and v_att have")
    _, maps = model.get_layer(ATTENTION_LAYER).output
    return keras.Model(model.input, {"segments": model.output, "attention": maps}, name=f"{model.name}_maps")
