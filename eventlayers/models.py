"""The models of the paper, wired from its layers (Figure 2)."""

import keras

from eventlayers.config import ModelConfig, model_config
from eventlayers.layers import (
    AudioEventLayer,
    ContinuousEventLayer,
    InstantEventLayer,
    OnsetEventLayer,
    VisualEventLayer,
)

ONSETS, ONSET_MASK = "onsets", "onset_mask"
FEATURES = ("visual", "audio")


def build_model(name: str = "event_layers", preset: str = "paper", **overrides) -> keras.Model:
    """One of `eventlayers.MODELS` over the backbones' features, freshly initialised.

    Args:
      name: key of `eventlayers.MODELS`.
      preset: "paper"; there is no public code.
      **overrides: fields of `eventlayers.ModelConfig`, e.g. `num_classes=28`.

    Returns:
      Functional model. Inputs, as far as the model uses them: `{"visual": z^V (batch, time, 512), "audio": z^A
      (batch, time, 512), "onsets": (batch, time) indices of moments, "onset_mask": (batch, time) 1 where one is}`.
      Output: O of the paper, `(batch, heads, classes)` scores before the softmax, float32; the heads are
      `eventlayers.LAYERS`, or one of a baseline. `eventlayers.vote` makes one label of them.

    Raises:
      ValueError: unknown model, preset or setting.
    """
    return video_classifier(model_config(name, preset, **overrides), name=name)


def video_classifier(config: ModelConfig, name: str) -> keras.Model:
    """The event layers on features of frozen backbones, or one of the systems they are compared with."""
    inputs = feature_inputs(config)
    return keras.Model(inputs, head_scores(config, inputs), name=name)


def feature_inputs(config: ModelConfig) -> dict:
    """The inputs of a model on features, by name."""
    channels = {"visual": config.visual_channels, "audio": config.audio_channels}
    inputs = {
        modality: keras.Input((config.num_moments, channels[modality]), name=modality)
        for modality in config.modalities
    }
    return inputs | onset_inputs(config)


def onset_inputs(config: ModelConfig) -> dict:
    """Padded onset moments and their mask, where the model has the onset layer."""
    names = (ONSETS, ONSET_MASK) if "onset" in config.heads else ()
    return {name: keras.Input((config.num_moments,), name=name) for name in names}


def head_scores(config: ModelConfig, features: dict):
    """O, `(batch, heads, classes)`: each layer's vector through a dense layer of its own (O_i = FC_i(z_i), Eq. 4).

    Args:
      features: z^V as "visual" and z^A as "audio", with "onsets" and "onset_mask" where the onset layer is used.
    """
    # float32 under every policy: the softmax and the loss need it.
    heads = [keras.layers.Dense(config.num_classes, name=f"head_{head}", dtype="float32") for head in config.heads]
    scores = [dense(_event_feature(config, head, features)) for head, dense in zip(config.heads, heads, strict=True)]
    return keras.ops.stack(scores, axis=1)


def _event_feature(config: ModelConfig, head: str, features: dict):
    """z of one event layer; of a model with one stream the mean of that stream's features, its linear head's input."""
    name = f"{head}_event"
    if len(config.modalities) == 1:
        (modality,) = config.modalities
        return keras.layers.GlobalAveragePooling1D(name=name)(features[modality])
    both = features["visual"], features["audio"]
    if head == "instant":
        return InstantEventLayer(config.top_k, name=name)(*both)
    if head == "onset":
        return OnsetEventLayer(name=name)(*both, features[ONSETS], features[ONSET_MASK])
    layers = {"continuous": ContinuousEventLayer, "visual": VisualEventLayer, "audio": AudioEventLayer}
    return layers[head](name=name)(*both)
