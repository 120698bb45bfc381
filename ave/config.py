"""The numbers of "Audio-Visual Event Localization in Unconstrained Videos" (Tian et al., ECCV 2018).

Paper     https://arxiv.org/abs/1803.08842
Command   python -m ave.train --model av_att --dataset ave --data DIR --seeds 3
Expected  72.7 % segment accuracy on AVE's test split (Table 1, A+V-att)
Cost      300 epochs of 52 steps; one step of 64 videos is some 50 GFLOP; 7.7 GB of features read an epoch

Presets: "code" is what the authors' code does, "paper" what the paper says where the two differ; "rendered"
is what the default run on the rendered clips uses instead of the published sizes.
"""

import dataclasses
from typing import Literal

import tyro

PRESETS = ("code", "paper")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Sizes and switches of a segment classifier."""

    audio: tyro.conf.Suppress[bool] = True
    """Audio branch present; the model's name decides."""
    visual: tyro.conf.Suppress[Literal["attention", "mean", "none"]] = "attention"
    """Visual branch: audio-guided attention, the mean over regions, or none; the model's name decides."""
    audio_added_to: Literal["regions", "components"] = "regions"
    """Where the attention adds the audio projection: to regions (the code) or components (the paper)."""
    attention_units: int = 512
    """Size of the attention's dense layers."""
    lstm_units: int = 128
    """Size of each LSTM, each way."""
    hidden_units: int = 64
    """Size of the dense layer before the classifier."""
    num_classes: tyro.conf.Suppress[int] = 29
    """Classes, background included; the dataset decides this and the shapes below."""
    num_segments: tyro.conf.Suppress[int] = 10
    audio_channels: tyro.conf.Suppress[int] = 128
    visual_shape: tyro.conf.Suppress[tuple[int, int, int]] = (7, 7, 512)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The inputs that the model reads; attention needs the audio as its guide."""
        audio = self.audio or self.visual == "attention"
        return ("audio",) * audio + ("visual",) * (self.visual != "none")


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


MODELS = {
    "a": "audio only (Table 1, A)",
    "v": "visual only, mean over regions (Table 1, V)",
    "v_att": "visual with audio-guided attention (Table 1, V-att)",
    "av": "audio and visual, mean over regions (Table 1, A+V)",
    "av_att": "audio and visual with audio-guided attention (Table 1, A+V-att)",
}

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

# Row of the published tables that each model reproduces.
PUBLISHED_ROWS = {
    "a": ("Table 1", "A"),
    "v": ("Table 1", "V"),
    "v_att": ("Table 1", "V-att"),
    "av": ("Table 1", "A+V"),
    "av_att": ("Table 1", "A+V-att"),
}

_BRANCHES = {
    "a": {"visual": "none"},
    "v": {"audio": False, "visual": "mean"},
    "v_att": {"audio": False},
    "av": {"visual": "mean"},
    "av_att": {},
}

_PAPER_MODEL = {"audio_added_to": "components"}
_PAPER_TRAINING = {"loss": "cross_entropy"}

# The rendered clips are few and simple: narrower, smaller batches, fewer epochs.
RENDERED_MODEL = {"attention_units": 128, "lstm_units": 64}
RENDERED_TRAINING = {"batch_size": 16, "epochs": 40}


def model_config(name: str, preset: str = "code", **overrides) -> ModelConfig:
    """Configuration of one of `MODELS` under a preset.

    Raises:
      ValueError: unknown model, preset or setting.
    """
    _check(name, preset)
    paper = _PAPER_MODEL if preset == "paper" else {}
    return dataclasses.replace(ModelConfig(), **{**_BRANCHES[name], **paper, **overrides})


def train_config(preset: str = "code", **overrides) -> TrainConfig:
    """Training recipe of a preset."""
    _check("av_att", preset)
    paper = _PAPER_TRAINING if preset == "paper" else {}
    return dataclasses.replace(TrainConfig(), **{**paper, **overrides})


def _check(name: str, preset: str) -> None:
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; the models are {', '.join(MODELS)}")
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; the presets are {', '.join(PRESETS)}")
