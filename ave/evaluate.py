"""`python -m ave.evaluate`: a saved model's segment accuracy, per class and confusion matrix on a split."""

import dataclasses
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from ave.match.weights import require_labeller
from ave.models import segment_output
from avpipeline import metrics
from avpipeline.cli import run
from avpipeline.datasets import load_split
from avpipeline.datasets.base import Split
from avpipeline.results.evaluation import require_fit, stored, subject, write_classes, write_figures
from avpipeline.training import runs
from avpipeline.training.saved import ModelInfo, load_model


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of an evaluation command."""

    weights: Path
    """The model: a .keras file written by python -m ave.train or python -m ave.convert."""
    dataset: Literal["rendered", "ave"] | None = None
    """What to measure on. [default: "ave" with --data, else "rendered"]"""
    data: Path | None = None
    """Folder with the dataset's official files."""
    split: Literal["train", "val", "test"] = "test"
    """Which split."""
    out: Path = Path("runs") / "ave" / "evaluate"
    """Folder for the tables, the confusion matrix and the predictions."""


def main(settings: Settings) -> None:
    """Measures a saved model on a split: segment accuracy, accuracy of each class, confusion matrix."""
    model, info = load_model(settings.weights, paper="ave")
    require_labeller(settings.weights, info, "python -m ave.match.evaluate")
    measure(settings, model, info)


def measure(settings: Settings, model: keras.Model, info: ModelInfo) -> None:
    """Measures a model that labels segments on the split that `settings` name; writes and prints what is found."""
    dataset = settings.dataset or ("ave" if settings.data else "rendered")
    split = load_split(dataset, settings.split, settings.data, modalities=list(model.input))
    require_fit(settings.weights, info, split)
    report(settings.out, settings.weights, info, split, runs.predict(model, split, output=segment_output(model)))


def report(out: Path, weights: Path, info: ModelInfo, split: Split, predictions: np.ndarray) -> None:
    """Writes and prints how many segments or videos of a split a model has right, in all and of each class.

    Args:
      out: folder for the files.
      weights, info: the model's file and what it is.
      predictions: its output, `(videos, segments, classes)` or `(videos, classes)` as the split's labels.
    """
    unit = "segment" if split.labels.ndim == 3 else "video"
    accuracy = metrics.segment_accuracy(split.labels, predictions)
    title = f"{info.paper} {subject(info, split)}"
    table = write_classes(out, split.class_names, split.labels, predictions, unit=unit, title=title)
    write_figures(out, weights, info, split, stored(split, predictions), {f"{unit}_accuracy": accuracy})
    print(table.to_string(index=False, float_format="{:.3f}".format, na_rep="-"))
    print(f"\n{subject(info, split)}: {100 * accuracy:.2f} % of {table[f'{unit}s'].sum()} {unit}s right")
    print(f"Tables, confusion matrix and predictions are in {out}")


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.evaluate"))
