"""`python -m ave.convert CHECKPOINT OUT.keras`: the authors' checkpoints as Keras models."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import tyro

from ave.author_checkpoints import load_with_config
from ave.config import CLASS_NAMES
from ave.match.weights import convert_author_weights, is_author_file
from avpipeline.cli import run
from avpipeline.datasets.ave import RELEASED_FEATURES
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.training.saved import ModelInfo, save_model


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
        print(written(settings, convert_author_weights(settings.checkpoint, settings.out)))
        return
    model, config = load_with_config(settings.checkpoint)
    save_model(model, settings.out, info_of("ave", settings.checkpoint, model, config))
    print(written(settings, model))


def info_of(
    paper: str,
    checkpoint: Path,
    model: keras.Model,
    config,
    *,
    class_names: Sequence[str] = CLASS_NAMES,
    features: Mapping[str, FeatureInfo] = RELEASED_FEATURES,
) -> ModelInfo:
    """What a model from an authors' checkpoint, trained on AVE, says of itself.

    Args:
      paper: the package that read it.
      config: the model's configuration, a dataclass.
      class_names: AVE's, in the order of the model's outputs.
      features: what it was trained on.

    Raises:
      InputError: it has other classes than AVE.
    """
    if config.num_classes != len(class_names):
        raise InputError(
            f"{checkpoint}: has {config.num_classes} classes and AVE has {len(class_names)}, so their names are not "
            f"known; use {paper}.load_author_checkpoint and avpipeline.training.saved.save_model with your own names."
        )
    return ModelInfo(
        paper=paper,
        model=model.name,
        preset="code",
        class_names=class_names,
        features=features,
        dataset="ave",
        config=dataclasses.asdict(config),
    )


def written(settings: Settings, model: keras.Model) -> str:
    """The sentence that ends a conversion."""
    return f"{settings.checkpoint}: {model.name}, {model.count_params():,} parameters, written to {settings.out}"


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.convert"))
