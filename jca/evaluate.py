"""`python -m jca.evaluate`: a saved model's segment accuracy, per class and confusion matrix on a split."""

import dataclasses
from pathlib import Path

from ave import evaluate
from avpipeline.cli import run
from avpipeline.training.saved import load_model


@dataclasses.dataclass(frozen=True)
class Settings(evaluate.Settings):
    """Settings of an evaluation command."""

    weights: Path
    """The model: a .keras file written by python -m jca.train or python -m jca.convert."""
    out: Path = Path("runs") / "jca" / "evaluate"
    """Folder for the tables, the confusion matrix and the predictions."""


def main(settings: Settings) -> None:
    """Measures a saved model on a split: segment accuracy, accuracy of each class, confusion matrix."""
    model, info = load_model(settings.weights, paper="jca")
    evaluate.measure(settings, model, info)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m jca.evaluate"))
