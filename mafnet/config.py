"""Hyperparameters of "Multi-level Attention Fusion Network for Audio-visual Event Recognition" (Brousmiche et al.).

Paper     https://arxiv.org/abs/2106.06736
Command   python -m mafnet.train --model mafnet --dataset ave --data DIR --seeds 3
Expected  90.86 % video accuracy on AVE's test split (Table 1, MAFnet)
Cost      up to 300 epochs of 104 steps; one step of 32 videos is 470 GFLOP, nearly all of it the 3x3 convolution;
          every epoch reads 6.8 GB of features

Presets: "code" follows the authors' code, "paper" follows the paper where the two differ. On synthetic clips (dataset
"rendered") the sizes at the end are used instead of the published ones.
"""

import dataclasses
from typing import Literal

import tyro

from avpipeline.cli import Checked, Count, Dropout, MaybeCount, Rate, Seed, Share, Units
from avpipeline.datasets.mafnet_pickles import CLASS_NAMES
from avpipeline.errors import InputError
from avpipeline.training.own_models import OwnModels
from avpipeline.training.settings import Hyperparameters

PRESETS = ("code", "paper")
MODALITIES = ("visual", "audio")
# The updates of the authors' code, one of which is drawn for each training step, in the order of their Adam moments.
UPDATES = ("image", "all", "sound")

_BLOCKS = Literal["none", "residual", "film"]


@dataclasses.dataclass(frozen=True)
class ModelConfig(Checked):
    """Sizes and switches of a video classifier."""

    system: tyro.conf.Suppress[Literal["mafnet", "attention_cluster", "dmrn"]] = "mafnet"
    """MAFnet and its ablations, or one of the systems it is compared with; this and the five switches below follow
    from the model's name."""
    modalities: tyro.conf.Suppress[tuple[str, ...]] = MODALITIES
    """The model's inputs."""
    visual_block: tyro.conf.Suppress[_BLOCKS] = "none"
    """Residual block of the visual path: none, plain, or conditioned on the audio features (FiLM)."""
    audio_block: tyro.conf.Suppress[_BLOCKS] = "film"
    """Residual block of the audio path: none, plain, or conditioned on the visual features (FiLM)."""
    attention: tyro.conf.Suppress[Literal["modality_temporal", "temporal", "modality", "none"]] = "modality_temporal"
    """What the attention weights: clips and modalities jointly, only one of them, or nothing."""
    fusion: tyro.conf.Suppress[Literal["concatenation", "addition", "mcb", "dmr"]] = "concatenation"
    """How the features of the two modalities are fused."""
    temporal_scorer: Literal["separate", "shared"] = "separate"
    """Temporal attention: each modality has weights of its own, or both share them."""
    mcb_normalized: bool = True
    """Compact bilinear pooling ends with signed square roots and unit length, as in its own paper."""
    attention_score: Literal["hidden", "relu"] = "hidden"
    """Attention score of a clip: a hidden ReLU layer, then a linear one (the code), or ReLU(W x + b) (the paper)."""
    film_scale: Literal["one_plus", "plain"] = "one_plus"
    """FiLM multiplies by 1 + f(x) (the code) or by f(x) (the paper)."""
    logits_norm: bool = True
    """Batch normalization of the logits (the code)."""
    units: Units = 512
    """Size of the hidden dense layers."""
    filters: Units = 512
    """Filters of the residual blocks."""
    norm_decay: Share = 0.999
    """Decay of the moving averages in batch normalization."""
    mcb_channels: Units = 8192
    """Size of the compact bilinear feature."""
    mcb_seed: Seed = 0
    """Seed of the two count sketches."""
    cluster_units: Units = 64
    """Attention units per modality in an attention cluster."""
    cluster_dropout: Dropout = 0.5
    """Dropout rate on the attention clusters."""
    dmrn_attention_units: Units = 512
    """DMRN: size of the attention's dense layers."""
    dmrn_lstm_units: Units = 128
    """DMRN: size of each LSTM in each direction."""
    num_classes: tyro.conf.Suppress[Count] = len(CLASS_NAMES)
    """Number of classes; this and the shapes below follow from the dataset."""
    num_segments: tyro.conf.Suppress[Count] = 10
    visual_shape: tyro.conf.Suppress[tuple[Units, ...]] = (1920,)
    """Visual feature of a clip: a vector, or a map that the model averages."""
    audio_shape: tyro.conf.Suppress[tuple[Units, ...]] = (12, 8, 512)
    """Audio feature of a clip: a map, or a vector for DMRN."""


@dataclasses.dataclass(frozen=True)
class TrainConfig(Hyperparameters):
    """Training hyperparameters. Those without a line here have the values of `Hyperparameters`."""

    loss: Literal["cross_entropy", "soft_margin"] = "cross_entropy"
    """Cross-entropy, or multi-label soft margin on the softmax output (DMRN)."""
    learning_rate: Rate = 1e-4
    decay_steps: MaybeCount = None
    """Number of steps after which the learning rate is divided by 10 (DMRN); None: never."""
    prob_image: Share = 0.0
    """Share of steps that do not update the audio path's own variables."""
    prob_all: Share = 0.9
    """Share of steps that update everything; the rest, the dropping rate of Figure 6, do not update the visual path."""
    left_out: Literal["accident", "path"] = "accident"
    """What is not updated: all of a path but its hidden dense layer, by an accident of names (the code), or all of it
    (the paper)."""
    update_sequence: tuple[Literal[UPDATES], ...] | None = None
    """A fixed sequence of updates, repeated, instead of random draws."""
    batch_size: Count = 32
    epochs: Count = 300
    """Maximum number of epochs."""
    first_validation: MaybeCount = None
    """Epoch of the first validation; None: after --validate-every."""
    patience: MaybeCount = 51
    """Epochs without a better validation accuracy after which training stops; None: never."""
    min_improvement: Share = 1e-4
    """Improvement from which a validation accuracy counts as better."""

    def check_together(self) -> None:
        shares = self.prob_image, self.prob_all
        if sum(shares) > 1:
            raise InputError(
                f"--prob-image {shares[0]} and --prob-all {shares[1]}: are not shares of the steps; give numbers from "
                "0 to 1 whose sum is at most 1."
            )


_NO_FILM = {"audio_block": "none"}
_TEMPORAL = {**_NO_FILM, "attention": "temporal"}
# A residual block convolves a map; it treats the vectors in the authors' files as maps with one region.
_VISUAL_MAP = {"visual_shape": (7, 7, 1920)}
# The models of other papers, "trained based on code available online" (Table 1): the training of that code.
_OWN_TRAINING = {
    # AVE's DMRN: 300 epochs, validated after epochs 1, 6, ..., 296.
    "dmrn": {
        "loss": "soft_margin",
        "learning_rate": 1e-3,
        "decay_steps": 15_000,
        "batch_size": 64,
        "shuffle": False,
        "validate_every": 5,
        "first_validation": 1,
        "patience": None,
        "min_improvement": 0.0,
    },
    # https://github.com/longxiang92/Flash-MNIST
    "attention_cluster": {
        "learning_rate": 1e-3,
        "batch_size": 64,
        "partial_batches": True,
        "epochs": 100,
        "patience": None,
        "min_improvement": 0.0,
    },
}

# Model -> (what it is and which row it reproduces, its differences from MAFnet).
_SYSTEMS = {
    "mafnet": ("the network of the paper, FiLM in the audio path (Table 1, MAFnet)", {}),
    "attention_cluster": (
        "attention units with the shifting operation, separate for each modality (Table 1, Attention Cluster)",
        {"system": "attention_cluster"},
    ),
    "dmrn": (
        "AVE's DMRN with one output for the video, DenseNet(V)+VGGish(A) (Table 1, DMRN, our feat.)",
        {**_VISUAL_MAP, "system": "dmrn"},
    ),
    "dmrn_vgg": (
        "the same on VGG19(V)+VGGish-PCA(A), AVE's released features (Table 1, DMRN, their feat.)",
        {"system": "dmrn", "visual_shape": (7, 7, 512), "audio_shape": (128,)},
    ),
    "visual": ("visual only, temporal attention (Table 2)", {**_TEMPORAL, "modalities": ("visual",)}),
    "audio": ("audio only, temporal attention (Table 2)", {**_TEMPORAL, "modalities": ("audio",)}),
    "addition": ("no FiLM, modalities added (Table 2)", {**_NO_FILM, "fusion": "addition"}),
    "concatenation": ("no FiLM, modalities concatenated (Table 2)", _NO_FILM),
    "mcb": ("no FiLM, compact bilinear pooling of the modalities (Table 2)", {**_NO_FILM, "fusion": "mcb"}),
    "dmr": ("no FiLM, dual multimodal residual fusion (Table 2)", {**_NO_FILM, "fusion": "dmr"}),
    "no_attention": ("no FiLM, means over time (Table 3)", {**_NO_FILM, "attention": "none"}),
    "temporal": ("no FiLM, temporal attention (Table 3)", _TEMPORAL),
    "modality": ("no FiLM, modality attention (Table 3)", {**_NO_FILM, "attention": "modality"}),
    "residual_both": (
        "residual blocks without FiLM in both paths (Table 4)",
        {**_VISUAL_MAP, "visual_block": "residual", "audio_block": "residual"},
    ),
    "film_both": ("FiLM in both paths (Table 4)", {**_VISUAL_MAP, "visual_block": "film"}),
    "film_visual": ("FiLM in the visual path (Table 4)", {**_VISUAL_MAP, **_NO_FILM, "visual_block": "film"}),
}

OWN = OwnModels(_SYSTEMS, ModelConfig, PRESETS)
MODELS, register_model = OWN.names, OWN.register

_PAPER_MODEL = {"visual_shape": (7, 7, 1920), "attention_score": "relu", "film_scale": "plain", "logits_norm": False}
_PAPER_TRAINING = {"learning_rate": 1e-3, "left_out": "path", "patience": 50}

# The synthetic clips are few and simple: narrower layers, smaller batches, fewer epochs, faster moving averages.
RENDERED_MODEL = {
    "units": 64,
    "filters": 64,
    "norm_decay": 0.9,
    "mcb_channels": 512,
    "cluster_units": 8,
    "dmrn_attention_units": 128,
    "dmrn_lstm_units": 64,
}
RENDERED_TRAINING = {"learning_rate": 1e-3, "batch_size": 16, "epochs": 60}

# Row of the paper, (table, row) -> the model that reproduces it.
ROWS = {
    ("Table 1", "Attention Cluster"): "attention_cluster",
    ("Table 1", "DMRN (our feat.)"): "dmrn",
    ("Table 1", "DMRN (their feat.)"): "dmrn_vgg",
    ("Table 1", "MAFnet"): "mafnet",
    ("Table 2", "visual"): "visual",
    ("Table 2", "audio"): "audio",
    ("Table 2", "addition"): "addition",
    ("Table 2", "concatenation"): "concatenation",
    ("Table 2", "MCB"): "mcb",
    ("Table 2", "DMR"): "dmr",
    ("Table 3", "without attention"): "no_attention",
    ("Table 3", "temporal attention"): "temporal",
    ("Table 3", "modality attention"): "modality",
    ("Table 3", "modality & temporal attention"): "concatenation",
    ("Table 4", "residual block without FiLM in both paths"): "residual_both",
    ("Table 4", "FiLM in both paths"): "film_both",
    ("Table 4", "FiLM in audio path"): "mafnet",
    ("Table 4", "FiLM in visual path"): "film_visual",
}
TABLES = tuple(dict.fromkeys(table for table, _ in ROWS))
# Networks trained end to end on video, which the paper quotes for comparison; nothing here reproduces them.
EXTERNAL = "Table 1 (external end-to-end)"

# Rows that are the same system in the paper, and why; every other row has a configuration of its own.
SHARED = {
    ("Table 3", "modality & temporal attention"): (
        ("Table 2", "concatenation"),
        "Table 2's networks have this attention",
    ),
    ("Table 4", "FiLM in audio path"): (("Table 1", "MAFnet"), "that is where MAFnet has FiLM"),
}

# The names of the datasets in the published tables.
DATASET_NAMES = {"ave": "AVE", "ucf51": "UCF51", "kinetics_sounds": "Kinetics-Sounds"}


def model_config(name: str, preset: str = "code", **overrides) -> ModelConfig:
    """Configuration of one of `MODELS` under a preset. Raises ValueError for an unknown model, preset or setting."""
    OWN.require(name, preset)
    paper = _PAPER_MODEL if preset == "paper" else {}
    return ModelConfig().changed(**{**paper, **OWN.differences[name], **overrides})


def train_config(preset: str = "code", name: str = "mafnet", **overrides) -> TrainConfig:
    """Training hyperparameters of one of `MODELS` under a preset; raises as `model_config` does."""
    OWN.require(name, preset)
    paper = _PAPER_TRAINING if preset == "paper" else {}
    own = _OWN_TRAINING.get(model_config(name, preset).system, {})
    return TrainConfig().changed(**{**paper, **own, **overrides})
