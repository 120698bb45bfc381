"""Event-Specific Audio-Visual Fusion Layers (Senocak et al., WACV 2023)."""

from .analysis import category_counts, category_layers, complementary_counts, most_activating
from .config import LAYERS, MODELS, PRESETS, ModelConfig, TrainConfig, model_config, register_model, train_config
from .layers import (
    AudioEventLayer,
    ContinuousEventLayer,
    InstantEventLayer,
    OnsetEventLayer,
    VisualEventLayer,
    sound_localization,
)
from .models import build_model, time_step_features
from .recipe import compile_model
from .sound import EventLogMel, onsets
from .voting import label_sets, multi_label_f1, video_accuracy, vote

__all__ = [
    "category_counts", "category_layers", "complementary_counts", "most_activating", "LAYERS", "MODELS", "PRESETS",
    "ModelConfig", "TrainConfig", "model_config", "register_model", "train_config", "AudioEventLayer",
    "ContinuousEventLayer", "InstantEventLayer", "OnsetEventLayer", "VisualEventLayer", "sound_localization",
    "build_model", "time_step_features", "compile_model", "EventLogMel", "onsets", "label_sets", "multi_label_f1",
    "video_accuracy", "vote"
]  # fmt: skip
