"""What the evaluation commands share: whether a split fits a model, and the files that hold what was measured."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from avpipeline import metrics
from avpipeline.datasets.base import Split, Stream
from avpipeline.errors import InputError
from avpipeline.features.info import require_same
from avpipeline.files import atomic_path, make_folder
from avpipeline.plots import charts
from avpipeline.training import runs
from avpipeline.training.saved import ModelInfo


def require_fit(weights: Path, info: ModelInfo, split: Split) -> None:
    """Raises InputError unless the split has the classes and the features that the model was trained on."""
    where = f"{split.dataset}, {split.name}"
    if info.class_names != split.class_names:
        raise InputError(
            f"{weights}: was trained on the classes of {info.dataset} ({_shortened(info.class_names)}), and {where} "
            f"has others ({_shortened(split.class_names)}); measure it on its own dataset or train on this one."
        )
    require_same(info.features, split.features, where)


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:5])} ... {len(names)} in all"


def subject(info: ModelInfo, split: Split | Stream) -> str:
    """What is measured on what, as outputs and titles begin."""
    return f"{info.model} (trained on {info.dataset}) on {split.dataset}, {split.name}"


def write_classes(
    out: Path, class_names: Sequence[str], labels: np.ndarray, predictions: np.ndarray, *, unit: str, title: str
) -> pd.DataFrame:
    """Writes per_class.csv, confusion.csv and confusion.png to the folder `out`, which is made.

    Args:
      labels, predictions: `(..., classes)`; in both the highest value is the class.
      unit: what has a label: "segment" or "video".
      title: of the picture.

    Returns:
      what per_class.csv holds: class, segments (or videos), right, accuracy, NaN for a class without any.
    """
    out, names = make_folder(out), list(class_names)
    counts = metrics.confusion_matrix(labels, predictions)
    table = pd.DataFrame(
        {
            "class": names,
            f"{unit}s": counts.sum(1),
            "right": np.diag(counts),
            "accuracy": metrics.per_class_accuracy(labels, predictions),
        }
    )
    with atomic_path(out / "per_class.csv") as temporary:
        table.to_csv(temporary, index=False)
    with atomic_path(out / "confusion.csv") as temporary:
        pd.DataFrame(counts, index=names, columns=names).to_csv(temporary, index_label="true \\ predicted")
    charts.confusion_matrix(out / "confusion.png", counts, class_names, title=title, unit=unit)
    return table


def write_figures(
    out: Path, weights: Path, info: ModelInfo, split: Split | Stream, arrays: Mapping[str, np.ndarray], figures: Mapping
) -> None:
    """Writes predictions.npz and evaluation.json, the figures that were computed from it, to the folder `out`.

    Args:
      weights, info: the model's file and what it is.
      split: what it was measured on.
      arrays: labels, predictions and more, of all videos of the split.
      figures: JSON values by name; "videos" among them where not all videos of the split count.
    """
    out = make_folder(out)
    with atomic_path(out / "predictions.npz") as temporary:
        np.savez_compressed(temporary, **arrays)
    runs.write_json(
        out / "evaluation.json",
        {
            "weights": str(weights),
            "model": info.to_json(),
            "dataset": split.dataset,
            "split": split.name,
            "videos": len(arrays["ids"]),
            **figures,
        },
    )


def stored(split: Split, predictions: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays from which the figures of a split can be computed again."""
    return {"ids": np.array(split.ids), "labels": split.labels, "predictions": predictions}
