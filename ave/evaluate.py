"""`python -m ave.evaluate`: a saved model's segment accuracy, per class and confusion matrix on a split."""

import dataclasses
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import pandas as pd

from ave.match_weights import require_labeller
from ave.models import segment_output
from avpipeline import charts, metrics, runs
from avpipeline.cli import run
from avpipeline.datasets import load_split
from avpipeline.datasets.base import Split
from avpipeline.errors import InputError
from avpipeline.features import require_same
from avpipeline.files import atomic_path, make_folder
from avpipeline.saved import ModelInfo, load_model


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
    require_labeller(settings.weights, info, "python -m ave.match_evaluate")
    measure(settings, model, info)


def measure(settings: Settings, model: keras.Model, info: ModelInfo) -> None:
    """Measures a model that labels segments on the split that `settings` name; writes and prints what is found."""
    dataset = settings.dataset or ("ave" if settings.data else "rendered")
    split = load_split(dataset, settings.split, settings.data, modalities=list(model.input))
    require_fit(settings.weights, info, split)
    predictions = runs.predict(model, split, output=segment_output(model))
    accuracy = metrics.segment_accuracy(split.labels, predictions)
    table = per_class_table(split, predictions)
    write_evaluation(settings.out, settings.weights, info, split, predictions, table)
    print(table.to_string(index=False, float_format="{:.3f}".format, na_rep="-"))
    print(f"\n{info.model} (trained on {info.dataset}) on {dataset}, {split.name}: {len(split)} videos, ", end="")
    print(f"{100 * accuracy:.2f} % of {split.labels.shape[0] * split.labels.shape[1]} segments right")
    print(f"Tables, confusion matrix and predictions are in {settings.out}")


def require_fit(weights: Path, info: ModelInfo, split: Split) -> None:
    """Raises InputError unless the split has the classes and the features that the model was trained on."""
    where = f"{split.dataset}, {split.name}"
    if info.class_names != split.class_names:
        raise InputError(
            f"{weights}: was trained on the classes of {info.dataset} ({_shortened(info.class_names)}), and {where} "
            f"has others ({_shortened(split.class_names)}); measure it on its own dataset or train on this one."
        )
    require_same(info.features, split.features, where)


def _shortened(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:5])} ... {len(names)} in all"


def unit_of(split: Split) -> str:
    """What a split labels: "segment" or "video"."""
    return "segment" if split.labels.ndim == 3 else "video"


def per_class_table(split: Split, predictions: np.ndarray) -> pd.DataFrame:
    """Columns class, segments (or videos), right, accuracy; one row a class, accuracy NaN for a class without any."""
    counts = metrics.confusion_matrix(split.labels, predictions)
    return pd.DataFrame(
        {
            "class": split.class_names,
            f"{unit_of(split)}s": counts.sum(1),
            "right": np.diag(counts),
            "accuracy": metrics.per_class_accuracy(split.labels, predictions),
        }
    )


def write_evaluation(
    out: Path, weights: Path, info: ModelInfo, split: Split, predictions: np.ndarray, table: pd.DataFrame
) -> None:
    """Writes evaluation.json, per_class.csv, confusion.csv, confusion.png and predictions.npz to `out`.

    Args:
      weights: the model's file.
      info: what it is.
      predictions: its output for the split, of segments or of videos.
      table: of `per_class_table`.
    """
    out = make_folder(out)
    counts = metrics.confusion_matrix(split.labels, predictions)
    confusion = pd.DataFrame(counts, index=list(split.class_names), columns=list(split.class_names))
    with atomic_path(out / "per_class.csv") as temporary:
        table.to_csv(temporary, index=False)
    with atomic_path(out / "confusion.csv") as temporary:
        confusion.to_csv(temporary, index_label="true \\ predicted")
    title = f"{info.paper} {info.model} (trained on {info.dataset}) on {split.dataset}, {split.name}"
    unit = unit_of(split)
    charts.confusion_matrix(out / "confusion.png", counts, split.class_names, title=title, unit=unit)
    with atomic_path(out / "predictions.npz") as temporary:
        np.savez_compressed(temporary, ids=np.array(split.ids), labels=split.labels, predictions=predictions)
    runs.write_json(
        out / "evaluation.json",
        {
            "weights": str(weights),
            "model": info.to_json(),
            "dataset": split.dataset,
            "split": split.name,
            "videos": len(split),
            f"{unit}_accuracy": metrics.segment_accuracy(split.labels, predictions),
        },
    )


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.evaluate"))
