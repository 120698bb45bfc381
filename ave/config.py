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

PRESETS = ("code", "paper")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Sizes and switches of a segment classifier.

    Attributes:
      audio: audio branch present.
      visual: visual branch: audio-guided attention, the mean over regions, or none.
      audio_added_to: see `ave.layers.AudioGuidedAttention`.
    """

    audio: bool = True
    visual: Literal["attention", "mean", "none"] = "attention"
    audio_added_to: Literal["regions", "components"] = "regions"
    attention_units: int = 512
    lstm_units: int = 128
    hidden_units: int = 64
    num_classes: int = 29
    num_segments: int = 10
    audio_channels: int = 128
    visual_shape: tuple[int, int, int] = (7, 7, 512)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The training recipe.

    Attributes:
      loss: "soft_margin" on the softmax output (the code) or "cross_entropy" (the paper).
      decay_steps: the learning rate is multiplied by `decay_rate` every so many steps.
      validate_every: epochs between validations; the best validation accuracy is kept.
    """

    loss: Literal["soft_margin", "cross_entropy"] = "soft_margin"
    learning_rate: float = 1e-3
    epsilon: float = 1e-8
    epsilon_form: Literal["torch_legacy", "torch"] = "torch_legacy"
    decay_steps: int = 15_000
    decay_rate: float = 0.1
    batch_size: int = 64
    shuffle: bool = False
    epochs: int = 300
    validate_every: int = 5


MODELS = {
    "a": "audio only (Table 1, A)",
    "v": "visual only, mean over regions (Table 1, V)",
    "v_att": "visual with audio-guided attention (Table 1, V-att)",
    "av": "audio and visual, mean over regions (Table 1, A+V)",
    "av_att": "audio and visual with audio-guided attention (Table 1, A+V-att)",
}

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
