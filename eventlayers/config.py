"""The numbers of "Event-Specific Audio-Visual Fusion Layers" (Senocak et al., WACV 2023).

Paper     https://arxiv.org/abs/2302.05629
Command   python -m eventlayers.train --model event_layers --dataset vggsound --data DIR --inputs clips --seeds 3
Expected  59.1 % video accuracy on VGGSound's test split (Table 1, Ours)
Cost      twice 20 epochs; MC3-18 on 100 frames of 112x112 is 0.5 TFLOP a clip forward; a training step takes 8 s a
          clip on 2 cores, so VGGSound's 180,000 training clips need GPUs

There is no public code, so there is one preset, "paper". The paper leaves optimizer, schedule and batch size to a
supplement that was not at hand: what stands here for them is chosen, not the authors'. "rendered" is what the default
run on the rendered clips uses instead of the published sizes.
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal

import tyro

from avpipeline.errors import InputError

PRESETS = ("paper",)
# The event layers in the order of every model's heads (Section 3.1).
LAYERS = ("continuous", "instant", "onset", "visual", "audio")
INPUTS = ("features", "clips")
PRECISIONS = ("auto", "float32", "mixed_float16", "mixed_bfloat16")
# The networks under the event layers -> height and width of the frames that they take.
BACKBONE_SETS = {"published": 112, "small": 32}


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Sizes and switches of a video classifier."""

    heads: tyro.conf.Suppress[tuple[str, ...]] = LAYERS
    """The event layers, each with its own dense layer; the model's name decides this."""
    modalities: tyro.conf.Suppress[tuple[str, ...]] = ("visual", "audio")
    """The streams that the model reads; the model's name decides this."""
    inputs: Literal[INPUTS] = "features"
    """Features of frozen backbones, which are made once and kept (the fast mode), or clips, through backbones that
    are trained with the event layers as in the paper."""
    backbones: Literal[tuple(BACKBONE_SETS)] = "published"
    """What makes the features: MC3-18 and the audio network, or small seeded networks for the rendered data."""
    top_k: int = 10
    """Time steps that the instant layer pools."""
    num_moments: tyro.conf.Suppress[int] = 100
    """Time steps of a clip, T."""
    visual_channels: tyro.conf.Suppress[int] = 512
    audio_channels: tyro.conf.Suppress[int] = 512
    frame_size: tyro.conf.Suppress[int] = 112
    """Height and width of a clip's frames; the backbones decide this and the channels."""
    num_classes: tyro.conf.Suppress[int] = 309
    """Classes; the dataset decides this."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The training recipe; the paper's own is in a supplement that was not at hand, so all of it is chosen."""

    learning_rate: float = 1e-4
    """Adam's learning rate."""
    batch_size: int = 16
    """Videos an update of the weights."""
    clips_at_once: int | None = 4
    """Of these, videos that go through the network together; the gradients of --batch-size / --clips-at-once such
    steps are averaged before the weights change, so that a batch of clips needs the memory of these few. Batch
    normalisation sees only these. None takes the batch as a whole."""
    precision: Literal[PRECISIONS] = "auto"
    """Arithmetic of the layers; "auto" is mixed_float16 on a GPU and float32 elsewhere."""
    shuffle: bool = True
    """A new order of the videos each epoch; those that do not fill a last step are left out."""
    epochs: int = 20
    """Passes over the training videos, in each of the two stages."""
    validate_every: int = 1
    """Epochs between validations; the weights of the best validation accuracy are kept."""

    @property
    def clips_a_step(self) -> int:
        """Videos that go through the network together."""
        return self.clips_at_once or self.batch_size

    @property
    def steps_an_update(self) -> int:
        """Steps whose gradients make one update; InputError where they do not make up the batch."""
        if self.clips_a_step < 1 or self.batch_size % self.clips_a_step:
            raise InputError(
                f"--clips-at-once {self.clips_at_once}: does not divide --batch-size {self.batch_size}; choose one "
                "that does."
            )
        return self.batch_size // self.clips_a_step


# The models that train one backbone alone with a linear head (Section 4.1), by modality.
BACKBONE_MODELS = {"visual": "vision_only", "audio": "audio_only"}
# Model -> (what it is and which row it reproduces, its heads, the streams that it reads).
_SYSTEMS = {
    "audio_only": ("sound alone: the backbone with a linear head (Table 1, Audio Only)", ("audio",), ("audio",)),
    "vision_only": ("pictures alone (Table 1, Vision Only)", ("visual",), ("visual",)),
    "naive_av": (
        "both concatenated and pooled over all time steps (Table 1, Naive AV)",
        ("continuous",),
        ("visual", "audio"),
    ),
    "event_layers": ("the five event layers (Table 1, Ours)", LAYERS, ("visual", "audio")),
}
MODELS = {name: text for name, (text, _, _) in _SYSTEMS.items()}


# On features only the linear heads are trained: they stand larger steps, and the batch needs no dividing.
_FEATURE_TRAINING = {"learning_rate": 1e-2, "clips_at_once": None}
# The audio network begins from nothing, MC3-18 from Kinetics-400.
_AUDIO_TRAINING = {"learning_rate": 1e-3}

# The synthetic clips are few, small and simple.
RENDERED_MODEL = {"backbones": "small"}
RENDERED_TRAINING = {
    "features": {"epochs": 40},
    "clips": {"epochs": 5, "learning_rate": 1e-3, "batch_size": 8},
}

# The paper's name of a dataset -> ours. LLP is trained with one label a video; Kinetics-Sounds has 31 classes.
DATASETS = {
    "VGGSound": "vggsound",
    "Kinetics-Sounds": "kinetics_sounds-31",
    "AVE": "ave",
    "Kinetics-400": "kinetics400",
    "LLP": "llp-drawn",
}
# Synthetic clips -> the paper's datasets that it stands in for: LLP's videos have several labels.
STANDS_FOR = {"rendered": ("VGGSound", "Kinetics-Sounds", "AVE", "Kinetics-400"), "rendered_pairs": ("LLP",)}
TABLES = ("Table 1", "Table 2", "Table 3", "Table 4")

OURS = "Event-specific layers"
# (table, row) of the paper -> the model whose scores the row is read off; what is read is in `readings.py`.
ROWS = {
    ("Table 1", "Audio Only"): "audio_only",
    ("Table 1", "Vision Only"): "vision_only",
    ("Table 1", "Naive AV"): "naive_av",
    ("Table 1", OURS): "event_layers",
    ("Table 2", OURS): "event_layers",
    **{("Table 2", f"Naive AV top-{count}"): "naive_av" for count in range(1, 6)},
    **{("Table 3", f"{layer} only"): "event_layers" for layer in ("Continuous", "Instant", "Onset")},
    ("Table 3", "(Instant or Onset) and not Continuous"): "event_layers",
    **{("Table 4", layer.capitalize()): "event_layers" for layer in LAYERS},
}


def model_config(name: str, preset: str = "paper", **overrides) -> ModelConfig:
    """Configuration of one of `MODELS`.

    Raises:
      ValueError: unknown model, preset or setting.
    """
    _check(name, preset)
    _, heads, modalities = _SYSTEMS[name]
    return dataclasses.replace(ModelConfig(), **{"heads": heads, "modalities": modalities, **overrides})


def saved_config(values: Mapping) -> ModelConfig:
    """The configuration that a saved model has with it, where JSON made lists of tuples."""
    return ModelConfig(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def train_config(
    preset: str = "paper", name: str = "event_layers", inputs: str = "features", **overrides
) -> TrainConfig:
    """Training hyperparameters of one of `MODELS` on one kind of inputs; raises as `model_config` does."""
    _check(name, preset)
    changes = _FEATURE_TRAINING if inputs == "features" else {}
    if inputs == "clips" and name == "audio_only":
        changes = _AUDIO_TRAINING
    return dataclasses.replace(TrainConfig(), **{**changes, **overrides})


def _check(name: str, preset: str) -> None:
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; the models are {', '.join(MODELS)}")
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; the presets are {', '.join(PRESETS)}")
