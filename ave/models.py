"""The paper's models: A+V-att written out, then its variants and the systems it is compared with."""

import functools
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from ave.config import OWN, ModelConfig, model_config
from ave.fusion import FUSIONS, Concat
from ave.layers import AudioGuidedAttention, ChannelNormalizedReLU, EnsembleScores, VisualGuidedAttention
from avpipeline.nn.dense import linear
from avpipeline.nn.forward import forward_graph
from avpipeline.nn.recurrent import BidirectionalLSTM, TorchLSTM

ATTENTION_LAYER = "attention"
AUDIO_ATTENTION_LAYER = "audio_attention"
# Their maps have the same names among the outputs of `with_attention`.
_MAPS = (ATTENTION_LAYER, AUDIO_ATTENTION_LAYER)
# The settings of `ModelConfig` that decide which layers there are. A+V-att has the default of each.
_STRUCTURE = ("audio", "visual", "motion", "temporal", "fusion", "fused_at", "ensemble", "weak")


def av_att(config: ModelConfig, name: str = "av_att") -> keras.Model:
    """A+V-att, the audio-visual event localization network (Section 4.1, Figure 3a).

    Inputs `{"audio": (batch, segments, 128), "visual": (batch, segments, 7, 7, 512)}`; output: class probabilities
    `(batch, segments, classes)`.
    """
    # Section 6.1: for each segment, VGGish's embedding and VGG-19's last feature map
    audio = keras.Input((config.num_segments, config.audio_channels), name="audio")
    visual = keras.Input((config.num_segments, *config.visual_shape), name="visual")

    # Section 4.2, Eq. 2 to 4: audio-guided visual attention
    attention = AudioGuidedAttention(config.attention_units, config.audio_added_to, name=ATTENTION_LAYER)
    attended, _ = attention(audio, visual)

    # Section 4.1, Eq. 1: an LSTM for each modality; the authors' code makes them bidirectional
    lstm = BidirectionalLSTM if config.bidirectional else TorchLSTM
    audio_states = lstm(config.lstm_units, name="lstm_audio")(audio)
    visual_states = lstm(config.lstm_units, name="lstm_video")(attended)

    # Table 1: late fusion by concatenation, h* = [h_a, h_v]
    fused = Concat(config.state_units, name="fusion")(audio_states, visual_states)

    # Section 4.1: a fully connected layer, which all segments share, and softmax; the code has a hidden layer before it
    x = fused
    if config.hidden_units:
        x = keras.layers.ReLU(name="relu_lstm")(x)
        x = linear(config.hidden_units, x.shape[-1], xavier=True, activation="relu", name="L1")(x)
    scores = linear(config.num_classes, x.shape[-1], xavier=True, name="L2")(x)
    # float32 also under mixed precision: the loss needs the small probabilities.
    probabilities = keras.layers.Softmax(name="segments", dtype="float32")(scores)
    return keras.Model({"audio": audio, "visual": visual}, probabilities, name=name)


def build_model(name: str = "av_att", preset: str = "code", **overrides) -> keras.Model:
    """One of `ave.MODELS`, freshly initialised.

    Args:
      name: key of `ave.MODELS`.
      preset: "code" or "paper".
      **overrides: fields of `ave.ModelConfig`, e.g. `num_classes=9`.

    Returns:
      Functional model. Inputs, those of the following that the model uses: `{"audio": (batch, segments, 128),
      "visual": (batch, segments, 7, 7, 512), "audio_map": (batch, segments, 6, 4, 512),
      "motion": (batch, segments, 512)}`. Output: class probabilities `(batch, segments, classes)`; of a weakly
      supervised model `{"video": probabilities (batch, classes), "segments": scores (batch, segments, classes)}`.

    Raises:
      ValueError: unknown model, preset or setting.
    """
    return segment_classifier(model_config(name, preset, **overrides), name=name)


def segment_classifier(config: ModelConfig, name: str) -> keras.Model:
    """The network that `config` describes: A+V-att, one of its variants, or a system it is compared with."""
    return OWN.built(name, config, av_att if is_av_att(config) else assembled)


def is_av_att(config: ModelConfig) -> bool:
    """Whether `config` describes A+V-att, of any size and preset."""
    return all(getattr(config, setting) == getattr(ModelConfig(), setting) for setting in _STRUCTURE)


def assembled(config: ModelConfig, name: str) -> keras.Model:
    """Any of the paper's networks, assembled from the parts that `config` names; the outputs are `build_model`'s."""
    shapes = {
        "audio": (config.audio_channels,),
        "audio_map": config.audio_map_shape,
        "visual": config.visual_shape,
        "motion": (config.motion_channels,),
    }
    inputs = {name: keras.Input((config.num_segments, *shapes[name]), name=name) for name in config.modalities}
    scores = _segment_scores(config, _branches(config, inputs))
    outputs = _weak_outputs(config, scores) if config.weak else _probabilities(scores, "segments")
    return keras.Model(inputs, outputs, name=name)


def _branches(config: ModelConfig, inputs) -> dict:
    """The branches "audio" and "video", or one of them: a sequence `(batch, time, channels)` each."""

    @functools.cache
    def mean(modality: str):
        """A map's mean over regions, a branch's features or what guides attention over the other map."""
        pool = keras.layers.GlobalAveragePooling2D(name=f"{modality}_mean_over_regions")
        return keras.layers.TimeDistributed(pool, name=f"{modality}_mean")(inputs[modality])

    branches = {}
    if config.audio == "vector":
        branches["audio"] = inputs["audio"]
    elif config.audio == "map_mean":
        branches["audio"] = mean("audio_map")
    elif config.audio == "map_attention":
        attention = VisualGuidedAttention(config.attention_units, config.audio_added_to, name=AUDIO_ATTENTION_LAYER)
        branches["audio"], _ = attention(mean("visual"), inputs["audio_map"])

    video = []
    if config.visual == "mean":
        video.append(mean("visual"))
    elif config.visual == "attention":
        attention = AudioGuidedAttention(
            config.attention_units, config.audio_added_to, xavier=config.fusion != "dmrn", name=ATTENTION_LAYER
        )
        guide = mean("audio_map") if config.audio.startswith("map") else inputs["audio"]
        video.append(attention(guide, inputs["visual"])[0])
    if config.motion:
        video.append(inputs["motion"])
    if video:
        branches["video"] = video[0] if len(video) == 1 else keras.layers.Concatenate(name="with_motion")(video)
    return branches


def _segment_scores(config: ModelConfig, branches: dict):
    """Scores before the softmax, `(batch, time, classes)`."""
    if config.temporal == "ed_tcn":
        (branch,) = branches.values()
        return _scores(config, _encoder_decoder(config, branch), "L2")
    if len(branches) == 2 and config.fused_at == "early":
        branches = {"fused": _fuse(config, branches, config.state_units, "fusion")}
    lstm = BidirectionalLSTM if config.bidirectional else TorchLSTM
    states = {name: lstm(config.lstm_units, name=f"lstm_{name}")(x) for name, x in branches.items()}
    if len(states) == 1:
        (state,) = states.values()
        return _head(config, state)
    if config.fused_at == "decision":
        votes = {name: _head(config, state, f"_{name}") for name, state in states.items()}
        fused = _fuse(config, votes, config.num_classes, "fusion")
        # The scores go to the softmax as they are; outer products and concatenations are first projected to their size.
        return fused if fused.shape[-1] == config.num_classes else _scores(config, fused, "L2")
    members = ["", *(f"_{index}" for index in range(1, config.ensemble))]
    fused = {member: _fuse(config, states, config.state_units, f"fusion{member}") for member in members}
    scores = [_head(config, x, member) for member, x in fused.items()]
    # The average over an ensemble as a softmax of scores: cross-entropy then has its gradient at every probability.
    return scores[0] if len(scores) == 1 else EnsembleScores(name="members", dtype="float32")(scores)


def _fuse(config: ModelConfig, branches: dict, units: int, name: str):
    options = {}
    if config.fusion == "dmrn":
        options = {"blocks": config.fusion_blocks, "residuals": config.residuals}
    return FUSIONS[config.fusion](units, name=name, **options)(branches["audio"], branches["video"])


def _head(config: ModelConfig, x, suffix: str = ""):
    """Class scores of an LSTM's output or of a fusion, the same for a method wherever it fuses.

    ReLU -> Dense -> ReLU -> Dense as in the code of A+V-att; one Dense in the code of DMRN, and in the paper.
    """
    if config.hidden_units and config.fusion != "dmrn":
        x = keras.layers.ReLU(name=f"relu_lstm{suffix}")(x)
        x = linear(config.hidden_units, x.shape[-1], xavier=True, activation="relu", name=f"L1{suffix}")(x)
    return _scores(config, x, f"L2{suffix}")


def _scores(config: ModelConfig, x, name: str):
    return linear(config.num_classes, x.shape[-1], xavier=True, name=name)(x)


def _encoder_decoder(config: ModelConfig, x):
    """ED-TCN (Lea et al. 2017): every encoder layer halves the number of time steps, every decoder layer doubles it.

    An odd number is rounded up when halved; the extra time step is cropped after doubling.
    """
    lengths = []
    for index, filters in enumerate(config.tcn_filters):
        lengths.append(x.shape[1])
        x = _convolution(config, filters, f"encoder_{index}", x)
        x = keras.layers.MaxPooling1D(2, padding="same", name=f"pool_{index}")(x)
    for index, (filters, length) in enumerate(zip(config.tcn_filters[::-1], lengths[::-1], strict=True)):
        x = keras.layers.UpSampling1D(2, name=f"double_{index}")(x)
        x = keras.layers.Cropping1D((0, x.shape[1] - length), name=f"cut_{index}")(x)
        x = _convolution(config, filters, f"decoder_{index}", x)
    return x


def _convolution(config: ModelConfig, filters: int, name: str, x):
    x = keras.layers.Conv1D(filters, config.tcn_kernel, padding="same", name=name)(x)
    x = keras.layers.SpatialDropout1D(config.tcn_dropout, name=f"{name}_dropout")(x)
    return ChannelNormalizedReLU(name=f"{name}_relu")(x)


def _probabilities(scores, name: str):
    # float32 also under mixed precision, as in `av_att`.
    return keras.layers.Softmax(name=name, dtype="float32")(scores)


def _weak_outputs(config: ModelConfig, scores) -> dict:
    """Multiple-instance learning (Section 4.4): segment scores m_t, pooled into the video's probabilities."""
    # Eq. 7: m = (m_1 + ... + m_T) / T; the authors' code takes the maximum instead.
    pooling = {"max": keras.layers.GlobalMaxPooling1D, "mean": keras.layers.GlobalAveragePooling1D}
    video = pooling[config.mil_pooling](name="mil_pooling")(scores)
    return {
        "video": _probabilities(video, "video"),
        "segments": keras.layers.Activation("linear", name="segments", dtype="float32")(scores),
    }


def is_weak(model: keras.Model) -> bool:
    """Whether the model is weakly supervised: its outputs are a video's probabilities and its segments' scores."""
    return isinstance(model.output, dict)


def has_attention(model: keras.Model) -> bool:
    """Whether the model has audio-guided visual attention or visual-guided audio attention."""
    return any(layer.name in _MAPS for layer in model.layers)


def with_attention(model: keras.Model) -> keras.Model:
    """A model that shares the weights of `model` and also returns its attention maps.

    Returns:
      Model with the output `"segments"` (and a weak model's `"video"`), and those of the following maps that the
      model has: `"attention": (batch, segments, 7, 7)`, over regions of the visual map; `"audio_attention": (batch,
      segments, 6, 4)`, over times and frequencies of the audio map.

    Raises:
      ValueError: the model has no attention.
    """
    outputs = model.output if is_weak(model) else {"segments": model.output}
    maps = {layer.name: layer.output[1] for layer in model.layers if layer.name in _MAPS}
    if not maps:
        raise ValueError(f"{model.name} has no attention to show; av_att and v_att have")
    return keras.Model(model.input, {**outputs, **maps}, name=f"{model.name}_maps")


def forward_of(model: keras.Model) -> Callable:
    """Function that runs the model on one window of features: probabilities `(seconds, classes)` and, by name, the
    attention maps of `with_attention`, `(seconds, rows, columns)`; no maps for a model without attention."""
    shown = forward_graph(with_attention(model) if has_attention(model) else model)

    def forward(features):
        output = shown(features)
        named = output if isinstance(output, dict) else {"segments": output}
        maps = {name: named[name][0] for name in _MAPS if name in named}
        return probabilities(model, named["segments"])[0], maps

    return forward


def probabilities(model: keras.Model, segments: np.ndarray) -> np.ndarray:
    """A model's output for segments as probabilities; the scores of a weak model go through the softmax first."""
    return ops.convert_to_numpy(ops.softmax(segments)) if is_weak(model) else segments
