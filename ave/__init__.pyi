"""Audio-Visual Event Localization in Unconstrained Videos (Tian et al., ECCV 2018)."""

from .author_checkpoints import load_author_checkpoint as load_author_checkpoint
from .config import (
    MODELS as MODELS,
    PRESETS as PRESETS,
    ModelConfig as ModelConfig,
    TrainConfig as TrainConfig,
    model_config as model_config,
    train_config as train_config,
)
from .layers import AudioGuidedAttention as AudioGuidedAttention
from .match.dcca import build_dcca as build_dcca
from .match.networks import build_avdln as build_avdln, load_cross_modality_weights as load_cross_modality_weights
from .models import build_model as build_model, has_attention as has_attention, with_attention as with_attention
from .recipe import compile_model as compile_model
