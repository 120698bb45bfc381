"""Audio-Visual Event Localization via Recursive Fusion by Joint Co-Attention (Duan et al., WACV 2021)."""

import avpipeline  # noqa: F401  first: it silences TensorFlow's startup messages

# isort: split
from jca.author_checkpoints import load_author_checkpoint
from jca.config import MODELS, PRESETS, ModelConfig, TrainConfig, model_config, train_config
from jca.layers import JointCoAttention, Rerepresentation
from jca.models import build_model
from jca.recipe import compile_model

__all__ = [
    "MODELS",
    "PRESETS",
    "JointCoAttention",
    "ModelConfig",
    "Rerepresentation",
    "TrainConfig",
    "build_model",
    "compile_model",
    "load_author_checkpoint",
    "model_config",
    "train_config",
]
