"""`python -m ave.convert CHECKPOINT OUT.keras`: the authors' checkpoints as Keras models."""

from ave.config import CLASS_NAMES
from ave.match.weights import is_author_file, load_matcher
from avpipeline.cli import run
from avpipeline.datasets.ave import RELEASED_FEATURES
from avpipeline.training.conversion import ConvertSettings, save_converted, tell_converted
from avpipeline.training.saved import save_model


def main(settings: ConvertSettings) -> None:
    """Converts one of the authors' checkpoints to a .keras model for predict, evaluate and notebooks.

    Examples:
      python -m ave.convert AV_att.pt av_att.keras
      python -m ave.convert cmm_model_weights.h5 avdln.keras
    """
    from ave.author_checkpoints import load_with_config

    if is_author_file(settings.checkpoint):
        model, info = load_matcher(settings.checkpoint)
        save_model(model, settings.out, info)
        tell_converted(settings, model)
        return
    model, config = load_with_config(settings.checkpoint)
    save_converted("ave", settings, model, config, CLASS_NAMES, RELEASED_FEATURES)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.convert"))
