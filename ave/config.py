"""The numbers of "Audio-Visual Event Localization in Unconstrained Videos" (Tian et al., ECCV 2018).

Paper     https://arxiv.org/abs/1803.08842
Command   python -m ave.train --model av_att --dataset ave --data DIR --seeds 3
Expected  72.7 % segment accuracy on AVE's test split (Table 1, A+V-att)
Cost      300 epochs of 52 steps; one step of 64 videos is 43 GFLOP; 7.7 GB of features read an epoch

Presets: "code" is what the authors' code does, "paper" what the paper says where the two differ; "rendered"
is what the default run on the rendered clips uses instead of the published sizes.
"""

import dataclasses
from typing import Literal

import tyro

from ave.fusion import FUSIONS

PRESETS = ("code", "paper")
PLACES = ("early", "late", "decision")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Sizes and switches of a segment classifier."""

    audio: tyro.conf.Suppress[Literal["vector", "map_mean", "map_attention", "none"]] = "vector"
    """Audio branch: VGGish's embedding, its last pooling's maps (their mean, or attended), or none; the model's
    name decides this and the switches below."""
    visual: tyro.conf.Suppress[Literal["attention", "mean", "none"]] = "attention"
    """Visual branch: audio-guided attention, the mean over regions, or none."""
    motion: tyro.conf.Suppress[bool] = False
    """C3D's features in the visual branch, beside the maps or instead of them."""
    temporal: tyro.conf.Suppress[Literal["lstm", "ed_tcn"]] = "lstm"
    """What models time: a bidirectional LSTM for each branch, or one encoder-decoder of convolutions."""
    fusion: tyro.conf.Suppress[Literal[tuple(FUSIONS)]] = "concat"
    """How two branches become one."""
    fused_at: tyro.conf.Suppress[Literal[PLACES]] = "late"
    """Where: before the LSTMs, after them, or on each branch's class scores."""
    ensemble: tyro.conf.Suppress[int] = 1
    """Fusions side by side, each with its classifier; their probabilities are averaged."""
    weak: tyro.conf.Suppress[bool] = False
    """Trained with one label a video."""
    audio_added_to: Literal["regions", "components"] = "regions"
    """Where the attention adds the audio projection: to regions (the code) or components (the paper)."""
    residuals: Literal["swapped", "own"] = "swapped"
    """Which modality's residual a DMRN block adds to an update: the other's (the code) or its own (the paper)."""
    fusion_blocks: int = 1
    """DMRN blocks, one after the other."""
    mil_pooling: Literal["max", "mean"] = "max"
    """What pools a weak model's segment scores: the maximum (the code) or the mean (the paper)."""
    attention_units: int = 512
    """Size of the attention's dense layers."""
    lstm_units: int = 128
    """Size of each LSTM, each way; fusions before and after the LSTMs give twice that."""
    hidden_units: int = 64
    """Size of the dense layer before the classifier."""
    tcn_filters: tuple[int, ...] = (64, 96)
    """Filters of ED-TCN's encoder, layer by layer; the decoder has them in reverse."""
    tcn_kernel: int = 5
    """Length of ED-TCN's convolutions in segments."""
    tcn_dropout: float = 0.3
    """Share of channels that ED-TCN's spatial dropout leaves out."""
    num_classes: tyro.conf.Suppress[int] = 29
    """Classes, background included; the dataset decides this and the shapes below."""
    num_segments: tyro.conf.Suppress[int] = 10
    audio_channels: tyro.conf.Suppress[int] = 128
    audio_map_shape: tyro.conf.Suppress[tuple[int, int, int]] = (6, 4, 512)
    visual_shape: tyro.conf.Suppress[tuple[int, int, int]] = (7, 7, 512)
    motion_channels: tyro.conf.Suppress[int] = 512

    @property
    def modalities(self) -> tuple[str, ...]:
        """The inputs that the model reads; attention needs the other modality as its guide."""
        guides_visual = self.visual == "attention" and self.audio == "none"
        needed = {
            "audio": self.audio == "vector" or guides_visual,
            "audio_map": self.audio.startswith("map"),
            "visual": self.visual != "none" or self.audio == "map_attention",
            "motion": self.motion,
        }
        return tuple(name for name, is_needed in needed.items() if is_needed)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The training recipe."""

    loss: Literal["soft_margin", "cross_entropy"] = "soft_margin"
    """Multi-label soft margin on the softmax output (the code) or cross-entropy (the paper)."""
    learning_rate: float = 1e-3
    """Adam's learning rate."""
    epsilon: float = 1e-8
    """Adam's epsilon."""
    epsilon_form: Literal["torch_legacy", "torch"] = "torch_legacy"
    """Where Adam adds epsilon: as torch 0.3/0.4 did (the code), or as today's torch does."""
    decay_steps: int = 15_000
    """Steps after which the learning rate is multiplied by --decay-rate."""
    decay_rate: float = 0.1
    """Factor of the learning rate every --decay-steps."""
    batch_size: int = 64
    """Videos a step; the last partial batch of an epoch is left out."""
    shuffle: bool = False
    """A new order of the videos each epoch."""
    epochs: int = 300
    """Passes over the training videos."""
    validate_every: int = 5
    """Epochs between validations; the weights of the best validation accuracy are kept."""


# The outputs of the authors' checkpoints: the classes in the order of AVE's Annotations.txt, then background.
CLASS_NAMES = (
    "Church bell",
    "Male speech, man speaking",
    "Bark",
    "Fixed-wing aircraft, airplane",
    "Race car, auto racing",
    "Female speech, woman speaking",
    "Helicopter",
    "Violin, fiddle",
    "Flute",
    "Ukulele",
    "Frying (food)",
    "Truck",
    "Shofar",
    "Motorcycle",
    "Acoustic guitar",
    "Train horn",
    "Clock",
    "Banjo",
    "Goat",
    "Baby cry, infant cry",
    "Bus",
    "Chainsaw",
    "Cat",
    "Horse",
    "Toilet flush",
    "Rodents, rats, mice",
    "Accordion",
    "Mandolin",
    "background",
)

# Model -> (what it is and which row it reproduces, what sets it apart from A+V-att).
_SYSTEMS = {
    "a": ("audio only (Table 1, A)", {"visual": "none"}),
    "v": ("visual only, mean over regions (Table 1, V)", {"audio": "none", "visual": "mean"}),
    "v_att": ("visual with audio-guided attention (Table 1, V-att)", {"audio": "none"}),
    "av": ("audio and visual, mean over regions (Table 1, A+V)", {"visual": "mean"}),
    "av_att": ("audio and visual with audio-guided attention (Table 1, A+V-att)", {}),
}
_SYSTEMS |= {
    f"w_{name}": (f"{text.replace('Table 1, ', 'Table 1, W-')}, one label a video", {**changes, "weak": True})
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
    "v_s_c3d": (
        "visual maps' mean with C3D (Supplement Table 2)",
        {"audio": "none", "visual": "mean", "motion": True},
    ),
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
# Every fusion method in every place; two of them have their own names above.
_SYSTEMS |= {
    f"{fusion}_{place}": (f"A+V-att with {fusion} fusion, {place} (Table 2)", {"fusion": fusion, "fused_at": place})
    for place in PLACES
    for fusion in FUSIONS
    if (fusion, place) not in (("concat", "late"), ("dmrn", "late"))
}

MODELS = {name: text for name, (text, _) in _SYSTEMS.items()}

_PAPER_MODEL = {"audio_added_to": "components", "residuals": "own", "mil_pooling": "mean"}
_PAPER_TRAINING = {"loss": "cross_entropy"}
_WEAK_TRAINING = {"epochs": 250}

# The rendered clips are few and simple: narrower, smaller batches, fewer epochs.
RENDERED_MODEL = {"attention_units": 128, "lstm_units": 64}
RENDERED_TRAINING = {"batch_size": 16, "epochs": 40}

# (table, row) of the paper -> the model that reproduces it.
ROWS = {
    ("Table 1", "A"): "a",
    ("Table 1", "V"): "v",
    ("Table 1", "V-att"): "v_att",
    ("Table 1", "A+V"): "av",
    ("Table 1", "A+V-att"): "av_att",
    ("Table 1", "W-A"): "w_a",
    ("Table 1", "W-V"): "w_v",
    ("Table 1", "W-V-att"): "w_v_att",
    ("Table 1", "W-A+V"): "w_av",
    ("Table 1", "W-A+V-att"): "w_av_att",
    ("Section 6.3", "ED-TCN"): "ed_tcn",
    ("Supplement Table 2", "V-c3d"): "v_c3d",
    ("Supplement Table 2", "V-s+c3d"): "v_s_c3d",
    ("Supplement Table 2", "AV-s"): "av",
    ("Supplement Table 2", "AV-c3d"): "av_c3d",
    ("Supplement Table 2", "AV-s+c3d"): "av_s_c3d",
    ("Supplement Table 3", "A' (VGGish pool features)"): "amap",
    ("Supplement Table 3", "A'-att"): "amap_att",
    ("Supplement Table 3", "A'+V"): "amap_v",
    ("Supplement Table 3", "A'+V-co-att"): "amap_v_co_att",
}
# Table 2's rows are called as the fusion methods are, in other letters: "MP early" is mp_early.
_SHORT = ("mp", "mb", "gmu", "gmb", "mrn", "dmrn")
ROWS |= {
    ("Table 2", f"{fusion.upper() if fusion in _SHORT else fusion.capitalize()} {place}"): f"{fusion}_{place}"
    for place in PLACES
    for fusion in FUSIONS
}
ROWS |= {
    ("Table 2", "Concat late"): "av_att",
    ("Table 2", "DMRN late"): "dmrn",
    ("Table 2", "DMRFE late"): "dmrfe",
}

# Rows that the paper itself gives one system, and why; every other row has a configuration of its own.
SHARED = {
    ("Table 2", "Concat late"): (("Table 1", "A+V-att"), "A+V-att fuses by concatenating the LSTMs' outputs"),
    ("Supplement Table 2", "AV-s"): (("Table 1", "A+V"), "the supplement's new name for A+V"),
}

TABLES = tuple(dict.fromkeys(table for table, _ in ROWS))


def model_config(name: str, preset: str = "code", **overrides) -> ModelConfig:
    """Configuration of one of `MODELS` under a preset.

    Raises:
      ValueError: unknown model, preset or setting.
    """
    _check(name, preset)
    paper = _PAPER_MODEL if preset == "paper" else {}
    return dataclasses.replace(ModelConfig(), **{**_SYSTEMS[name][1], **paper, **overrides})


def train_config(preset: str = "code", name: str = "av_att", **overrides) -> TrainConfig:
    """Training recipe of one of `MODELS` under a preset; raises as `model_config` does."""
    weak = _WEAK_TRAINING if model_config(name, preset).weak else {}
    paper = _PAPER_TRAINING if preset == "paper" else {}
    return dataclasses.replace(TrainConfig(), **{**weak, **paper, **overrides})


def _check(name: str, preset: str) -> None:
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; the models are {', '.join(MODELS)}")
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; the presets are {', '.join(PRESETS)}")
