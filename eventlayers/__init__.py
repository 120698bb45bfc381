"""Event-Specific Audio-Visual Fusion Layers (Senocak et al., WACV 2023)."""

import avpipeline  # noqa: F401  first: it silences TensorFlow's startup messages

# isort: split
from eventlayers.analysis import category_counts, category_layers, complementary_counts, most_activating
from eventlayers.config import LAYERS, MODELS, PRESETS, ModelConfig, TrainConfig, model_config, train_config
from eventlayers.layers import (
    AudioEventLayer,
    ContinuousEventLayer,
    InstantEventLayer,
    OnsetEventLayer,
    VisualEventLayer,
    sound_localization,
)
from eventlayers.models import build_model, time_step_features
from eventlayers.recipe import compile_model
from eventlayers.sound import EventLogMel, onsets
from eventlayers.voting import label_sets, multi_label_f1, video_accuracy, vote

__all__ = [
    "LAYERS",
    "MODELS",
    "PRESETS",
    "AudioEventLayer",
    "ContinuousEventLayer",
    "EventLogMel",
    "InstantEventLayer",
    "ModelConfig",
    "OnsetEventLayer",
    "TrainConfig",
    "VisualEventLayer",
    "build_model",
    "category_counts",
    "category_layers",
    "compile_model",
    "complementary_counts",
    "label_sets",
    "model_config",
    "most_activating",
    "multi_label_f1",
    "onsets",
    "sound_localization",
    "time_step_features",
    "train_config",
    "video_accuracy",
    "vote",
]
