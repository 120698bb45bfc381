"""Multi-level Attention Fusion Network for Audio-visual Event Recognition (Brousmiche et al., 2021)."""

from .author_checkpoints import load_author_checkpoint as load_author_checkpoint
from .config import (
    CLASS_NAMES as CLASS_NAMES,
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
    FiLM as FiLM,
)
from .layers import (
    FiLMedResidualBlock as FiLMedResidualBlock,
)
from .layers import (
    ModalityTemporalAttention as ModalityTemporalAttention,
)
from .models import (
    build_model as build_model,
)
from .models import (
    has_attention as has_attention,
)
from .models import (
    with_attention as with_attention,
)
from .models import (
    with_film as with_film,
)
from .recipe import UpdateDropping as UpdateDropping
from .recipe import compile_model as compile_model
