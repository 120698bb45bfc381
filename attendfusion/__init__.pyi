"""Attend-Fusion: Efficient Audio-Visual Fusion for Video Classification (Awan et al., 2024)."""

from .config import MODELS, PRESETS, ModelConfig, TrainConfig, model_config, register_model, train_config
from .layers import Attention, FullyConnected, GatedResidualBlock, ResidualBlock
from .models import build_model
from .recipe import compile_model
from .sizes import count_parameters

__all__ = [
    "MODELS", "PRESETS", "ModelConfig", "TrainConfig", "model_config", "register_model", "train_config", "Attention",
    "FullyConnected", "GatedResidualBlock", "ResidualBlock", "build_model", "compile_model", "count_parameters"
]  # fmt: skip
