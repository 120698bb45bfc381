"""What the convert commands share: saving a model read from an authors' checkpoint, with a description of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from avpipeline.cli.progress import link
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.training.saved import ModelInfo

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True)
class ConvertSettings:
    """Files to read and write."""

    checkpoint: tyro.conf.Positional[Path]
    """The authors' checkpoint."""
    out: tyro.conf.Positional[Path]
    """The .keras file to write."""


def save_converted(
    paper: str,
    settings: ConvertSettings,
    model: keras.Model,
    config,
    class_names: Sequence[str],
    features: Mapping[str, FeatureInfo],
) -> None:
    """Saves a model read from an authors' checkpoint, which was trained on AVE, and prints a line about it.

    Args:
      paper: the package that read it.
      config: the model's configuration, a dataclass.
      class_names: AVE's, in the order of the model's outputs.
      features: what it was trained on.

    Raises:
      InputError: its number of classes is not AVE's.
    """
    from avpipeline.training.saved import save_model

    if config.num_classes != len(class_names):
        raise InputError(
            f"{settings.checkpoint}: has {config.num_classes} classes and AVE has {len(class_names)}, so their names "
            f"are not known; use {paper}.load_author_checkpoint and avpipeline.training.saved.save_model with your own "
            "names."
        )
    info = ModelInfo(paper, model.name, "code", class_names, features, "ave", dataclasses.asdict(config))
    save_model(model, settings.out, info)
    tell_converted(settings, model)


def tell_converted(settings: ConvertSettings, model: keras.Model) -> None:
    """Prints the line that ends a conversion."""
    print(f"{settings.checkpoint}: {model.name}, {model.count_params():,} parameters, written to {link(settings.out)}")
