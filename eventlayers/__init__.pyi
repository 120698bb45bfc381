"""Event-Specific Audio-Visual Fusion Layers (Senocak et al., WACV 2023)."""

from .analysis import (
    category_counts as category_counts,
)
from .analysis import (
    category_layers as category_layers,
)
from .analysis import (
    complementary_counts as complementary_counts,
)
from .analysis import (
    most_activating as most_activating,
)
from .config import (
    LAYERS as LAYERS,
)
from .config import (
    MODELS as MODELS,
)
from .config import (
    PRESETS as PRESETS,
)
from .config import (
    ModelConfig as ModelConfig,
)
from .config import (
    TrainConfig as TrainConfig,
)
from .config import (
    model_config as model_config,
)
from .config import (
    register_model as register_model,
)
from .config import (
    train_config as train_config,
)
from .layers import (
    AudioEventLayer as AudioEventLayer,
)
from .layers import (
    ContinuousEventLayer as ContinuousEventLayer,
)
from .layers import (
    InstantEventLayer as InstantEventLayer,
)
from .layers import (
    OnsetEventLayer as OnsetEventLayer,
)
from .layers import (
    VisualEventLayer as VisualEventLayer,
)
from .layers import (
    sound_localization as sound_localization,
)
from .models import build_model as build_model
from .models import time_step_features as time_step_features
from .recipe import compile_model as compile_model
from .sound import EventLogMel as EventLogMel
from .sound import onsets as onsets
from .voting import (
    label_sets as label_sets,
)
from .voting import (
    multi_label_f1 as multi_label_f1,
)
from .voting import (
    video_accuracy as video_accuracy,
)
from .voting import (
    vote as vote,
)
