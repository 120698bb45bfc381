"""Audio-Visual Event Localization in Unconstrained Videos (Tian et al., ECCV 2018)."""

import avpipeline  # noqa: F401  first: it silences TensorFlow's startup messages

# isort: split
from ave.author_checkpoints import load_author_checkpoint
from ave.config import MODELS, PRESETS, ModelConfig, TrainConfig, model_config, train_config
from ave.layers import AudioGuidedAttention
from ave.match.dcca import build_dcca
from ave.match.networks import build_avdln, load_cross_modality_weights
from ave.models import build_model, has_attention, with_attention
from ave.recipe import compile_model

__all__ = [
    "MODELS",
    "PRESETS",
    "AudioGuidedAttention",
    "ModelConfig",
    "TrainConfig",
    "build_avdln",
    "build_dcca",
    "build_model",
    "compile_model",
    "has_attention",
    "load_author_checkpoint",
    "load_cross_modality_weights",
    "model_config",
    "train_config",
    "with_attention",
]
