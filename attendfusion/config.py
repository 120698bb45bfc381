"""Hyperparameters of "Attend-Fusion: Efficient Audio-Visual Fusion for Video Classification" (Awan et al., 2024).

Paper     https://arxiv.org/abs/2408.14441
Command   python -m attendfusion.train --model attend_fusion --dataset youtube8m --data DIR --seeds 3
Expected  80.55 % GAP and 75.64 % F1 on YouTube-8M with 72 million parameters (Table 1, Attend-Fusion)
Cost      20 epochs; one video of two tokens is 0.25 GFLOP forward; AdamW keeps 3 x 288 MB for its 72 M parameters

There is no public code, so there is one preset, "paper"; this reconstruction is tested by the paper's parameter counts.
On synthetic clips (dataset "rendered") the sizes at the end are used instead of the published ones.
"""

import dataclasses
from typing import Literal

import tyro

from avpipeline.cli import Checked, Count, Dropout, MaybeShare, MaybeUnits, Penalty, Rate, Units
from avpipeline.errors import InputError
from avpipeline.training.own_models import OwnModels

PRESETS = ("paper",)
TOKENS = ("mean_std", "mean", "frames")
CLASSES = 4716
# The sizes of fully connected layers in the paper: "8K for the baseline models and 2K for the proposed models".
BASELINE_WIDTH, PROPOSED_WIDTH = 8000, 2048
# A head that gives each branch a classifier of its own and averages their scores.
AVERAGED = ("average",)
# The names in `models.BLOCKS`.
Block = Literal[
    "input",
    "fc",
    "fc_skip",
    "residual",
    "gated_residual",
    "add_norm_attention",
    "self_attention",
    "literal_attention",
    "attention_fc",
    "multi_head_attention",
]


@dataclasses.dataclass(frozen=True)
class ModelConfig(Checked):
    """Sizes and switches of a video classifier; the first six follow from the model's name (see `models.BLOCKS`)."""

    modalities: tyro.conf.Suppress[tuple[Literal["audio", "visual"], ...]] = ("audio", "visual")
    """The inputs."""
    early: tyro.conf.Suppress[bool] = False
    """Concatenate the modalities token by token before the first layer, instead of after their branches."""
    branch: tyro.conf.Suppress[tuple[Block, ...]] = ()
    """Blocks of each branch after its input layer."""
    cross: tyro.conf.Suppress[tuple[Block, ...]] = ()
    """Blocks after the cross attention, in each direction; no cross attention if empty."""
    head: tyro.conf.Suppress[tuple[Block | Literal["average"], ...]] = ()
    """Blocks between the concatenated branches and the classifier; "input" projects the concatenated vector to the
    width. `AVERAGED` gives each branch its own classifier instead."""
    output_gate: tyro.conf.Suppress[bool] = False
    """Multiply the probabilities by a gate (context gating)."""
    width: Units = PROPOSED_WIDTH
    """Size of the fully connected layers: 8000 in the baselines and 2048 in the proposed networks, as published."""
    attention_units: MaybeUnits = None
    """Size of queries, keys and values. [default: half of --width; published: 1024]"""
    dropout: Dropout = 0.4
    """Dropout rate after every hidden fully connected layer."""
    tokens: Literal[TOKENS] | None = None
    """What attention attends to: a video's mean and standard deviation as two tokens, its mean as a single token (then
    attention is a linear map), or its frames. [default: mean and standard deviation, or the mean where video-level
    files hold nothing else]"""
    num_classes: tyro.conf.Suppress[Count] = CLASSES
    """Number of labels; this and the widths below follow from the dataset."""
    audio_channels: tyro.conf.Suppress[Units] = 128
    visual_channels: tyro.conf.Suppress[Units] = 1024

    @property
    def inner(self) -> int:
        """Size of queries, keys and values."""
        return self.attention_units or max(1, self.width // 2)

    def check_together(self) -> None:
        if not self.modalities or len(set(self.modalities)) < len(self.modalities):
            raise InputError(f"--modalities {self.modalities}: must be audio, visual or both, each once.")
        if "average" in self.head and self.head != AVERAGED:
            raise InputError(f"--head {self.head}: averaging leaves no place for other blocks; give average alone.")


@dataclasses.dataclass(frozen=True)
class TrainConfig(Checked):
    """Training hyperparameters. The paper gives the first two; the others are this package's assumptions."""

    learning_rate: Rate = 1e-4
    """AdamW's learning rate."""
    epochs: Count = 20
    """Number of epochs."""
    weight_decay: Penalty = 0.01
    """AdamW's weight decay on all parameters, biases included: torch's default; the paper does not mention it."""
    epsilon: Rate = 1e-8
    """AdamW's epsilon, torch's default."""
    batch_size: Count = 512
    """Videos in a batch; the last partial batch of an epoch is dropped."""
    shuffle: bool = True
    """Shuffle the videos before every epoch."""
    validate_every: Count = 1
    """Epochs between validations; the weights with the best validation GAP are kept."""
    f1_threshold: MaybeShare = None
    """Probability from which a label counts as predicted in the F1 score. [default: the one with the best F1 on
    validation]"""


# Baselines: Section 3.1 and Figure 2. Proposed: Section 3.2 and Figure 3. The blocks are in `models.BLOCKS`.
_BASELINE = {"width": BASELINE_WIDTH}
_ATTENTION = ("add_norm_attention",)
_STAGE = (*_ATTENTION, "fc")
_SKIP_STAGE = (*_ATTENTION, "fc_skip")

# Model -> its configuration.
_CONFIGURATIONS = {
    "fc_audio": {**_BASELINE, "modalities": ("audio",), "branch": ("fc",)},
    "fc_visual": {**_BASELINE, "modalities": ("visual",), "branch": ("fc",)},
    "fc_early": {**_BASELINE, "early": True, "branch": ("fc",)},
    "fc_late": {**_BASELINE, "branch": ("fc", "fc")},
    "fcrn_early": {**_BASELINE, "early": True, "branch": ("residual",)},
    "fcrn_late": {**_BASELINE, "branch": ("residual",)},
    "fcrgn_early": {**_BASELINE, "early": True, "branch": ("gated_residual",)},
    "fcrgn_late": {**_BASELINE, "branch": ("gated_residual",), "output_gate": True},
    "fc_attention": {"branch": _STAGE, "head": ("input", "fc")},
    "residual_attention_early": {"early": True, "branch": _SKIP_STAGE * 2, "head": ("fc_skip", "fc_skip")},
    "residual_attention_late": {"branch": _SKIP_STAGE, "head": ("input", "fc_skip")},
    "attend_fusion": {"branch": _ATTENTION},
    "av_attention": {"branch": _STAGE, "cross": ("fc",), "head": ("input",)},
    "self_cross": {"branch": _STAGE, "cross": ("fc", *_STAGE), "head": ("input",)},
    "self_cross_fcrn": {"branch": _SKIP_STAGE, "cross": ("fc_skip", *_SKIP_STAGE), "head": ("input",)},
    "attend_fusion_audio": {"modalities": ("audio",), "branch": _ATTENTION},
    "attend_fusion_visual": {"modalities": ("visual",), "branch": _ATTENTION},
    "attend_fusion_no_attention": {},
}
# Row of Table 1 -> (the model that reproduces it, what it is).
_TABLE_1 = {
    "FC Audio": ("fc_audio", "fully connected, audio only"),
    "FC Visual": ("fc_visual", "fully connected, visual only"),
    "FC Early Fusion": ("fc_early", "fully connected, concatenated inputs"),
    "FC Late Fusion": ("fc_late", "fully connected, concatenated branches"),
    "FC Residual Early Fusion": ("fcrn_early", "residual, concatenated inputs"),
    "FC Residual Late Fusion": ("fcrn_late", "residual, concatenated branches"),
    "FC Residual Gated Early Fusion": ("fcrgn_early", "gated residual, concatenated inputs"),
    "FC Residual Gated Late Fusion": ("fcrgn_late", "gated residual, concatenated branches, gated output"),
    "FC Attention": ("fc_attention", "self-attention and fully connected layers, concatenated branches"),
    "Residual Attention Early Fusion": ("residual_attention_early", "self-attention with skips, concatenated inputs"),
    "Residual Attention Late Fusion": ("residual_attention_late", "self-attention with skips, concatenated branches"),
    "Attend-Fusion": ("attend_fusion", "self-attention in each branch, concatenated branches"),
    "Audio-Visual Attention Network": ("av_attention", "self-attention, then cross attention in both directions"),
    "Self and Cross Modal Attention Network": ("self_cross", "the same with self-attention after it"),
    "Self-Attended Cross-Modal FCRN Network": ("self_cross_fcrn", "the same with skips"),
}
# The same for what Table 3 takes from Attend-Fusion.
_TABLE_3 = {
    "audio only": ("attend_fusion_audio", "Attend-Fusion without frames"),
    "visual only": ("attend_fusion_visual", "Attend-Fusion without sound"),
    "no attention": ("attend_fusion_no_attention", "Attend-Fusion without attention"),
}
# The paper gives Attend-Fusion's size in millions only; these other branches round to the same size, see README.md.
DESIGNS = {
    "skipless": ("self_attention",),
    "literal": ("literal_attention",),
    "multi_head": ("multi_head_attention", "fc", "fc"),
    "attention_fc": ("attention_fc",),
}

# Model -> (what it is and which row it reproduces, its configuration); after those of rows, others of a row's size.
_SYSTEMS = {
    **{
        model: (f"{what} ({table}, {row})", _CONFIGURATIONS[model])
        for table, rows in (("Table 1", _TABLE_1), ("Table 3", _TABLE_3))
        for row, (model, what) in rows.items()
    },
    **{
        f"attend_fusion_{design}": (f"Attend-Fusion with other branches: {', '.join(branch)}", {"branch": branch})
        for design, branch in DESIGNS.items()
    },
    **{
        f"{name}_averaged": (
            f"{name} with a classifier for each branch, scores averaged",
            {**_CONFIGURATIONS[name], "head": AVERAGED},
        )
        for name in ("fc_late", "fcrn_late")
    },
}

OWN = OwnModels(_SYSTEMS, ModelConfig, PRESETS, _SYSTEMS["attend_fusion"][1])
MODELS, register_model = OWN.names, OWN.register

# The synthetic clips are few and simple: narrower layers, smaller batches, a larger learning rate.
RENDERED_MODEL = {"width": 256}
RENDERED_TRAINING = {"batch_size": 16, "learning_rate": 1e-3}

# Row of the paper, (table, row) -> the model that reproduces it.
ROWS = {
    **{("Table 1", row): model for row, (model, _) in _TABLE_1.items()},
    ("Table 2", "FC Late Fusion"): "fc_late",
    ("Table 2", "FC Late Fusion audio only"): "fc_audio",
    ("Table 2", "FC Late Fusion visual only"): "fc_visual",
    ("Table 3", "Attend-Fusion"): "attend_fusion",
    **{("Table 3", f"Attend-Fusion {row}"): model for row, (model, _) in _TABLE_3.items()},
}
TABLES = tuple(dict.fromkeys(table for table, _ in ROWS))
# Rows that are the same system in the paper, and why.
SHARED = {
    ("Table 2", "FC Late Fusion"): (("Table 1", "FC Late Fusion"), "repeated"),
    ("Table 2", "FC Late Fusion audio only"): (("Table 1", "FC Audio"), "FC Late Fusion without its visual branch"),
    ("Table 2", "FC Late Fusion visual only"): (("Table 1", "FC Visual"), "FC Late Fusion without its audio branch"),
    ("Table 3", "Attend-Fusion"): (("Table 1", "Attend-Fusion"), "repeated"),
}


def model_config(name: str, preset: str = "paper", **overrides) -> ModelConfig:
    """Configuration of one of `MODELS`. Raises ValueError for an unknown model, preset or setting."""
    OWN.require(name, preset)
    return ModelConfig().changed(**{**OWN.differences[name], **overrides})


def train_config(preset: str = "paper", name: str = "attend_fusion", **overrides) -> TrainConfig:
    """Training hyperparameters, the same for all models; ValueError for an unknown preset or setting."""
    OWN.require(name, preset)
    return TrainConfig().changed(**overrides)
