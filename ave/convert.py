"""`python -m ave.convert CHECKPOINT OUT.keras`: the authors' checkpoints as Keras models."""

import dataclasses
import math
from pathlib import Path

import keras
import tyro

from ave.config import CLASS_NAMES, ModelConfig, model_config
from ave.match_weights import convert_author_weights, is_author_file
from ave.models import segment_classifier
from avpipeline.checkpoints import read_torch
from avpipeline.cli import run
from avpipeline.datasets.ave import RELEASED_FEATURES
from avpipeline.errors import InputError
from avpipeline.saved import ModelInfo, save_model
from avpipeline.torch_weights import assign, bidirectional_lstm_names, linear_names

# Network class of the authors' code -> the model's name here.
AUTHOR_CLASSES = {
    "models.att_Net": "av_att",
    "models_fusion.TBMRF_Net": "dmrn",
    "models_weakly.att_Net": "w_av_att",
}
_FILES = "AV_att.pt, AV_att_weak.pt or DMRN.pt"

_ATTENTION = ("affine_audio", "affine_video", "affine_v", "affine_g", "affine_h")


def load_author_checkpoint(path) -> keras.Model:
    """The authors' `AV_att.pt`, `AV_att_weak.pt` or `DMRN.pt` as a Keras model.

    Which model it is and its sizes are read off the file. Whole-module files of torch 0.3 and newer say their
    network's class; a state dict does not, and the tensors of A+V-att and its weak form are the same, so a state
    dict is taken as A+V-att or, where it holds a DMRN block, as DMRN. Needs neither torch nor the authors' source,
    and nothing that the file asks for is executed.

    Raises:
      InputError: not a torch file, a file of another network, or tensors that do not fit together.
    """
    model, _ = _load(path)
    return model


def _load(path) -> tuple[keras.Model, ModelConfig]:
    file = read_torch(path)
    if file.root_class is not None and file.root_class not in AUTHOR_CLASSES:
        known = ", ".join(AUTHOR_CLASSES)
        raise InputError(f"{path}: holds the network {file.root_class}, known are {known}; give {_FILES}.")
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
    """The configuration of the model `name` that the tensors' shapes tell."""
    try:
        attention_units, audio_channels = state["affine_audio.weight"].shape
        regions = state["affine_v.weight"].shape[0]
        side = math.isqrt(regions)
        # DMRN has no hidden layer before its classifier.
        hidden = {} if name == "dmrn" else {"hidden_units": state["L1.weight"].shape[0]}
        config = model_config(
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
            f"{path}: is no checkpoint of the AVE networks (no usable {error}); give the authors' {_FILES}."
        ) from error
    if side * side != regions:
        raise InputError(f"{path}: attends over {regions} regions, which is no square map; give {_FILES}.")
    return config


@dataclasses.dataclass(frozen=True)
class Settings:
    """Files to read and write."""

    checkpoint: tyro.conf.Positional[Path]
    """The authors' checkpoint, e.g. AV_att.pt, or cmm_model_weights.h5."""
    out: tyro.conf.Positional[Path]
    """The .keras file to write."""


def main(settings: Settings) -> None:
    """Converts an authors' checkpoint to a .keras model for predict, evaluate and notebooks."""
    if is_author_file(settings.checkpoint):
        print(_written(settings, convert_author_weights(settings.checkpoint, settings.out)))
        return
    model, config = _load(settings.checkpoint)
    if config.num_classes != len(CLASS_NAMES):
        raise InputError(
            f"{settings.checkpoint}: has {config.num_classes} classes and AVE has {len(CLASS_NAMES)}, so their names "
            "are not known; use ave.load_author_checkpoint and avpipeline.saved.save_model with your own names."
        )
    info = ModelInfo(
        paper="ave",
        model=model.name,
        preset="code",
        class_names=CLASS_NAMES,
        features=RELEASED_FEATURES,
        dataset="ave",
        config=dataclasses.asdict(config),
    )
    save_model(model, settings.out, info)
    print(_written(settings, model))


def _written(settings: Settings, model: keras.Model) -> str:
    return f"{settings.checkpoint}: {model.name}, {model.count_params():,} parameters, written to {settings.out}"


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.convert"))
