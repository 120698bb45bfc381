"""What the evaluation commands share: the check that a split fits a model, and the files with the scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np

from avpipeline.cli.progress import link
from avpipeline.datasets.base import Split, Stream
from avpipeline.datasets.official import name_of
from avpipeline.errors import InputError
from avpipeline.features.info import require_same
from avpipeline.files import atomic_path, make_folder, write_csv, write_json
from avpipeline.training.saved import ModelInfo
from avpipeline.training.settings import DataSettings

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSettings(DataSettings):
    """Settings of an evaluation command."""

    weights: Path
    """The model: a .keras file written by the paper's train or convert command."""
    split: Literal["train", "val", "test"] = "test"
    """Which split."""
    out: Path | None = None
    """Folder for the tables, the confusion matrix and the predictions. [default: runs/PAPER/evaluate]"""


def require_fit(weights: Path, info: ModelInfo, split: Split) -> None:
    """Raises InputError unless the split has the classes and the features that the model was trained on."""
    where = f"{name_of(split)}, {split.name}"
    if info.class_names != split.class_names:
        raise InputError(
            f"{weights}: was trained on the classes of {info.trained_on} ({_shortened(info.class_names)}), but {where} "
            f"has others ({_shortened(split.class_names)}); evaluate it on its own dataset or train on this one."
        )
    require_same(info.features, split.features, where)


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:5])} ... {len(names)} in all"


def subject(info: ModelInfo, split: Split | Stream) -> str:
    """Which model is evaluated on what: the beginning of printed lines and titles."""
    return f"{info.model} (trained on {info.trained_on}) on {name_of(split)}, {split.name}"


def write_classes(
    out: Path, class_names: Sequence[str], labels: np.ndarray, predictions: np.ndarray, *, unit: str, title: str
) -> tuple[pd.DataFrame, Callable[[], None]]:
    """Writes per_class.csv and confusion.csv to the folder `out`, which is created.

    Args:
      labels, predictions: `(..., classes)`; the class is the index of the highest value, in both.
      unit: what is classified: "segment" or "video".
      title: of the picture.

    Returns:
      the contents of per_class.csv: class, segments (or videos), right, accuracy; NaN for a class without any. And what
      draws confusion.png, which takes longer than the rest.
    """
    import pandas as pd

    from avpipeline import metrics
    from avpipeline.plots import charts

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
    write_csv(out / "per_class.csv", table)
    confused = pd.DataFrame(counts, index=names, columns=names)
    write_csv(out / "confusion.csv", confused, index=True, index_label="true \\ predicted")
    return table, lambda: charts.confusion_matrix(out / "confusion.png", counts, class_names, title=title, unit=unit)


def write_scores(
    out: Path, weights: Path, info: ModelInfo, split: Split | Stream, arrays: Mapping[str, np.ndarray], scores: Mapping
) -> None:
    """Writes predictions.npz, and evaluation.json with the scores that were computed from it, to the folder `out`.

    Args:
      weights, info: the model's file and description.
      split: what it was evaluated on.
      arrays: labels, predictions and more, for all videos of the split.
      scores: JSON values by name; with "videos" if not all videos of the split count.
    """
    out = make_folder(out)
    with atomic_path(out / "predictions.npz") as temporary:
        np.savez_compressed(temporary, **arrays)
    write_json(
        out / "evaluation.json",
        {
            "weights": str(weights),
            "model": info.to_json(),
            "dataset": name_of(split),
            "split": split.name,
            "videos": len(arrays["ids"]),
            **scores,
        },
    )


def stored(split: Split, predictions: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays from which the scores on a split can be recomputed."""
    return {"ids": np.array(split.ids), "labels": split.labels, "predictions": predictions}


def report_classes(
    out: Path | None,
    weights: Path,
    info: ModelInfo,
    split: Split,
    predictions: np.ndarray,
    further: Mapping[str, float] = MappingProxyType({}),
    also: str = "",
) -> None:
    """Writes and prints a model's accuracy on a split, overall and for each class.

    Args:
      out: folder for the files; None for that of the paper's evaluations.
      weights, info: the model's file and description.
      predictions: its output, `(videos, segments, classes)` or `(videos, classes)` like the split's labels.
      further: scores to store beside the accuracy.
      also: further lines to print below it.
    """
    from avpipeline import metrics

    out = out or Path("runs") / info.paper / "evaluate"
    unit = "segment" if split.labels.ndim == 3 else "video"
    accuracy = metrics.segment_accuracy(split.labels, predictions)
    title = f"{info.paper} {subject(info, split)}"
    table, draw = write_classes(out, split.class_names, split.labels, predictions, unit=unit, title=title)
    scores = {f"{unit}_accuracy": accuracy, **further}
    write_scores(out, weights, info, split, stored(split, predictions), scores)
    print(table.to_string(index=False, float_format="{:.3f}".format, na_rep="-"))
    print(f"\n{subject(info, split)}: {100 * accuracy:.2f} % of {table[f'{unit}s'].sum()} {unit}s right")
    print(also, end="", flush=True)
    draw()
    print(f"Tables, confusion matrix and predictions are in {link(out)}")
