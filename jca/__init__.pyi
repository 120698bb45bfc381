"""Audio-Visual Event Localization via Recursive Fusion by Joint Co-Attention (Duan et al., WACV 2021)."""

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
from .layers import JointCoAttention as JointCoAttention
from .layers import Rerepresentation as Rerepresentation
from .models import build_model as build_model
from .recipe import compile_model as compile_model
