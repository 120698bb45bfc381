"""Hyperparameters of "Audio-Visual Event Localization via Recursive Fusion by Joint Co-Attention" (Duan et al., 2021).

Paper     https://arxiv.org/abs/2008.06581
Command   python -m jca.train --model jca --dataset ave --data DIR --seeds 3
Expected  76.2 % segment accuracy on AVE's test split (Table 1, JCA)
Cost      300 epochs of 53 steps; a step of 64 videos takes 1.6 s on two cores and holds 4.4 GB

Presets: "code" follows the authors' code, "paper" follows the paper where the two differ. On synthetic clips (dataset
"rendered") the sizes at the end are used instead of the published ones.
"""

import dataclasses
from typing import Literal

import tyro

from avpipeline.cli import Count, Dropout, Natural, Rate, Share, Units
from avpipeline.errors import InputError
from avpipeline.training.own_models import OwnModels
from avpipeline.training.settings import SegmentHyperparameters, SegmentNetwork

PRESETS = ("code", "paper")
CELLS = ("lstm", "gru")
FORMS = ("qkv", "affinity")
ATTENDED_BY = ("joint", "other")


@dataclasses.dataclass(frozen=True)
class ModelConfig(SegmentNetwork):
    """Sizes and switches of a segment classifier. Those of `SegmentNetwork` follow from the dataset."""

    system: tyro.conf.Suppress[Literal["jca", "avsdn", "dam"]] = "jca"
    """The paper's network, or one of the two it is compared with; this and the switches below follow from the model's
    name."""
    unimodal_rnn: tyro.conf.Suppress[bool] = True
    """Recurrent layers in the re-representation of each modality."""
    joint_rnn: tyro.conf.Suppress[bool] = True
    """Recurrent layers before the classifier."""
    residual_embedding: tyro.conf.Suppress[bool] = True
    """Concatenate the recurrent layers' input with their output."""
    cell: tyro.conf.Suppress[Literal[CELLS]] = "lstm"
    """Type of the recurrent layers of each modality; those before the classifier are LSTMs."""
    visual: tyro.conf.Suppress[Literal["attention", "average", "max"]] = "attention"
    """How the regions of a frame are pooled: by audio-guided attention, or their mean or maximum."""
    attended_by: Literal[(*ATTENDED_BY, "dense")] = "joint"
    """What attends to a modality: both modalities (joint co-attention), the other one in the same form, or the other
    one by dense co-attention (Nguyen & Okatani 2018)."""
    co_attention: Literal[FORMS] = "qkv"
    """Form of the co-attention: queries, keys and values (the code) or affinity matrices (the paper)."""
    recursions: Natural = 4
    """Number of consecutive co-attention layers, each with its own weights."""
    video_size: Units = 512
    """Channels of the visual representation and of the joint one; even."""
    audio_size: Units = 512
    """Channels of the audio representation; even."""
    num_layers: Count = 2
    """Number of bidirectional recurrent layers in each re-representation."""
    affinity_units: Units = 32
    """Rows k of the attention maps in the paper's form."""
    dense_heads: Count = 4
    """Dense co-attention: number of affinities."""
    dense_memory: Natural = 3
    """Dense co-attention: learned memory rows of each modality, which a second attends to if nothing else fits."""
    recurrent_dropout: Dropout = 0.1
    """Dropout rate between the recurrent layers of each modality and before the layer that follows them."""
    dropout: Dropout = 0.3
    """Dropout rate on the co-attention's scores, on each co-attention's output, and in the classifier."""

    def check_together(self) -> None:
        for name, size in (("--video-size", self.video_size), ("--audio-size", self.audio_size)):
            if size % 2:
                raise InputError(f"{name} {size}: must be even, since two directions share it.")
        if self.attended_by == "dense" and min(self.video_size, self.audio_size) % self.dense_heads:
            raise InputError(
                f"--dense-heads {self.dense_heads}: must divide the channels; change it or --video-size, --audio-size."
            )


@dataclasses.dataclass(frozen=True)
class TrainConfig(SegmentHyperparameters):
    """Training hyperparameters. Those without a line here have the values of `SegmentHyperparameters`."""

    learning_rate: Rate = 1e-4
    """Adam's learning rate at the start."""
    plateau_factor: Share = 0.5
    """Factor applied to the learning rate when the training loss has stopped falling."""
    plateau_patience: Natural = 10
    """Number of epochs without a lower training loss before the learning rate is reduced."""
    plateau_threshold: Share = 1e-4
    """Relative decrease from which a training loss counts as lower than the lowest so far."""
    batch_size: Count = 64
    partial_batches: bool = True
    epochs: Count = 300

    def check_together(self) -> None:
        if self.plateau_factor in (0, 1):
            raise InputError(
                f"--plateau-factor {self.plateau_factor}: must lower the learning rate; give a factor between 0 and 1."
            )


# Model -> (what it is and which row it reproduces, its differences from JCA).
_SYSTEMS = {
    "jca": ("recursive joint co-attention (Table 1)", {}),
    "avsdn": ("dual sequence-to-sequence network of Lin et al. 2019 (Table 1)", {"system": "avsdn"}),
    "dam": ("dual attention matching of Wu et al. 2019 (Table 1)", {"system": "dam"}),
    "no_unimodal_lstm": ("JCA without LSTMs in each modality (Table 2)", {"unimodal_rnn": False}),
    "no_joint_lstm": ("JCA without LSTMs before the classifier (Table 2)", {"joint_rnn": False}),
    "no_residual": ("JCA without residual embedding of the LSTMs (Table 2)", {"residual_embedding": False}),
    "gru": ("JCA with GRUs instead of LSTMs in each modality (Table 2)", {"cell": "gru"}),
    "average_pooling": ("JCA with the mean over regions instead of attention (Table 2)", {"visual": "average"}),
    "max_pooling": ("JCA with the maximum over regions instead of attention (Table 2)", {"visual": "max"}),
    "co_attention": ("JCA with dense co-attention of Nguyen & Okatani 2018 (Table 2)", {"attended_by": "dense"}),
}

OWN = OwnModels(_SYSTEMS, ModelConfig, PRESETS)
MODELS, register_model = OWN.names, OWN.register

_PAPER_MODEL = {"co_attention": "affinity"}
# DAM's category and relevance losses add up to the cross-entropy of the segments' probabilities.
_OWN_TRAINING = {"dam": {"loss": "cross_entropy"}}

# The synthetic clips are few and simple: narrower layers, smaller batches, fewer epochs, a larger learning rate.
RENDERED_MODEL = {"video_size": 128, "audio_size": 128}
RENDERED_TRAINING = {"batch_size": 16, "epochs": 40, "learning_rate": 1e-3}

# Row of the paper, (table, row) -> the model that reproduces it.
ROWS = {
    ("Table 1", "AVSDN"): "avsdn",
    ("Table 1", "DAM"): "dam",
    ("Table 1", "JCA"): "jca",
    ("Table 2", "w/o Uni-modal Bi-LSTM"): "no_unimodal_lstm",
    ("Table 2", "w/o Joint Bi-LSTM"): "no_joint_lstm",
    ("Table 2", "w/o Residual Embedding"): "no_residual",
    ("Table 2", "w/ GRU"): "gru",
    ("Table 2", "w/ Average Pooling"): "average_pooling",
    ("Table 2", "w/ Max Pooling"): "max_pooling",
    ("Table 2", "w/ Co-Attention"): "co_attention",
    ("Table 2", "w/ Joint Co-Attention"): "jca",
}
# Baselines that are models of the AVE paper: `ave.MODELS`, trained with that paper's recipe.
AVE_ROWS = {
    ("Table 1", "Audio_Only"): "a",
    ("Table 1", "Visual_Only"): "v",
    ("Table 1", "ED-TCN"): "ed_tcn",
    ("Table 1", "Audio-Visual"): "av",
    ("Table 1", "Full-Audio-Visual"): "av_att",
}

# Rows that are the same system in the paper, and why; every other row has a configuration of its own.
SHARED = {("Table 2", "w/ Joint Co-Attention"): (("Table 1", "JCA"), "the full model")}

TABLES = tuple(dict.fromkeys(table for table, _ in ROWS))


def model_config(name: str, preset: str = "code", **overrides) -> ModelConfig:
    """Configuration of one of `MODELS` under a preset. Raises ValueError for an unknown model, preset or setting."""
    OWN.require(name, preset)
    paper = _PAPER_MODEL if preset == "paper" else {}
    return ModelConfig().changed(**{**OWN.differences[name], **paper, **overrides})


def train_config(preset: str = "code", name: str = "jca", **overrides) -> TrainConfig:
    """Training hyperparameters of one of `MODELS` under a preset; raises as `model_config` does."""
    OWN.require(name, preset)
    return TrainConfig().changed(**{**_OWN_TRAINING.get(name, {}), **overrides})
