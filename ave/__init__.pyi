"""Audio-Visual Event Localization in Unconstrained Videos (Tian et al., ECCV 2018)."""

from .author_checkpoints import load_author_checkpoint
from .config import MODELS, PRESETS, ModelConfig, TrainConfig, model_config, register_model, train_config
from .fusion import Fusion, register_fusion
from .layers import AudioGuidedAttention
from .match.config import register_matcher
from .match.dcca import build_dcca
from .match.networks import build_avdln, load_cross_modality_weights
from .models import build_model, has_attention, with_attention
from .recipe import compile_model

__all__ = [
    "load_author_checkpoint", "MODELS", "PRESETS", "ModelConfig", "TrainConfig", "model_config", "register_model",
    "train_config", "Fusion", "register_fusion", "AudioGuidedAttention", "register_matcher", "build_dcca",
    "build_avdln", "load_cross_modality_weights", "build_model", "has_attention", "with_attention", "compile_model"
]  # fmt: skip
