"""The models of the paper, wired from its layers (Figure 2)."""

import keras

from avpipeline.features import mc3
from avpipeline.features.logmel import SAMPLE_RATE, EventLogMel
from eventlayers import audio_network, small_backbones
from eventlayers.config import ModelConfig, model_config
from eventlayers.layers import (
    AudioEventLayer,
    ContinuousEventLayer,
    InstantEventLayer,
    OnsetEventLayer,
    VisualEventLayer,
)

ONSETS, ONSET_MASK = "onsets", "onset_mask"
# Modality -> name of its backbone in a model on clips.
BACKBONES = {"visual": "visual_backbone", "audio": "audio_backbone"}
_SAMPLES_A_MOMENT = SAMPLE_RATE // 10


def build_model(name: str = "event_layers", preset: str = "paper", **overrides) -> keras.Model:
    """One of `eventlayers.MODELS`, freshly initialised.

    Args:
      name: key of `eventlayers.MODELS`.
      preset: "paper"; there is no public code.
      **overrides: fields of `eventlayers.ModelConfig`, e.g. `num_classes=28, inputs="clips"`.

    Returns:
      Functional model. Inputs, as far as the model uses them, on features of frozen backbones: `{"visual": z^V
      (batch, time, 512), "audio": z^A (batch, time, 512)}`; on clips: `{"visual": RGB frames from 0 to 255
      (batch, time, 112, 112, 3), "audio": 16 kHz mono in [-1, 1] (batch, 160000)}`; on both `{"onsets": indices of
      moments (batch, time), "onset_mask": 1 where one is (batch, time)}`.
      Output: O of the paper, `(batch, heads, classes)` scores before the softmax, float32; the heads are
      `eventlayers.LAYERS`, or one of a baseline. `eventlayers.vote` makes one label of them.

    Raises:
      ValueError: unknown model, preset or setting.
    """
    return video_classifier(model_config(name, preset, **overrides), name=name)


def video_classifier(config: ModelConfig, name: str, video_weights=None) -> keras.Model:
    """The network of Figure 2 or one of the systems it is compared with.

    Args:
      video_weights: what a model on clips begins its MC3-18 with: None (fresh), "default" (Kinetics-400) or a
        torchvision checkpoint.
    """
    inputs = _stream_inputs(config) | _onset_inputs(config)
    features = dict(inputs)
    if config.inputs == "clips":
        features |= _backbone_features(config, inputs, video_weights)
    return keras.Model(inputs, _head_scores(config, features), name=name)


def moment_features(model: keras.Model) -> keras.Model:
    """What a model on clips sees and hears at every moment, sharing its weights.

    Returns:
      model of the same clips without onsets, with the outputs, as far as it has the streams: `"visual"`, z^V
      `(batch, time, 512)`; `"maps"`, the last activation `(batch, time, height, width, 512)` that z^V is the mean
      of; `"audio"`, z^A `(batch, time, 512)`.
    """
    inputs = {name: tensor for name, tensor in model.input.items() if name in BACKBONES}
    outputs = {}
    for modality, tensor in inputs.items():
        prepared = model.get_layer(f"{modality}_preparation")(tensor)
        found = model.get_layer(BACKBONES[modality])(prepared)
        outputs |= {"visual": found["features"], "maps": found["maps"]} if modality == "visual" else {"audio": found}
    return keras.Model(inputs, outputs, name=f"{model.name}_moments")


def _stream_inputs(config: ModelConfig) -> dict:
    shapes = {
        "visual": (config.num_moments, config.visual_channels),
        "audio": (config.num_moments, config.audio_channels),
    }
    if config.inputs == "clips":
        frames = (config.num_moments, config.frame_size, config.frame_size, 3)
        shapes = {"visual": frames, "audio": (config.num_moments * _SAMPLES_A_MOMENT,)}
    return {modality: keras.Input(shapes[modality], name=modality) for modality in config.modalities}


def _onset_inputs(config: ModelConfig) -> dict:
    """Padded onset moments and their mask, where the model has the onset layer."""
    names = (ONSETS, ONSET_MASK) if "onset" in config.heads else ()
    return {name: keras.Input((config.num_moments,), name=name) for name in names}


def _backbone_features(config: ModelConfig, inputs: dict, video_weights) -> dict:
    """z^V and z^A of clips, as far as the model has the streams."""
    features = {}
    if "visual" in inputs:
        if config.backbones == "published":
            network = mc3.build_mc3_18(video_weights, frames=config.num_moments, size=config.frame_size)
            prepare = mc3.frame_scaling(name="visual_preparation")
        else:
            network = small_backbones.build_small_event_visual()
            prepare = keras.layers.Identity(name="visual_preparation")
        features["visual"] = _named(network, "visual")(prepare(inputs["visual"]))["features"]
    if "audio" in inputs:
        if config.backbones == "published":
            network = audio_network.build_audio_network(frames=config.num_moments * audio_network.FRAMES_A_MOMENT)
        else:
            network = small_backbones.build_small_event_audio()
        features["audio"] = _named(network, "audio")(EventLogMel(name="audio_preparation")(inputs["audio"]))
    return features


def _named(network: keras.Model, modality: str) -> keras.Model:
    """The network under the name by which `moment_features` and the two-stage training find it."""
    return keras.Model(network.input, network.output, name=BACKBONES[modality])


def _head_scores(config: ModelConfig, features: dict):
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
