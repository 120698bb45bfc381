"""The numbers of "Event-Specific Audio-Visual Fusion Layers" (Senocak et al., WACV 2023).

Paper     https://arxiv.org/abs/2302.05629
Command   python -m eventlayers.train --dataset vggsound --data DIR --inputs clips
Expected  59.1 % video accuracy on VGGSound's test split (Table 1, Ours)
Cost      a training step of MC3-18 on 100 frames of 112x112 is 0.5 TFLOP a clip (8 s on 2 cores): VGGSound needs GPUs

There is no public code, so there is one preset, "paper". The paper leaves optimizer, schedule and batch size to a
supplement that was not at hand: what stands here for them is chosen, not the authors'. "rendered" is what the default
run on the rendered clips uses instead.
"""

import dataclasses
from typing import Literal

import tyro

PRESETS = ("paper",)
# The event layers in the order of every model's heads (Section 3.1).
LAYERS = ("continuous", "instant", "onset", "visual", "audio")
INPUTS = ("features", "clips")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Sizes and switches of a video classifier."""

    heads: tyro.conf.Suppress[tuple[str, ...]] = LAYERS
    """The event layers, each with its own dense layer; the model's name decides this."""
    modalities: tyro.conf.Suppress[tuple[str, ...]] = ("visual", "audio")
    """The streams that the model reads; the model's name decides this."""
    top_k: int = 10
    """Moments that the instant layer pools."""
    num_moments: tyro.conf.Suppress[int] = 100
    """Moments of a clip, T; the features or the backbones decide this and the two below."""
    visual_channels: tyro.conf.Suppress[int] = 512
    audio_channels: tyro.conf.Suppress[int] = 512
    num_classes: tyro.conf.Suppress[int] = 309
    """Classes; the dataset decides this."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The training recipe; the paper's own is in a supplement that was not at hand, so all of it is chosen."""

    learning_rate: float = 1e-4
    """Adam's learning rate."""
    batch_size: int = 16
    """Videos an update of the weights; the last partial batch of an epoch is left out."""
    clips_at_once: int = 4
    """Of these, videos that go through the backbones together; their gradients are added up until the batch is
    full, so that a batch of clips needs the memory of these few. Batch normalisation sees only these."""
    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = "auto"
    """Arithmetic of the backbones; "auto" is mixed_float16 on a GPU and float32 elsewhere."""
    shuffle: bool = True
    """A new order of the videos each epoch."""
    epochs: int = 20
    """Passes over the training videos."""
    backbone_epochs: int = 20
    """Passes over them of each backbone alone before that, in the two-stage training from clips."""
    validate_every: int = 1
    """Epochs between validations; the weights of the best validation accuracy are kept."""


# Model -> (what it is and which row it reproduces, its heads, the streams that it reads).
_SYSTEMS = {
    "audio_only": ("sound alone: the backbone with a linear head (Table 1, Audio Only)", ("audio",), ("audio",)),
    "vision_only": ("pictures alone (Table 1, Vision Only)", ("visual",), ("visual",)),
    "naive_av": (
        "both concatenated and pooled over all moments (Table 1, Naive AV)",
        ("continuous",),
        ("visual", "audio"),
    ),
    "event_layers": ("the five event layers (Table 1, Ours)", LAYERS, ("visual", "audio")),
}
MODELS = {name: text for name, (text, _, _) in _SYSTEMS.items()}


def model_config(name: str, preset: str = "paper", **overrides) -> ModelConfig:
    """Configuration of one of `MODELS`.

    Raises:
      ValueError: unknown model, preset or setting.
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; the models are {', '.join(MODELS)}")
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; the presets are {', '.join(PRESETS)}")
    _, heads, modalities = _SYSTEMS[name]
    return dataclasses.replace(ModelConfig(), heads=heads, modalities=modalities, **overrides)
