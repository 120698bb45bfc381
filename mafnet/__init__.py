"""Multi-level Attention Fusion Network for Audio-visual Event Recognition (Brousmiche et al., 2021)."""

import avpipeline  # noqa: F401  first: it silences TensorFlow's startup messages

# isort: split
from mafnet.author_checkpoints import load_author_checkpoint
from mafnet.config import CLASS_NAMES, MODELS, PRESETS, ModelConfig, TrainConfig, model_config, train_config
from mafnet.layers import FiLM, FiLMedResidualBlock, ModalityTemporalAttention
from mafnet.models import build_model, has_attention, with_attention, with_film
from mafnet.recipe import UpdateDropping, compile_model

__all__ = [
    "CLASS_NAMES",
    "MODELS",
    "PRESETS",
    "FiLM",
    "FiLMedResidualBlock",
    "ModalityTemporalAttention",
    "ModelConfig",
    "TrainConfig",
    "UpdateDropping",
    "build_model",
    "compile_model",
    "has_attention",
    "load_author_checkpoint",
    "model_config",
    "train_config",
    "with_attention",
    "with_film",
]
