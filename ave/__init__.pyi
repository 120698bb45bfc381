"""Audio-Visual Event Localization in Unconstrained Videos (Tian et al., ECCV 2018)."""

from .author_checkpoints import load_author_checkpoint as load_author_checkpoint
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
from .fusion import Fusion as Fusion
from .fusion import register_fusion as register_fusion
from .layers import AudioGuidedAttention as AudioGuidedAttention
from .match.dcca import build_dcca as build_dcca
from .match.networks import build_avdln as build_avdln
from .match.networks import load_cross_modality_weights as load_cross_modality_weights
from .models import build_model as build_model
from .models import has_attention as has_attention
from .models import with_attention as with_attention
from .recipe import compile_model as compile_model
