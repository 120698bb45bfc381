"""`python -m mafnet.convert CHECKPOINT OUT.keras`: the authors' checkpoint as a Keras model."""

import dataclasses
from pathlib import Path

import tyro

from avpipeline.cli import run
from avpipeline.datasets.mafnet_pickles import FEATURES
from avpipeline.training.conversion import ConvertSettings, save_converted
from mafnet.config import CLASS_NAMES


@dataclasses.dataclass(frozen=True)
class Settings(ConvertSettings):
    """Files to read and write."""

    checkpoint: tyro.conf.Positional[Path]
    """The authors' checkpoint: MAFnet.index, beside its MAFnet.data-00000-of-00001."""


def main(settings: Settings) -> None:
    """Converts the authors' checkpoint to a .keras model for predict, evaluate and notebooks.

    Examples:
      python -m mafnet.convert MAFnet.index mafnet.keras
    """
    from mafnet.author_checkpoints import load_with_config

    model, config = load_with_config(settings.checkpoint)
    # With the checkpoint's own sizes, so that features of other sizes are refused when it is used.
    shapes = {"visual": config.visual_shape, "audio": config.audio_shape}
    features = {name: dataclasses.replace(FEATURES[name], shape=shape) for name, shape in shapes.items()}
    save_converted("mafnet", settings, model, config, CLASS_NAMES, features)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m mafnet.convert"))
