"""The networks of the paper, and others of their size: Attend-Fusion written out, then one builder for all."""

from functools import partial

import keras

from attendfusion.config import AVERAGED, OWN, ModelConfig, model_config
from attendfusion.layers import (
    Attention,
    FullyConnected,
    GatedResidualBlock,
    GatedScores,
    RealFrames,
    ResidualBlock,
    TokenMean,
)
from avpipeline.nn.dense import linear

# "three ATT" of the parameter counts; see README.md.
SELF_ATTENTION_BLOCKS = 3
# Heads of the variant with multi-head attention, as in Vaswani et al. 2017; the paper states no number.
HEADS = 8
NUM_FRAMES = "num_frames"


def attend_fusion(config: ModelConfig, name: str = "attend_fusion") -> keras.Model:
    """Attend-Fusion (Section 3.2.3, Fig. 3d); shapes in the comments are the published ones, without the batch."""
    # A video's tokens: the mean and the standard deviation of its frames' features, (2, 128) and (2, 1024).
    # With tokens="frames" the tokens are the frames themselves, padded, and `real` masks the padding; else it is None.
    inputs, real = _inputs(config)

    means = []
    for modality in ("audio", "visual"):
        # A fully connected layer on each token: (2, 2048) for both modalities.
        x = FullyConnected(config.width, config.dropout, name=f"{modality}_0_input")(inputs[modality])
        # Eq. 4, Eq. 5: a modality's tokens attend to each other, three times in a row, with "Add & Norm" after each.
        for index in range(SELF_ATTENTION_BLOCKS):
            x = Attention(config.inner, skip=True, name=f"{modality}_1_add_norm_attention_{index}")(x, x, real)
        means.append(TokenMean(name=f"{modality}_mean")(x, real))
    # Late fusion: the mean over each modality's tokens, concatenated, (4096,).
    joined = keras.layers.Concatenate(name="joined_concat")(means)

    # One probability for each label, (4716,), float32 also under mixed precision. Training uses the scores, which Keras
    # remembers with their sigmoid.
    scores = linear(config.num_classes, joined.shape[-1], name="classifier")(joined)
    labels = keras.layers.Activation("sigmoid", name="labels", dtype="float32")(scores)
    return keras.Model(inputs, labels, name=name)


def build_model(name: str = "attend_fusion", preset: str = "paper", **overrides) -> keras.Model:
    """One of `attendfusion.MODELS`, freshly initialised.

    Args:
      name: key of `attendfusion.MODELS`.
      preset: "paper".
      **overrides: fields of `attendfusion.ModelConfig`, e.g. `width=64`, `num_classes=3862`, `tokens="frames"`.

    Returns:
      Functional model. Inputs, as far as the model uses them: `{"audio": (batch, tokens, 128), "visual": (batch,
      tokens, 1024)}`, and with `tokens="frames"` also `"num_frames": (batch,)`, each video's number of frames in the
      padded batch. Output: probability of each label, `(batch, classes)`.

    Raises:
      ValueError: unknown model, preset or setting.
    """
    return video_classifier(model_config(name, preset, **overrides), name=name)


def video_classifier(config: ModelConfig, name: str) -> keras.Model:
    """The network of a configuration: Attend-Fusion, or one assembled from the configuration's blocks."""
    headline = model_config("attend_fusion")
    is_headline = all(getattr(config, part) == getattr(headline, part) for part in _STRUCTURE)
    return OWN.built(name, config, attend_fusion if is_headline else network_of_blocks)


# The settings that decide which layers a network has.
_STRUCTURE = ("modalities", "early", "branch", "cross", "head", "output_gate")
# Tokens of a video, None for as many as it has frames; without a choice mean and standard deviation.
_TOKENS = {None: 2, "mean_std": 2, "mean": 1, "frames": None}


def network_of_blocks(config: ModelConfig, name: str) -> keras.Model:
    """Branches, each an input layer and blocks; cross-modal attention; concatenated token means; the classifier."""
    inputs, real = _inputs(config)
    tokens = {modality: inputs[modality] for modality in config.modalities}
    if config.early:
        # The channels of corresponding tokens are concatenated.
        tokens = {"early": _joined(list(tokens.values()), "early")}
    branches = {branch: _blocks(config, ("input", *config.branch), branch, x, real) for branch, x in tokens.items()}
    if config.cross:
        branches |= _cross_modal(config, branches, real)
    means = {branch: TokenMean(name=f"{branch}_mean")(tokens, real) for branch, tokens in branches.items()}
    if config.head == AVERAGED:
        scores = keras.layers.Average(name="scores")(
            [_scores(config, x, f"{branch}_classifier") for branch, x in means.items()]
        )
    else:
        x = _blocks(config, config.head, "head", _joined(list(means.values()), "joined"), None)
        scores = _scores(config, x, "classifier")
        if config.output_gate:
            gate = _scores(config, x, "output_gate")
            scores = GatedScores(name="gated_scores", dtype="float32")(scores, gate)
    labels = keras.layers.Activation("sigmoid", name="labels", dtype="float32")(scores)
    return keras.Model(inputs, labels, name=name)


def _inputs(config: ModelConfig) -> tuple[dict, keras.KerasTensor | None]:
    """The inputs; and which frames of a padded batch are real, `(batch, frames)`, None without padding."""
    channels = {"audio": config.audio_channels, "visual": config.visual_channels}
    inputs = {
        modality: keras.Input((_TOKENS[config.tokens], channels[modality]), name=modality)
        for modality in config.modalities
    }
    if config.tokens != "frames":
        return inputs, None
    inputs[NUM_FRAMES] = keras.Input((), dtype="int32", name=NUM_FRAMES)
    return inputs, RealFrames(name="real_frames")(inputs[config.modalities[0]], inputs[NUM_FRAMES])


def _joined(tensors: list, name: str):
    return tensors[0] if len(tensors) == 1 else keras.layers.Concatenate(name=f"{name}_concat")(tensors)


def _cross_modal(config: ModelConfig, branches: dict, real) -> dict:
    """Cross-modal attention in both directions, each followed by its blocks."""
    attended = {}
    # Eq. 6, Eq. 7: X_v|a, the queries are audio; Eq. 8, Eq. 9: X_a|v, the queries are visual.
    for queries, context in (("audio", "visual"), ("visual", "audio")):
        name = f"{context}_given_{queries}"
        x = Attention(config.inner, name=f"{name}_attention")(branches[queries], branches[context], real)
        attended[name] = _blocks(config, config.cross, name, x, real)
    return attended


def _blocks(config: ModelConfig, names: tuple[str, ...], prefix: str, x, real):
    for index, name in enumerate(names):
        x = BLOCKS[name](config, f"{prefix}_{index}_{name}", x, real)
    return x


def _fully_connected(config: ModelConfig, name: str, x, real):
    return FullyConnected(config.width, config.dropout, name=name)(x)


def _residual(config: ModelConfig, name: str, x, real, depth: int):
    return ResidualBlock(depth, config.dropout, name=name)(x)  # Eq. 1


def _gated_residual(config: ModelConfig, name: str, x, real):
    return GatedResidualBlock(config.dropout, name=name)(x)  # Eq. 2, Eq. 3


def _self_attention(config: ModelConfig, name: str, x, real, skip: bool = False):
    for index in range(SELF_ATTENTION_BLOCKS):
        x = Attention(config.inner, skip=skip, name=f"{name}_{index}")(x, x, real)  # Eq. 4, Eq. 5
    return x


def _literal_attention(config: ModelConfig, name: str, x, real):
    for index in range(2):
        bare = {"project": False, "norm": False, "use_bias": False}
        x = Attention(config.width, name=f"{name}_{index}", **bare)(x, x, real)
    return x


def _attention_fc(config: ModelConfig, name: str, x, real):
    for index in range(SELF_ATTENTION_BLOCKS):
        x = Attention(config.inner, project=False, norm=False, name=f"{name}_{index}")(x, x, real)
        x = _fully_connected(config, f"{name}_{index}_fc", x, real)
    return x


def _multi_head_attention(config: ModelConfig, name: str, x, real):
    attention = keras.layers.MultiHeadAttention(HEADS, config.width // HEADS, name=name)
    return attention(x, x, attention_mask=None if real is None else keras.ops.expand_dims(real, 1))


# Name in a configuration -> function of (configuration, layer name, input, real frames or None).
BLOCKS = {
    "input": _fully_connected,  # from any width to the model's
    "fc": _fully_connected,
    "fc_skip": partial(_residual, depth=1),  # the same with an identity skip
    "residual": partial(_residual, depth=2),  # FCRN's block
    "gated_residual": _gated_residual,  # FCRGN's block
    "add_norm_attention": partial(_self_attention, skip=True),  # three attentions, one after the other
    "self_attention": _self_attention,  # the same without skips
    "literal_attention": _literal_attention,  # Eq. 4 and Eq. 5 twice, as wide as the layers, and nothing else
    "attention_fc": _attention_fc,  # three times Eq. 4 and Eq. 5, each with a fully connected layer after it
    "multi_head_attention": _multi_head_attention,  # once, as wide as the layers
}


def _scores(config: ModelConfig, x, name: str):
    """A score for each label, whose sigmoid is the probability."""
    return linear(config.num_classes, x.shape[-1], name=name)(x)
