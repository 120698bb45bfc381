"""`python -m ave.evaluate`: a saved model's segment accuracy on a split, overall and per class; confusion matrix."""

import dataclasses
from pathlib import Path
from typing import Literal

from ave.match.weights import require_labeller
from avpipeline.cli import run
from avpipeline.datasets import DATASETS, load_split
from avpipeline.results.evaluation import EvaluationSettings, report_classes, require_fit
from avpipeline.training.saved import load_model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(EvaluationSettings):
    """Settings of an evaluation command."""

    weights: Path
    """The model: a .keras file written by python -m ave.train or python -m ave.convert."""
    dataset: "Literal[tuple(DATASETS)] | None" = None
    """What to evaluate on. [default: "ave" with --data, else "rendered"]"""
    out: Path = Path("runs") / "ave" / "evaluate"


def main(settings: Settings) -> None:
    """Evaluates a saved model on a split: segment accuracy, accuracy of each class, confusion matrix.

    Examples:
      python -m ave.evaluate --weights W.keras
      python -m ave.evaluate --weights W.keras --data DIR --split val
    """
    from ave.models import segment_output
    from avpipeline.training.runs import predict

    model, info = load_model(settings.weights, paper="ave")
    require_labeller(settings.weights, info, "python -m ave.match.evaluate")
    split = load_split(settings.chosen_dataset, settings.split, settings.data, modalities=list(model.input))
    require_fit(settings.weights, info, split)
    predictions = predict(model, split, output=segment_output(model))
    report_classes(settings.out, settings.weights, info, split, predictions)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.evaluate"))
