"""Attend-Fusion: Efficient Audio-Visual Fusion for Video Classification (Awan et al., 2024)."""

import avpipeline  # noqa: F401  first: it silences TensorFlow's startup messages

# isort: split
from attendfusion.config import MODELS, PRESETS, ModelConfig, TrainConfig, model_config, train_config
from attendfusion.layers import Attention, FullyConnected, GatedResidualBlock, ResidualBlock
from attendfusion.models import build_model
from attendfusion.recipe import compile_model
from attendfusion.sizes import count_parameters

__all__ = [
    "MODELS",
    "PRESETS",
    "Attention",
    "FullyConnected",
    "GatedResidualBlock",
    "ModelConfig",
    "ResidualBlock",
    "TrainConfig",
    "build_model",
    "compile_model",
    "count_parameters",
    "model_config",
    "train_config",
]
