"""Hyperparameters of "Event-Specific Audio-Visual Fusion Layers" (Senocak et al., WACV 2023).

Paper     https://arxiv.org/abs/2302.05629
Command   python -m eventlayers.train --model event_layers --dataset vggsound --data DIR --inputs clips --seeds 3
Expected  59.1 % video accuracy on VGGSound's test split (Table 1, Ours)
Cost      two stages of 20 epochs; MC3-18 on 100 frames of 112x112 takes 0.5 TFLOP per clip in the forward pass; a
          training step takes 8 s per clip on 2 cores, so VGGSound's 180,000 training clips need GPUs

There is no public code, so there is one preset, "paper". The paper leaves optimizer, schedule and batch size to a
supplement that was not available: those here are our choice, not the authors'. On synthetic clips (dataset "rendered")
the sizes at the end are used instead of the published ones.
"""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Literal

import annotated_types
import tyro

from avpipeline.cli import Checked, Count, MaybeCount, Rate, Units
from avpipeline.errors import InputError
from avpipeline.training.own_models import OwnModels

PRESETS = ("paper",)
# The event layers, in the order of a model's heads (Section 3.1).
LAYERS = ("continuous", "instant", "onset", "visual", "audio")
INPUTS = ("features", "clips")
PRECISIONS = ("auto", "float32", "mixed_float16", "mixed_bfloat16")
# Length of a clip.
SECONDS = 10
# Backbones -> height and width of the frames that they take.
BACKBONE_SETS = {"published": 112, "small": 32}
# How librosa finds onsets: sample rate in Hz, then hop and FFT in samples and mel bands of its spectrogram. The paper
# names "standard audio libraries" and no settings: "librosa" stands for librosa's defaults at the paper's 16 kHz.
ONSET_METHODS = {
    "librosa": (16_000, 512, 2048, 128),
    "librosa-22050": (22_050, 512, 2048, 128),
    "fine": (16_000, 256, 1024, 64),
    "fine-22050": (22_050, 256, 1024, 64),
}
INSTANT_SCORES = ("dot", "cosine")
# A number of time steps, of the hundred in a clip.
_TIME_STEPS = annotated_types.Interval(ge=1, le=100)


@dataclasses.dataclass(frozen=True)
class ModelConfig(Checked):
    """Sizes and switches of a video classifier."""

    heads: tyro.conf.Suppress[tuple[Literal[LAYERS], ...]] = LAYERS
    """The event layers, each with its own dense layer; follows from the model's name."""
    modalities: tyro.conf.Suppress[tuple[Literal["visual", "audio"], ...]] = ("visual", "audio")
    """The model's input streams; follows from its name."""
    inputs: Literal[INPUTS] = "features"
    """Features of frozen backbones, extracted once and cached (the fast mode), or clips, with backbones that are
    trained together with the heads as in the paper."""
    backbones: Literal[tuple(BACKBONE_SETS)] = "published"
    """The backbones: MC3-18 and the audio network, or small seeded networks for synthetic clips."""
    top_k: Annotated[int, _TIME_STEPS] = 10
    """Number of time steps that the instant layer pools."""
    instant: Literal[INSTANT_SCORES] = "dot"
    """The instant layer's score of a time step: the product z^V . z^A of Eq. 2, or that of the normalised features, as
    in the audio network's own paper; the former favours loud time steps."""
    onsets: Literal[tuple(ONSET_METHODS)] = "librosa"
    """How onsets are found: librosa's defaults (hop 512, FFT 2048, 128 mel bands) or a finer spectrogram (256, 1024,
    64), each at 16 kHz or at 22.05 kHz, the rate to which librosa loads files."""
    num_moments: tyro.conf.Suppress[Count] = 100
    """Number of time steps in a clip, T."""
    visual_channels: tyro.conf.Suppress[Units] = 512
    audio_channels: tyro.conf.Suppress[Units] = 512
    frame_size: tyro.conf.Suppress[Count] = 112
    """Height and width of a clip's frames; this and the channels follow from the backbones."""
    num_classes: tyro.conf.Suppress[Count] = 309
    """Number of classes; follows from the dataset."""


@dataclasses.dataclass(frozen=True)
class TrainConfig(Checked):
    """Training hyperparameters; the paper's are in a supplement that was not available, so these are our choice."""

    learning_rate: Rate = 1e-4
    """Adam's learning rate."""
    batch_size: Count = 16
    """Videos in a batch: one update of the weights."""
    clips_at_once: MaybeCount = 4
    """Videos of a batch in one forward and backward pass; the gradients of --batch-size / --clips-at-once passes are
    accumulated before each update, so that a batch of clips needs the memory of these few. Batch normalization only
    sees these. None processes the whole batch at once."""
    precision: tyro.conf.Suppress[Literal[PRECISIONS]] = "auto"
    """Precision of the layers; "auto" is mixed_float16 on a GPU and float32 elsewhere. Commands take --precision."""
    shuffle: bool = True
    """Shuffle the videos before every epoch; those that do not fill the last pass are dropped. Passes that do not fill
    the last batch are part of the next epoch's first batch."""
    epochs: Count = 20
    """Number of epochs in each of the two stages."""
    validate_every: Count = 1
    """Epochs between validations; the weights with the best validation accuracy are kept."""

    @property
    def clips_a_step(self) -> int:
        """Videos in one forward and backward pass."""
        return self.clips_at_once or self.batch_size

    @property
    def steps_an_update(self) -> int:
        """Passes whose gradients are accumulated for an update; InputError if they do not make up the batch."""
        if self.clips_a_step < 1 or self.batch_size % self.clips_a_step:
            raise InputError(
                f"--clips-at-once {self.clips_at_once}: does not divide --batch-size {self.batch_size}; choose one "
                "that does."
            )
        return self.batch_size // self.clips_a_step

    def fitting(self, count: int) -> "TrainConfig":
        """What these become with `count` training videos: where they do not fill a batch, they are a batch.

        Its passes have equal sizes, the largest that `clips_at_once` allows, so that an epoch is one update and leaves
        no video out. Where a batch is filled, nothing changes.
        """
        if not 0 < count < self.batch_size:
            return self
        at_once = self.clips_at_once
        if at_once:
            at_once = max(size for size in range(1, at_once + 1) if count % size == 0)
        return dataclasses.replace(self, batch_size=count, clips_at_once=at_once)


# The models that train a single backbone with a linear head (Section 4.1), by modality.
BACKBONE_MODELS = {"visual": "vision_only", "audio": "audio_only"}
# Model -> (what it is and which row it reproduces, its differences from the event layers).
_SYSTEMS = {
    "audio_only": (
        "audio only: the backbone with a linear head (Table 1, Audio Only)",
        {"heads": ("audio",), "modalities": ("audio",)},
    ),
    "vision_only": (
        "visual only: the backbone with a linear head (Table 1, Vision Only)",
        {"heads": ("visual",), "modalities": ("visual",)},
    ),
    "naive_av": ("both concatenated and pooled over all time steps (Table 1, Naive AV)", {"heads": ("continuous",)}),
    "event_layers": ("the five event layers (Table 1, Ours)", {}),
}
OWN = OwnModels(_SYSTEMS, ModelConfig, PRESETS)
MODELS, register_model = OWN.names, OWN.register

# On features only the linear heads are trained, which allow a larger learning rate and need little memory.
_FEATURE_TRAINING = {"learning_rate": 1e-2, "clips_at_once": None}
# The audio network is trained from scratch, MC3-18 starts from Kinetics-400.
_AUDIO_TRAINING = {"learning_rate": 1e-3}

# The synthetic clips are few, small and simple.
RENDERED_MODEL = {"backbones": "small"}
RENDERED_TRAINING = {"features": {"epochs": 40}, "clips": {"epochs": 5, "learning_rate": 1e-3, "batch_size": 8}}

# The paper's name of a dataset -> ours. LLP is trained with one label per video; Kinetics-Sounds has 31 classes.
DATASETS = {
    "VGGSound": "vggsound",
    "Kinetics-Sounds": "kinetics_sounds-31",
    "AVE": "ave",
    "Kinetics-400": "kinetics400",
    "LLP": "llp-drawn",
}
# Synthetic dataset -> the paper's datasets that it stands in for; LLP's videos have several labels.
STANDS_FOR = {
    "rendered": ("VGGSound", "Kinetics-Sounds", "AVE", "Kinetics-400"),
    "rendered_pairs": ("LLP", "Multi-labeled VGGSound"),
}
# The authors' annotators judged a model's labels on VGGSound; their judgements are not released, so not a dataset here.
ANNOTATED = "Multi-labeled VGGSound"
# The rows of Table 3.
ONLY = ("Continuous only", "Instant only", "Onset only")
NEW_LAYERS = "(Instant or Onset) and not Continuous"
TABLES = ("Table 1", "Table 2", "Table 3", "Table 4", "Section 4.2")

OURS = "Event-specific layers"
# Row of the paper, (table, row) -> the model whose scores it is computed from; `readings.py` says how.
ROWS = {
    ("Table 1", "Audio Only"): "audio_only",
    ("Table 1", "Vision Only"): "vision_only",
    ("Table 1", "Naive AV"): "naive_av",
    ("Table 1", OURS): "event_layers",
    ("Table 2", OURS): "event_layers",
    **{("Table 2", f"Naive AV top-{count}"): "naive_av" for count in range(1, 6)},
    **{("Table 3", row): "event_layers" for row in (*ONLY, NEW_LAYERS)},
    **{("Table 4", layer.capitalize()): "event_layers" for layer in LAYERS},
    **{("Section 4.2", row): "event_layers" for row in ("Labels a video", "Matched labels", "Matched labels a video")},
    ("Section 4.2", "Kinetics-Sounds among the audio-visual categories"): "event_layers",
}


def model_config(name: str, preset: str = "paper", **overrides) -> ModelConfig:
    """Configuration of one of `MODELS`. Raises ValueError for an unknown model, preset or setting."""
    OWN.require(name, preset)
    return ModelConfig().changed(**{**OWN.differences[name], **overrides})


def saved_config(values: Mapping) -> ModelConfig:
    """The configuration stored with a model, where JSON has turned tuples into lists."""
    # Models saved before there was a choice were trained on the finer onsets.
    before = {"onsets": "fine"} if "onset" in values["heads"] else {}
    own = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return ModelConfig(**before | own)


def stored_config(config: ModelConfig) -> dict:
    """The configuration as it is stored with a model and hashed for its runs, without settings of layers it lacks."""
    lacking = {setting for head, setting in (("instant", "instant"), ("onset", "onsets")) if head not in config.heads}
    return {name: value for name, value in dataclasses.asdict(config).items() if name not in lacking}


def train_config(
    preset: str = "paper", name: str = "event_layers", inputs: str = "features", **overrides
) -> TrainConfig:
    """Training hyperparameters of one of `MODELS` for one kind of inputs; raises as `model_config` does."""
    OWN.require(name, preset)
    changes = _FEATURE_TRAINING if inputs == "features" else {}
    if inputs == "clips" and name == "audio_only":
        changes = _AUDIO_TRAINING
    return TrainConfig().changed(**{**changes, **overrides})
