"""Attend-Fusion: Efficient Audio-Visual Fusion for Video Classification (Awan et al., 2024)."""

from .config import (
    MODELS as MODELS,
    PRESETS as PRESETS,
    ModelConfig as ModelConfig,
    TrainConfig as TrainConfig,
    model_config as model_config,
    train_config as train_config,
)
from .layers import (
    Attention as Attention,
    FullyConnected as FullyConnected,
    GatedResidualBlock as GatedResidualBlock,
    ResidualBlock as ResidualBlock,
)
from .models import build_model as build_model
from .recipe import compile_model as compile_model
from .sizes import count_parameters as count_parameters
