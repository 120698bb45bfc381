"""Multi-level Attention Fusion Network for Audio-visual Event Recognition (Brousmiche et al., 2021)."""

from .author_checkpoints import load_author_checkpoint
from .config import CLASS_NAMES, MODELS, PRESETS, ModelConfig, TrainConfig, model_config, register_model, train_config
from .layers import FiLM, FiLMedResidualBlock, ModalityTemporalAttention
from .models import build_model, has_attention, with_attention, with_film
from .recipe import UpdateDropping, compile_model

__all__ = [
    "load_author_checkpoint", "CLASS_NAMES", "MODELS", "PRESETS", "ModelConfig", "TrainConfig", "model_config",
    "register_model", "train_config", "FiLM", "FiLMedResidualBlock", "ModalityTemporalAttention", "build_model",
    "has_attention", "with_attention", "with_film", "UpdateDropping", "compile_model"
]  # fmt: skip
