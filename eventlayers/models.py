"""The networks of the paper: the event layers (Figure 2) written out, then the baselines and what goes before them."""

import functools

import keras

from avpipeline.features import mc3
from avpipeline.media import SAMPLE_RATE
from eventlayers import audio_network, small_backbones
from eventlayers.config import OWN, ModelConfig, model_config
from eventlayers.layers import (
    AudioEventLayer,
    ContinuousEventLayer,
    InstantEventLayer,
    OnsetEventLayer,
    VisualEventLayer,
)
from eventlayers.sound import EventLogMel

ONSETS, ONSET_MASK = "onsets", "onset_mask"


def event_layers(config: ModelConfig, name: str = "event_layers", video_weights=None) -> keras.Model:
    """The event layers (Section 3, Figure 2); shapes in the comments are the published ones, without the batch axis.

    Args:
      config: its heads are `LAYERS` and it has both modalities.
      video_weights: what MC3-18 starts from in a model on clips; see `video_classifier`.
    """
    # Clips, frames (100, 112, 112, 3) and sound (160000,), or the features that frozen backbones made of them; and the
    # padded onsets of the audio with their mask, (100,) both.
    inputs = _stream_inputs(config) | _onset_inputs(config)

    # Section 3: z^V of MC3-18 and z^A of the audio network, a vector for each time step, (100, 512) both.
    features = _backbone_features(config, inputs, video_weights) if config.inputs == "clips" else inputs
    z_v, z_a = features["visual"], features["audio"]

    # Section 3.1: five layers without weights, each pools other time steps into one vector, (1024,).
    z_continuous = ContinuousEventLayer(name="continuous_event")(z_v, z_a)  # Eq. 1
    z_instant = InstantEventLayer(config.top_k, config.instant, name="instant_event")(z_v, z_a)  # Eq. 2
    z_onset = OnsetEventLayer(name="onset_event")(z_v, z_a, inputs[ONSETS], inputs[ONSET_MASK])  # Eq. 3
    z_visual = VisualEventLayer(name="visual_event")(z_v, z_a)  # Eq. 1 with zeros for the audio
    z_audio = AudioEventLayer(name="audio_event")(z_v, z_a)  # Eq. 1 with zeros for the frames

    # Section 3.2, Eq. 4: O_i = FC_i(z_i), (309,) each; the loss of Eq. 4 is recipe.MultiHeadCrossEntropy.
    scores = [
        _head(config, "continuous")(z_continuous),
        _head(config, "instant")(z_instant),
        _head(config, "onset")(z_onset),
        _head(config, "visual")(z_visual),
        _head(config, "audio")(z_audio),
    ]
    return keras.Model(inputs, keras.ops.stack(scores, axis=1), name=name)  # O, (5, 309)


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
      time steps (batch, time), "onset_mask": 1 where `onsets` holds one (batch, time)}`.
      Output: O of the paper, `(batch, heads, classes)` scores before the softmax, float32; the heads are
      `eventlayers.LAYERS`, or the baseline's only one. `eventlayers.vote` makes them one label.

    Raises:
      ValueError: unknown model, preset or setting.
    """
    return video_classifier(model_config(name, preset, **overrides), name=name)


def video_classifier(config: ModelConfig, name: str, video_weights=None) -> keras.Model:
    """The network of a configuration: the event layers, or a system that they are compared with.

    Args:
      video_weights: what MC3-18 starts from in a model on clips: None (random), "default" (Kinetics-400) or a
        torchvision checkpoint.
    """
    headline = model_config("event_layers")
    is_headline = (config.heads, config.modalities) == (headline.heads, headline.modalities)
    network = event_layers if is_headline else network_of_heads
    return OWN.built(name, config, functools.partial(network, video_weights=video_weights))


def network_of_heads(config: ModelConfig, name: str, video_weights=None) -> keras.Model:
    """Any heads on either modality or both; with the paper's five heads it is the network of `event_layers`."""
    inputs = _stream_inputs(config) | _onset_inputs(config)
    features = _backbone_features(config, inputs, video_weights) if config.inputs == "clips" else inputs
    scores = [_head(config, head)(_event_feature(config, head, inputs, features)) for head in config.heads]
    return keras.Model(inputs, keras.ops.stack(scores, axis=1), name=name)


# Modality -> name of its backbone in a model on clips.
BACKBONES = {"visual": "visual_backbone", "audio": "audio_backbone"}


def _stream_inputs(config: ModelConfig) -> dict:
    shapes = {
        "visual": (config.num_moments, config.visual_channels),
        "audio": (config.num_moments, config.audio_channels),
    }
    if config.inputs == "clips":
        frames = (config.num_moments, config.frame_size, config.frame_size, 3)
        shapes = {"visual": frames, "audio": (config.num_moments * SAMPLE_RATE // 10,)}
    return {modality: keras.Input(shapes[modality], name=modality) for modality in config.modalities}


def _onset_inputs(config: ModelConfig) -> dict:
    """Padded onset time steps and their mask, if the model has the onset layer."""
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
            network = audio_network.build_audio_network(frames=config.num_moments * audio_network.FRAMES_PER_TIME_STEP)
        else:
            network = small_backbones.build_small_event_audio()
        features["audio"] = _named(network, "audio")(EventLogMel(name="audio_preparation")(inputs["audio"]))
    return features


def _named(network: keras.Model, modality: str) -> keras.Model:
    """The network under the name by which `time_step_features` and the two-stage training find it."""
    return keras.Model(network.input, network.output, name=BACKBONES[modality])


def _head(config: ModelConfig, name: str) -> keras.layers.Dense:
    """FC_i of Eq. 4; float32 under every policy: the softmax and the loss need it."""
    return keras.layers.Dense(config.num_classes, name=f"head_{name}", dtype="float32")


def _event_feature(config: ModelConfig, head: str, inputs: dict, features: dict):
    """z of one event layer; for a model with one modality, the mean of its features, the linear head's input."""
    name = f"{head}_event"
    if len(config.modalities) == 1:
        (modality,) = config.modalities
        return keras.layers.GlobalAveragePooling1D(name=name)(features[modality])
    both = features["visual"], features["audio"]
    if head == "instant":
        return InstantEventLayer(config.top_k, config.instant, name=name)(*both)
    if head == "onset":
        return OnsetEventLayer(name=name)(*both, inputs[ONSETS], inputs[ONSET_MASK])
    layers = {"continuous": ContinuousEventLayer, "visual": VisualEventLayer, "audio": AudioEventLayer}
    return layers[head](name=name)(*both)


def time_step_features(model: keras.Model) -> keras.Model:
    """The backbones of a model on clips as a model of their own, which shares the weights.

    Returns:
      Model of the same clips without onsets; its outputs, as far as the model has the streams: `"visual"`, z^V
      `(batch, time, 512)`; `"maps"`, the last activation `(batch, time, height, width, 512)` that z^V is the mean
      of; `"audio"`, z^A `(batch, time, 512)`.
    """
    inputs = {name: tensor for name, tensor in model.input.items() if name in BACKBONES}
    outputs = {name: tensor for name, tensor in with_time_steps(model).output.items() if name != "scores"}
    return keras.Model(inputs, outputs, name=f"{model.name}_time_steps")


def with_time_steps(model: keras.Model) -> keras.Model:
    """A model on clips that also returns what `time_step_features` does, in one pass over the backbones.

    Returns:
      Model with the inputs of `model`; its outputs are those of `time_step_features`, and "scores", the model's own.
    """
    outputs = {"scores": model.output}
    for modality in (name for name in BACKBONES if name in model.input):
        network = model.get_layer(BACKBONES[modality])
        # The output tensors of its first call in this model; Keras exposes those of a nested model nowhere else.
        tensors = network._inbound_nodes[0].output_tensors
        found = keras.tree.pack_sequence_as(network.output, tensors)
        outputs |= {"visual": found["features"], "maps": found["maps"]} if modality == "visual" else {"audio": found}
    return keras.Model(model.input, outputs, name=f"{model.name}_with_time_steps")
