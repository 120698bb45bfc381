"""Audio-Visual Event Localization via Recursive Fusion by Joint Co-Attention (Duan et al., WACV 2021)."""

from .author_checkpoints import load_author_checkpoint
from .config import MODELS, PRESETS, ModelConfig, TrainConfig, model_config, register_model, train_config
from .layers import JointCoAttention, Rerepresentation
from .models import build_model
from .recipe import compile_model

__all__ = [
    "load_author_checkpoint", "MODELS", "PRESETS", "ModelConfig", "TrainConfig", "model_config", "register_model",
    "train_config", "JointCoAttention", "Rerepresentation", "build_model", "compile_model"
]  # fmt: skip
