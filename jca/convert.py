"""`python -m jca.convert CHECKPOINT OUT.keras`: the authors' checkpoints as Keras models."""

from ave.config import CLASS_NAMES
from avpipeline.cli import run
from avpipeline.datasets.ave import RELEASED_FEATURES
from avpipeline.training.conversion import ConvertSettings, save_converted


def main(settings: ConvertSettings) -> None:
    """Converts a JCA checkpoint of the authors' code, a whole network or its state dict, to a .keras model.

    Examples:
      python -m jca.convert model.pt jca.keras
    """
    from jca.author_checkpoints import load_with_config

    model, config = load_with_config(settings.checkpoint)
    save_converted("jca", settings, model, config, CLASS_NAMES, RELEASED_FEATURES)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m jca.convert"))
