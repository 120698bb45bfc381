"""`python -m mafnet.convert CHECKPOINT OUT.keras`: the authors' checkpoint as a Keras model."""

import dataclasses
from pathlib import Path

import tyro

from avpipeline.cli import run
from avpipeline.datasets.mafnet_pickles import FEATURES
from avpipeline.errors import InputError
from avpipeline.saved import ModelInfo, save_model
from mafnet.author_checkpoints import load_with_config
from mafnet.config import CLASS_NAMES


@dataclasses.dataclass(frozen=True)
class Settings:
    """Files to read and write."""

    checkpoint: tyro.conf.Positional[Path]
    """The authors' checkpoint: MAFnet.index, beside its MAFnet.data-00000-of-00001."""
    out: tyro.conf.Positional[Path]
    """The .keras file to write."""


def main(settings: Settings) -> None:
    """Converts the authors' checkpoint to a .keras model for predict, evaluate and notebooks."""
    model, config = load_with_config(settings.checkpoint)
    if config.num_classes != len(CLASS_NAMES):
        raise InputError(
            f"{settings.checkpoint}: has {config.num_classes} classes and AVE has {len(CLASS_NAMES)}, so their "
            "names are not known; use mafnet.load_author_checkpoint and avpipeline.saved.save_model with names of "
            "your own."
        )
    shapes = {"visual": config.visual_shape, "audio": config.audio_shape}
    info = ModelInfo(
        paper="mafnet",
        model=model.name,
        preset="code",
        class_names=CLASS_NAMES,
        # The checkpoint's own sizes, so that features of others are refused where it is used.
        features={name: dataclasses.replace(FEATURES[name], shape=shape) for name, shape in shapes.items()},
        dataset="ave",
        config=dataclasses.asdict(config),
    )
    save_model(model, settings.out, info)
    print(f"{settings.checkpoint}: {model.name}, {model.count_params():,} parameters, written to {settings.out}")


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m mafnet.convert"))
