"""Loads the authors' PyTorch checkpoints as Keras models."""

import math

import keras

from ave.config import ModelConfig, model_config
from ave.models import segment_classifier
from avpipeline.checkpoints import read_torch
from avpipeline.checkpoints.assign import assign, bidirectional_lstm_names, linear_names
from avpipeline.errors import InputError

# Network class of the authors' code -> the model's name here.
AUTHOR_CLASSES = {"models.att_Net": "av_att", "models_fusion.TBMRF_Net": "dmrn", "models_weakly.att_Net": "w_av_att"}
_FILES = "AV_att.pt, AV_att_weak.pt or DMRN.pt"

_ATTENTION = ("affine_audio", "affine_video", "affine_v", "affine_g", "affine_h")


def load_author_checkpoint(path) -> keras.Model:
    """The authors' `AV_att.pt`, `AV_att_weak.pt` or `DMRN.pt` as a Keras model.

    The model and its sizes are read off the file. Whole-module files of torch 0.3 and newer name their network's
    class; a state dict does not, and the tensors of A+V-att and its weakly supervised variant are the same, so a state
    dict is read as A+V-att or, if it contains a DMRN block, as DMRN. Needs neither torch nor the authors' source, and
    code stored in the file is never executed.

    Raises:
      InputError: not a torch file, a file of another network, or tensors that do not fit together.
    """
    return load_with_config(path)[0]


def load_with_config(path) -> tuple[keras.Model, ModelConfig]:
    """Like `load_author_checkpoint`, with the configuration read off the tensors."""
    file = read_torch(path, classes=AUTHOR_CLASSES)
    if file.root_class not in (None, *AUTHOR_CLASSES):
        known = ", ".join(AUTHOR_CLASSES)
        raise InputError(f"{path}: holds the network {file.root_class}, which is not one of {known}; give {_FILES}.")
    name = AUTHOR_CLASSES.get(file.root_class, "dmrn" if "L1.weight" not in file.state else "av_att")
    config = _sizes(path, name, file.state)
    model = segment_classifier(config, name)
    names = linear_names("L1", "L1") | linear_names("L2", "L2")
    for layer in _ATTENTION:
        names |= linear_names(layer, f"attention/{layer}")
    for layer in ("lstm_audio", "lstm_video"):
        names |= bidirectional_lstm_names(layer, layer)
    for layer in ("U_a", "U_v"):
        for index in (0, 2):
            names |= linear_names(f"{layer}.{index}", f"fusion/block_0/{layer}_{index}")
    assign(model, file.state, names, path)
    return model, config


def _sizes(path, name: str, state) -> ModelConfig:
    """The configuration of the model `name`, read off the shapes of the tensors."""
    try:
        attention_units, audio_channels = state["affine_audio.weight"].shape
        # The map is square; for another number of regions `assign` says that the tensors do not fit.
        side = math.isqrt(state["affine_v.weight"].shape[0])
        # DMRN has no hidden layer before its classifier.
        hidden = {} if name == "dmrn" else {"hidden_units": state["L1.weight"].shape[0]}
        return model_config(
            name,
            attention_units=attention_units,
            audio_channels=audio_channels,
            visual_shape=(side, side, state["affine_video.weight"].shape[1]),
            lstm_units=state["lstm_audio.weight_hh_l0"].shape[1],
            num_classes=state["L2.weight"].shape[0],
            **hidden,
        )
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(
            f"{path}: is not a checkpoint of the AVE networks (no usable {error}); give the authors' {_FILES}."
        ) from error
