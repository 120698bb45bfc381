"""Multi-level Attention Fusion Network for Audio-visual Event Recognition (Brousmiche et al., 2021)."""

from .author_checkpoints import load_author_checkpoint as load_author_checkpoint
from .config import (
    CLASS_NAMES as CLASS_NAMES,
    MODELS as MODELS,
    PRESETS as PRESETS,
    ModelConfig as ModelConfig,
    TrainConfig as TrainConfig,
    model_config as model_config,
    train_config as train_config,
)
from .layers import (
    FiLM as FiLM,
    FiLMedResidualBlock as FiLMedResidualBlock,
    ModalityTemporalAttention as ModalityTemporalAttention,
)
from .models import (
    build_model as build_model,
    has_attention as has_attention,
    with_attention as with_attention,
    with_film as with_film,
)
from .recipe import UpdateDropping as UpdateDropping, compile_model as compile_model
