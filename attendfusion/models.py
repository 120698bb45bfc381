"""The eighteen networks of the paper: one builder, and the blocks that their configurations name."""

from collections.abc import Callable

import keras

from attendfusion.config import ModelConfig, model_config
from attendfusion.layers import (
    Attention,
    FullyConnected,
    GatedResidualBlock,
    RealFrames,
    ResidualBlock,
    TokenMean,
)
from avpipeline.nn.dense import linear

# "three ATT" of the parameter counts; see README.md.
SELF_ATTENTION_BLOCKS = 3
# Tokens of a video; None: as many as it has frames.
_TOKENS = {"mean_std": 2, "mean": 1, "frames": None}
NUM_FRAMES = "num_frames"


def build_model(name: str = "attend_fusion", preset: str = "paper", **overrides) -> keras.Model:
    """One of `attendfusion.MODELS`, freshly initialised.

    Args:
      name: key of `attendfusion.MODELS`.
      preset: "paper".
      **overrides: fields of `attendfusion.ModelConfig`, e.g. `width=64`, `num_classes=3862`, `tokens="frames"`.

    Returns:
      Functional model. Inputs, as far as the model uses them: `{"audio": (batch, tokens, 128), "visual": (batch,
      tokens, 1024)}`, and with `tokens="frames"` also `"num_frames": (batch,)`, the frames that each video has of
      those in the padded batch. Output: probability of each label, `(batch, classes)`.

    Raises:
      ValueError: unknown model, preset or setting.
    """
    return video_classifier(model_config(name, preset, **overrides), name=name)


def video_classifier(config: ModelConfig, name: str) -> keras.Model:
    """Branches, each an input layer and blocks; cross attention between them; the joined means; the classifier."""
    inputs = _inputs(config)
    real = None
    if config.tokens == "frames":
        real = RealFrames(name="real_frames")(inputs[config.modalities[0]], inputs[NUM_FRAMES])
    branches = {
        branch: _blocks(config, ("input", *config.branch), branch, tokens, real)
        for branch, tokens in _branch_inputs(config, inputs).items()
    }
    if config.cross:
        branches |= _cross_modal(config, branches, real)
    x = _joined([TokenMean(name=f"{branch}_mean")(tokens, real) for branch, tokens in branches.items()], "joined")
    x = _blocks(config, config.head, "head", x, None)
    return keras.Model(inputs, _probabilities(config, x), name=name)


def _inputs(config: ModelConfig) -> dict:
    channels = {"audio": config.audio_channels, "visual": config.visual_channels}
    inputs = {
        modality: keras.Input((_TOKENS[config.tokens], channels[modality]), name=modality)
        for modality in config.modalities
    }
    if config.tokens == "frames":
        inputs[NUM_FRAMES] = keras.Input((), dtype="int32", name=NUM_FRAMES)
    return inputs


def _branch_inputs(config: ModelConfig, inputs: dict) -> dict:
    """Branch -> its tokens; early fusion joins the channels of tokens that belong together."""
    if config.early:
        return {"early": _joined([inputs[modality] for modality in config.modalities], "early")}
    return {modality: inputs[modality] for modality in config.modalities}


def _joined(tensors: list, name: str):
    return tensors[0] if len(tensors) == 1 else keras.layers.Concatenate(name=f"{name}_concat")(tensors)


def _cross_modal(config: ModelConfig, branches: dict, real) -> dict:
    """Eq. 6-9: X_v|a, where audio asks the pictures, and X_a|v, where the pictures ask audio; blocks after each."""
    asking = {"visual_given_audio": ("audio", "visual"), "audio_given_visual": ("visual", "audio")}
    attended = {}
    for name, (asks, answers) in asking.items():
        attention = Attention(config.inner, name=f"{name}_attention")
        x = attention(branches[asks], branches[answers], real)
        attended[name] = _blocks(config, config.cross, name, x, real)
    return attended


def _blocks(config: ModelConfig, names: tuple[str, ...], prefix: str, x, real):
    for index, name in enumerate(names):
        x = BLOCKS[name](config, f"{prefix}_{index}_{name}", x, real)
    return x


def _fully_connected(config: ModelConfig, name: str, x, real):
    return FullyConnected(config.width, config.dropout, name=name)(x)


def _residual(depth: int) -> Callable:
    def block(config: ModelConfig, name: str, x, real):
        return ResidualBlock(depth, config.dropout, name=name)(x)

    return block


def _gated_residual(config: ModelConfig, name: str, x, real):
    return GatedResidualBlock(config.dropout, name=name)(x)


def _self_attention(config: ModelConfig, name: str, x, real):
    for index in range(SELF_ATTENTION_BLOCKS):
        x = Attention(config.inner, name=f"{name}_{index}")(x, x, real)
    return x


# Name in a configuration -> function of (configuration, layer name, input, real frames or None).
BLOCKS = {
    "input": _fully_connected,  # from any width to the model's
    "fc": _fully_connected,
    "fc_skip": _residual(1),  # the same with an identity skip
    "residual": _residual(2),  # FCRN's block
    "gated_residual": _gated_residual,  # FCRGN's block
    "self_attention": _self_attention,  # three attentions, one after the other
}


def _probabilities(config: ModelConfig, x):
    """Probabilities, float32 also under mixed precision: the loss needs the small ones."""
    scores = linear(config.num_classes, x.shape[-1], name="classifier")(x)
    probabilities = keras.layers.Activation("sigmoid", name="labels", dtype="float32")(scores)
    if not config.output_gate:
        return probabilities
    gate = linear(config.num_classes, x.shape[-1], name="output_gate")(x)
    gate = keras.layers.Activation("sigmoid", name="output_gate_sigmoid", dtype="float32")(gate)
    return keras.layers.Multiply(name="gated_labels", dtype="float32")([probabilities, gate])
