"""Audio-Visual Event Localization in Unconstrained Videos (Tian et al., ECCV 2018)."""

from ave.config import MODELS, PRESETS, ModelConfig, TrainConfig, model_config, train_config
from ave.layers import AudioGuidedAttention
from ave.models import build_model, has_attention, with_attention

__all__ = [
    "MODELS",
    "PRESETS",
    "AudioGuidedAttention",
    "ModelConfig",
    "TrainConfig",
    "build_model",
    "has_attention",
    "model_config",
    "train_config",
    "with_attention",
]
