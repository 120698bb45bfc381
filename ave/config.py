"""Hyperparameters of "Audio-Visual Event Localization in Unconstrained Videos" (Tian et al., ECCV 2018).

Paper     https://arxiv.org/abs/1803.08842
Command   python -m ave.train --model av_att --dataset ave --data DIR --seeds 3
Expected  72.7 % segment accuracy on AVE's test split (Table 1, A+V-att)
Cost      300 epochs of 52 steps; one step of 64 videos is 43 GFLOP; every epoch reads 7.7 GB of features

Presets: "code" follows the authors' code, "paper" follows the paper where the two differ. On synthetic clips (dataset
"rendered") the sizes at the end are used instead of the published ones.
"""

import dataclasses
from typing import Literal

import tyro

from avpipeline.cli import Count, Dropout, Natural, Rate, Units
from avpipeline.errors import InputError
from avpipeline.results import papers
from avpipeline.training.own_models import OwnModels
from avpipeline.training.settings import SegmentHyperparameters, SegmentNetwork

PRESETS = ("code", "paper")
PLACES = ("early", "late", "decision")
# Fusion method -> its name in Table 2; `ave.fusion.register_fusion` adds your own.
FUSIONS = {name.lower(): name for name in ("Additive", "MP", "Gated", "MB", "GMU", "GMB", "Concat", "MRN", "DMRN")}


@dataclasses.dataclass(frozen=True)
class ModelConfig(SegmentNetwork):
    """Sizes and switches of a segment classifier."""

    audio: tyro.conf.Suppress[Literal["vector", "map_mean", "map_attention", "none"]] = "vector"
    """Audio branch: VGGish's embedding, the maps of its last pooling layer (averaged or attended), or none; this and
    the switches below follow from the model's name."""
    visual: tyro.conf.Suppress[Literal["attention", "mean", "none"]] = "attention"
    """Visual branch: audio-guided attention, the mean over regions, or none."""
    motion: tyro.conf.Suppress[bool] = False
    """C3D's features in the visual branch, in addition to the maps or instead of them."""
    temporal: tyro.conf.Suppress[Literal["lstm", "ed_tcn"]] = "lstm"
    """Temporal model: a bidirectional LSTM for each branch, or one encoder-decoder of temporal convolutions."""
    fusion: "tyro.conf.Suppress[Literal[tuple(FUSIONS)]]" = "concat"
    """Fusion method."""
    fused_at: tyro.conf.Suppress[Literal[PLACES]] = "late"
    """Where the branches are fused: before the LSTMs, after them, or on each branch's class scores."""
    ensemble: tyro.conf.Suppress[Count] = 1
    """Number of parallel fusions, each with its own classifier, whose probabilities are averaged."""
    weak: tyro.conf.Suppress[bool] = False
    """Weakly supervised: trained with one label per video."""
    audio_added_to: Literal["regions", "components"] = "regions"
    """What the attention adds the audio projection to: regions (the code) or components (the paper)."""
    residuals: Literal["swapped", "own"] = "swapped"
    """Which modality's residual a DMRN block adds to an update: the other's (the code) or its own (the paper)."""
    fusion_blocks: Count = 1
    """Number of consecutive DMRN blocks."""
    mil_pooling: Literal["max", "mean"] = "max"
    """Pooling of a weakly supervised model's segment scores: the maximum (the code) or the mean (the paper)."""
    attention_units: Units = 512
    """Size of the attention's dense layers."""
    lstm_units: Units = 128
    """Size of each LSTM in each direction; fusions before and after the LSTMs are as large as an LSTM's output."""
    bidirectional: bool = True
    """LSTMs in both directions (the code) or forward only (the paper)."""
    hidden_units: Natural = 64
    """Size of the dense layer between the LSTMs and the classifier (the code); 0 leaves out that layer and the ReLUs
    around it (the paper)."""
    tcn_filters: tuple[Units, ...] = (64, 96)
    """Filters of ED-TCN's encoder layers; the decoder has them in reverse order."""
    tcn_kernel: Count = 5
    """Kernel size of ED-TCN's convolutions, in segments."""
    tcn_dropout: Dropout = 0.3
    """Rate of ED-TCN's spatial dropout."""
    audio_map_shape: tyro.conf.Suppress[tuple[Units, Units, Units]] = (6, 4, 512)
    """This and the sizes of `SegmentNetwork` follow from the dataset."""
    motion_channels: tyro.conf.Suppress[Units] = 512

    def check_together(self) -> None:
        if not self.tcn_filters:
            raise InputError("--tcn-filters: needs at least one number of filters; give e.g. --tcn-filters 64 96.")

    @property
    def modalities(self) -> tuple[str, ...]:
        """The model's inputs; attention needs the other modality as its guide."""
        guides_visual = self.visual == "attention" and self.audio == "none"
        needed = {
            "audio": self.audio == "vector" or guides_visual,
            "audio_map": self.audio.startswith("map"),
            "visual": self.visual != "none" or self.audio == "map_attention",
            "motion": self.motion,
        }
        return tuple(name for name, is_needed in needed.items() if is_needed)

    @property
    def state_units(self) -> int:
        """Size of an LSTM's output."""
        return 2 * self.lstm_units if self.bidirectional else self.lstm_units


@dataclasses.dataclass(frozen=True)
class TrainConfig(SegmentHyperparameters):
    """Training hyperparameters. Those without a line here have the values of `SegmentHyperparameters`."""

    learning_rate: Rate = 1e-3
    decay_steps: Count = 15_000
    """Number of steps after which the learning rate is multiplied by --decay-rate."""
    decay_rate: Rate = 0.1
    """Factor applied to the learning rate every --decay-steps."""
    batch_size: Count = 64
    shuffle: bool = False
    epochs: Count = 300


# The classes in the order of the authors' checkpoints: that of AVE's Annotations.txt, in which the supplement has them
# too, then background.
PER_CLASS = "Supplement Table 1"
CLASS_NAMES = (*papers.class_tables("ave")[PER_CLASS], "background")

# Model -> (what it is and which row it reproduces, its differences from A+V-att).
_SYSTEMS = {
    "a": ("audio only (Table 1, A)", {"visual": "none"}),
    "v": ("visual only, mean over regions (Table 1, V)", {"audio": "none", "visual": "mean"}),
    "v_att": ("visual with audio-guided attention (Table 1, V-att)", {"audio": "none"}),
    "av": ("audio and visual, mean over regions (Table 1, A+V)", {"visual": "mean"}),
    "av_att": ("audio and visual with audio-guided attention (Table 1, A+V-att)", {}),
}
_SYSTEMS |= {
    f"w_{name}": (f"{text.replace('Table 1, ', 'Table 1, W-')}, one label per video", {**changes, "weak": True})
    for name, (text, changes) in _SYSTEMS.items()
}
_SYSTEMS |= {
    "ed_tcn": (
        "visual only, encoder-decoder of temporal convolutions (Section 6.3)",
        {"audio": "none", "visual": "mean", "temporal": "ed_tcn"},
    ),
    "dmrn": ("dual multimodal residual network (Table 2, DMRN late)", {"fusion": "dmrn"}),
    "dmrfe": ("two DMRN blocks, probabilities averaged (Table 2, DMRFE late)", {"fusion": "dmrn", "ensemble": 2}),
    "v_c3d": ("C3D only (Supplement Table 2)", {"audio": "none", "visual": "none", "motion": True}),
    "v_s_c3d": ("visual maps' mean with C3D (Supplement Table 2)", {"audio": "none", "visual": "mean", "motion": True}),
    "av_c3d": ("audio and C3D (Supplement Table 2)", {"visual": "none", "motion": True}),
    "av_s_c3d": ("audio, visual maps' mean with C3D (Supplement Table 2)", {"visual": "mean", "motion": True}),
    "amap": ("audio maps' mean (Supplement Table 3, A')", {"audio": "map_mean", "visual": "none"}),
    "amap_att": (
        "audio maps with visual-guided attention (Supplement Table 3, A'-att)",
        {"audio": "map_attention", "visual": "none"},
    ),
    "amap_v": ("audio maps' mean and visual (Supplement Table 3, A'+V)", {"audio": "map_mean", "visual": "mean"}),
    "amap_v_co_att": (
        "audio and visual maps, each attended under the other's guidance (Supplement Table 3)",
        {"audio": "map_attention"},
    ),
}
# Every fusion method in every place; two combinations have names of their own above.
_SYSTEMS |= {
    f"{fusion}_{place}": (f"A+V-att with {fusion} fusion, {place} (Table 2)", {"fusion": fusion, "fused_at": place})
    for place in PLACES
    for fusion in FUSIONS
    if (fusion, place) not in (("concat", "late"), ("dmrn", "late"))
}

OWN = OwnModels(_SYSTEMS, ModelConfig, PRESETS)
MODELS, register_model = OWN.names, OWN.register

_PAPER_MODEL = {
    "audio_added_to": "components",
    "residuals": "own",
    "mil_pooling": "mean",
    "bidirectional": False,
    "hidden_units": 0,
}
_PAPER_TRAINING = {"loss": "cross_entropy"}
# The code never updates the best validation accuracy of a weakly supervised model, so each validation replaces the
# weights: what is kept is the model of epoch 246.
_WEAK_TRAINING = {"epochs": 250, "select": "last"}

# The synthetic clips are few and simple: narrower layers, smaller batches, fewer epochs.
RENDERED_MODEL = {"attention_units": 128, "lstm_units": 64}
RENDERED_TRAINING = {"batch_size": 16, "epochs": 40}

# Row of the paper, (table, row) -> the model that reproduces it.
_TABLE_1 = {"A": "a", "V": "v", "V-att": "v_att", "A+V": "av", "A+V-att": "av_att"}
ROWS = {("Table 1", row): model for row, model in _TABLE_1.items()}
ROWS |= {("Table 1", f"W-{row}"): f"w_{model}" for row, model in _TABLE_1.items()}
ROWS |= {
    ("Section 6.3", "ED-TCN"): "ed_tcn",
    ("Supplement Table 2", "A"): "a",
    ("Supplement Table 2", "Vs"): "v",
    ("Supplement Table 2", "V-c3d"): "v_c3d",
    ("Supplement Table 2", "V-s+c3d"): "v_s_c3d",
    ("Supplement Table 2", "AV-s"): "av",
    ("Supplement Table 2", "AV-c3d"): "av_c3d",
    ("Supplement Table 2", "AV-s+c3d"): "av_s_c3d",
    ("Supplement Table 3", "A' (VGGish pool features)"): "amap",
    ("Supplement Table 3", "A'-att"): "amap_att",
    ("Supplement Table 3", "V"): "v",
    ("Supplement Table 3", "V-att"): "v_att",
    ("Supplement Table 3", "A'+V"): "amap_v",
    ("Supplement Table 3", "A'+V-co-att"): "amap_v_co_att",
}
ROWS |= {("Table 2", f"{name} {place}"): f"{fusion}_{place}" for place in PLACES for fusion, name in FUSIONS.items()}
ROWS |= {("Table 2", "Concat late"): "av_att", ("Table 2", "DMRN late"): "dmrn", ("Table 2", "DMRFE late"): "dmrfe"}

# Rows that are the same system in the paper, and why; every other row has a configuration of its own.
SHARED = {
    ("Table 2", "Concat late"): (("Table 1", "A+V-att"), "A+V-att fuses by concatenating the LSTMs' outputs"),
    ("Supplement Table 2", "A"): (("Table 1", "A"), "the supplement prints it again"),
    ("Supplement Table 2", "Vs"): (("Table 1", "V"), "the supplement's new name for V"),
    ("Supplement Table 2", "AV-s"): (("Table 1", "A+V"), "the supplement's new name for A+V"),
    ("Supplement Table 3", "V"): (("Table 1", "V"), "the supplement prints it again"),
    ("Supplement Table 3", "V-att"): (("Table 1", "V-att"), "Table 1 prints 58.6 for it, the supplement 58.5"),
}

# The authors initialised DMRN from a trained A+V-att; each seed starts from the run of the same seed.
STARTS_FROM = {"dmrn": "av_att", "dmrfe": "av_att"}


def model_config(name: str, preset: str = "code", **overrides) -> ModelConfig:
    """Configuration of one of `MODELS` under a preset. Raises ValueError for an unknown model, preset or setting."""
    OWN.require(name, preset)
    paper = _PAPER_MODEL if preset == "paper" else {}
    return ModelConfig().changed(**{**OWN.differences[name], **paper, **overrides})


def train_config(preset: str = "code", name: str = "av_att", **overrides) -> TrainConfig:
    """Training hyperparameters of one of `MODELS` under a preset; raises as `model_config` does."""
    weak = _WEAK_TRAINING if model_config(name, preset).weak else {}
    paper = _PAPER_TRAINING if preset == "paper" else {}
    return TrainConfig().changed(**{**weak, **paper, **overrides})
