"""`python -m mafnet.evaluate`: a saved model's video accuracy on a split, overall and per class; confusion matrix."""

import dataclasses
from typing import Literal

from avpipeline.cli import run
from avpipeline.datasets import REGISTERED
from avpipeline.datasets.base import Split
from avpipeline.results.evaluation import EvaluationSettings, report_classes, require_fit
from avpipeline.training.saved import ModelInfo, load_model
from mafnet.config import ModelConfig
from mafnet.data import DATASETS, KINETICS_LISTS, load_split


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitSettings(EvaluationSettings):
    """A saved model and the split to evaluate it on."""

    dataset: "Literal[(*DATASETS, *REGISTERED)] | None" = None
    """What to evaluate on. [default: "ave" with --data, else "rendered"]"""
    fold: Literal[1, 2, 3] = 1
    """UCF51: which of its official splits."""
    classes: Literal[KINETICS_LISTS] = 32
    """Kinetics-Sounds: which of its class lists."""


def main(settings: SplitSettings) -> None:
    """Evaluates a saved model on a split: video accuracy, accuracy of each class, confusion matrix.

    Examples:
      python -m mafnet.evaluate --weights W.keras --data DIR
    """
    from avpipeline.training.runs import predict

    model, info = load_model(settings.weights, paper="mafnet")
    split = load_split_for(settings, info)
    report_classes(settings.out, settings.weights, info, split, predict(model, split))


def load_split_for(settings: SplitSettings, info: ModelInfo) -> Split:
    """The split that `settings` name, with the inputs of the model described by `info`.

    Raises:
      InputError: the data is missing or wrong, or has other classes or features than the model was trained on.
    """
    shapes = {f"{name}_shape": feature.shape for name, feature in info.features.items()}
    network = ModelConfig(modalities=tuple(info.features), **shapes)
    where = {"data_dir": settings.data, "fold": settings.fold, "classes": settings.classes}
    split = load_split(settings.chosen_dataset, settings.split, network, **where)
    require_fit(settings.weights, info, split)
    return split


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m mafnet.evaluate"))
