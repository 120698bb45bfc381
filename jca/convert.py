"""`python -m jca.convert CHECKPOINT OUT.keras`: the authors' checkpoints as Keras models."""

import dataclasses
from pathlib import Path

import tyro

from ave.config import CLASS_NAMES
from avpipeline.cli import run
from avpipeline.datasets.ave import RELEASED_FEATURES
from avpipeline.training.conversion import ConvertSettings, save_converted


@dataclasses.dataclass(frozen=True)
class Settings(ConvertSettings):
    """Files to read and write."""

    checkpoint: tyro.conf.Positional[Path]
    """A checkpoint that the authors' code wrote: a whole network or its state dict."""


def main(settings: Settings) -> None:
    """Converts a JCA checkpoint of the authors to a .keras model for predict, evaluate and notebooks.

    Examples:
      python -m jca.convert model.pt jca.keras
    """
    from jca.author_checkpoints import load_with_config

    model, config = load_with_config(settings.checkpoint)
    save_converted("jca", settings, model, config, CLASS_NAMES, RELEASED_FEATURES)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m jca.convert"))
