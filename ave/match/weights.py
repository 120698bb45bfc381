"""Weight files of cross-modality networks: our own .keras files and the authors' file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ave.match.config import preset_of
from ave.match.pairs import CLASS_NAMES
from avpipeline.datasets.ave import RELEASED_FEATURES
from avpipeline.errors import InputError
from avpipeline.training.saved import ModelInfo, load_model

if TYPE_CHECKING:
    import keras


def is_author_file(path) -> bool:
    """Whether a weight file was written by Keras 2, like the authors' cmm_model_weights.h5."""
    return Path(path).suffix.lower() in (".h5", ".hdf5")


def load_matcher(path) -> tuple[keras.Model, ModelInfo]:
    """A cross-modality network and its description, from a .keras file of ours or the authors' cmm_model_weights.h5.

    The latter is described as AVDLN on the features that AVE's authors released.

    Raises:
      InputError: no such file, an incomplete file, or another kind of model.
    """
    if is_author_file(path):
        from ave.match.networks import load_cross_modality_weights

        model = load_cross_modality_weights(path)
        hidden, embedding = (model.get_layer(f"visual_{layer}").units for layer in (1, 2))
        sizes = {"hidden_units": hidden, "embedding_units": embedding}
        return model, ModelInfo("ave", "avdln", preset_of("avdln"), CLASS_NAMES, RELEASED_FEATURES, "ave", sizes)
    model, info = load_model(path, paper="ave")
    if info.class_names != CLASS_NAMES:
        raise InputError(
            f"{path}: holds '{info.model}', which labels segments and does not match sounds with frames; give a file "
            "written by python -m ave.match, or use python -m ave.predict and ave.evaluate with this one."
        )
    return model, info


def require_labeller(path, info: ModelInfo, use: str) -> None:
    """Raises InputError for a cross-modality network if a segment classifier is needed.

    Args:
      use: the command for such a network, e.g. `"python -m ave.match.predict"`.
    """
    if info.class_names == CLASS_NAMES:
        raise InputError(f"{path}: holds '{info.model}', which matches sounds with frames; use {use} with it.")
