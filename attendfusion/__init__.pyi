"""Attend-Fusion: Efficient Audio-Visual Fusion for Video Classification (Awan et al., 2024)."""

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
    Attention as Attention,
)
from .layers import (
    FullyConnected as FullyConnected,
)
from .layers import (
    GatedResidualBlock as GatedResidualBlock,
)
from .layers import (
    ResidualBlock as ResidualBlock,
)
from .models import build_model as build_model
from .recipe import compile_model as compile_model
from .sizes import count_parameters as count_parameters
