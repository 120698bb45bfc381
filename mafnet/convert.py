"""`python -m mafnet.convert CHECKPOINT OUT.keras`: the authors' checkpoint as a Keras model."""

import dataclasses

from avpipeline.cli import run
from avpipeline.datasets.mafnet_pickles import FEATURES
from avpipeline.training.conversion import ConvertSettings, save_converted
from mafnet.config import CLASS_NAMES


def main(settings: ConvertSettings) -> None:
    """Converts the authors' checkpoint, MAFnet.index with its MAFnet.data-00000-of-00001 beside it, to a .keras model.

    Examples:
      python -m mafnet.convert MAFnet.index mafnet.keras
    """
    from mafnet.author_checkpoints import load_with_config

    model, config = load_with_config(settings.checkpoint)
    # The model gets the checkpoint's own sizes, so that features of other sizes are refused when it is used.
    shapes = {"visual": config.visual_shape, "audio": config.audio_shape}
    features = {name: dataclasses.replace(FEATURES[name], shape=shape) for name, shape in shapes.items()}
    save_converted("mafnet", settings, model, config, CLASS_NAMES, features)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m mafnet.convert"))
