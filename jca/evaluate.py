"""`python -m jca.evaluate`: a saved model's segment accuracy on a split, overall and per class; confusion matrix."""

import dataclasses
from pathlib import Path
from typing import Literal

from avpipeline.cli import run
from avpipeline.datasets import DATASETS, load_split
from avpipeline.results.evaluation import EvaluationSettings, report_classes, require_fit
from avpipeline.training.saved import load_model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(EvaluationSettings):
    """Settings of an evaluation command."""

    weights: Path
    """The model: a .keras file written by python -m jca.train or python -m jca.convert."""
    dataset: "Literal[tuple(DATASETS)] | None" = None
    """What to evaluate on. [default: "ave" with --data, else "rendered"]"""
    out: Path = Path("runs") / "jca" / "evaluate"


def main(settings: Settings) -> None:
    """Evaluates a saved model on a split: segment accuracy, accuracy of each class, confusion matrix.

    Examples:
      python -m jca.evaluate --weights W.keras --data DIR
    """
    from jca.reading import measured

    model, info = load_model(settings.weights, paper="jca")
    split = load_split(settings.chosen_dataset, settings.split, settings.data, modalities=list(model.input))
    require_fit(settings.weights, info, split)
    outcome = measured(model, split)
    predictions = outcome.arrays["predictions"]
    report_classes(settings.out, settings.weights, info, split, predictions, further=outcome.figures)
    mean, noise = (100 * outcome.figures[name] for name in ("author_reading", "author_reading_std"))
    print(f"As the authors' code reads it, over shuffled batches of 64 videos: {mean:.2f} +- {noise:.2f} %")


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m jca.evaluate"))
