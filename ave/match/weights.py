"""Weight files of cross-modality networks: our own .keras files and the authors' file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ave.match.config import preset_of
from ave.match.pairs import CLASS_NAMES
from avpipeline.datasets.ave import RELEASED_FEATURES
from avpipeline.errors import InputError
from avpipeline.training.saved import ModelInfo, load_model, save_model

if TYPE_CHECKING:
    import keras


def is_author_file(path) -> bool:
    """Whether a weight file was written by Keras 2, like the authors' cmm_model_weights.h5."""
    return Path(path).suffix.lower() in (".h5", ".hdf5")


def load_matcher(path) -> tuple[keras.Model, ModelInfo]:
    """A cross-modality network and its description, from a .keras file of ours or the authors' cmm_model_weights.h5.

    Raises:
      InputError: no such file, an incomplete file, or another kind of model.
    """
    from ave.match.networks import load_cross_modality_weights

    if is_author_file(path):
        model = load_cross_modality_weights(path)
        return model, author_info(model)
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


def convert_author_weights(path, out) -> keras.Model:
    """Writes the authors' cmm_model_weights.h5 as the .keras file `out`; returns the model.

    Raises:
      InputError: as `load_cross_modality_weights`, or `out` cannot be written.
    """
    from ave.match.networks import load_cross_modality_weights

    model = load_cross_modality_weights(path)
    save_model(model, out, author_info(model))
    return model


def author_info(model: keras.Model) -> ModelInfo:
    """The description of the authors' weights: AVDLN on the features that AVE's authors released."""
    hidden, embedding = (model.get_layer(f"visual_{layer}").units for layer in (1, 2))
    return ModelInfo(
        paper="ave",
        model="avdln",
        preset=preset_of("avdln"),
        class_names=CLASS_NAMES,
        features=RELEASED_FEATURES,
        dataset="ave",
        config={"hidden_units": hidden, "embedding_units": embedding},
    )
