"""Audio-Visual Event Localization via Recursive Fusion by Joint Co-Attention (Duan et al., WACV 2021)."""

from .author_checkpoints import load_author_checkpoint as load_author_checkpoint
from .config import (
    MODELS as MODELS,
    PRESETS as PRESETS,
    ModelConfig as ModelConfig,
    TrainConfig as TrainConfig,
    model_config as model_config,
    train_config as train_config,
)
from .layers import JointCoAttention as JointCoAttention, Rerepresentation as Rerepresentation
from .models import build_model as build_model
from .recipe import compile_model as compile_model
