"""Event-Specific Audio-Visual Fusion Layers (Senocak et al., WACV 2023)."""

from .analysis import (
    category_counts as category_counts,
    category_layers as category_layers,
    complementary_counts as complementary_counts,
    most_activating as most_activating,
)
from .config import (
    LAYERS as LAYERS,
    MODELS as MODELS,
    PRESETS as PRESETS,
    ModelConfig as ModelConfig,
    TrainConfig as TrainConfig,
    model_config as model_config,
    train_config as train_config,
)
from .layers import (
    AudioEventLayer as AudioEventLayer,
    ContinuousEventLayer as ContinuousEventLayer,
    InstantEventLayer as InstantEventLayer,
    OnsetEventLayer as OnsetEventLayer,
    VisualEventLayer as VisualEventLayer,
    sound_localization as sound_localization,
)
from .models import build_model as build_model, time_step_features as time_step_features
from .recipe import compile_model as compile_model
from .sound import EventLogMel as EventLogMel, onsets as onsets
from .voting import (
    label_sets as label_sets,
    multi_label_f1 as multi_label_f1,
    video_accuracy as video_accuracy,
    vote as vote,
)
