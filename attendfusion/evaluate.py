"""`python -m attendfusion.evaluate`: a saved model's scores on a split of records, overall and for each label."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from attendfusion.settings import RecordSettings
from avpipeline.cli import MaybeShare, run
from avpipeline.cli.progress import link
from avpipeline.errors import InputError
from avpipeline.features.info import require_same
from avpipeline.files import write_csv
from avpipeline.results.evaluation import subject, write_scores
from avpipeline.training.saved import ModelInfo, load_model

if TYPE_CHECKING:
    import pandas as pd

    from attendfusion.data import Records
    from attendfusion.evaluation import Evaluation


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of an evaluation command."""

    weights: Path
    """The model: a .keras file written by python -m attendfusion.train."""
    split: Literal["train", "val", "test"] = "test"
    """Which split."""
    threshold: MaybeShare = None
    """Probability from which a label counts as predicted in the F1 scores. [default: the one with the best F1 on the
    validation split]"""
    out: Path = Path("runs") / "attendfusion" / "evaluate"
    """Folder for the table of labels, the scores and the predictions."""
    records: RecordSettings = RecordSettings()


def main(settings: Settings) -> None:
    """Evaluates a saved model on a split: GAP, F1, Hit@1, PERR, mean average precision, and scores of each label.

    Examples:
      python -m attendfusion.evaluate --weights W.keras --data YT8M
    """
    from attendfusion.data import load_records
    from attendfusion.evaluation import best_threshold, described, evaluate

    model, info = load_model(settings.weights, paper="attendfusion")
    records = load_records(settings.records, info.config)
    require_fit(settings.weights, info, records)
    stream = records.stream(settings.split)
    threshold = settings.threshold
    if threshold is None:
        threshold = best_threshold(model, records.stream("val"))
    evaluation = evaluate(model, stream, threshold)
    outcome = evaluation.outcome()
    write_scores(settings.out, settings.weights, info, stream, outcome.arrays, {"figures": dict(outcome.figures)})
    write_csv(settings.out / "per_label.csv", per_label_table(evaluation, info.class_names))
    print(f"{subject(info, stream)}: {len(outcome.arrays['ids'])} videos")
    print("\n".join(f"  {line}" for line in described(outcome.figures)))
    records.tell_skipped()
    print(f"The table of labels, the scores and the predictions are in {link(settings.out)}")


def require_fit(weights: Path, info: ModelInfo, records: Records) -> None:
    """Raises InputError unless the records have the labels and the features that the model was trained on."""
    where = str(records.source.folder)
    if info.class_names != records.source.class_names:
        raise InputError(
            f"{weights}: was trained on the {len(info.class_names)} labels of {info.dataset}, but {where} has other "
            f"ones ({len(records.source.class_names)}); evaluate it on its own dataset or train on this one."
        )
    require_same(info.features, records.source.description.features, where)
    if info.config["scale"] != records.scale:
        raise InputError(
            f"{where}: its features were scaled by {records.scale}, but the model needs {info.config['scale']}; write "
            "the records again with that scale."
        )


def per_label_table(evaluation: Evaluation, class_names: tuple[str, ...]) -> pd.DataFrame:
    """Columns label, videos, average_precision, precision, recall, f1; NaN for a ratio of 0 to 0."""
    import pandas as pd

    right, wrong, missed = np.asarray(evaluation.metrics["f1_macro"].counts)
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(
            {
                "label": class_names,
                "videos": right + missed,
                "average_precision": evaluation.metrics["mean_ap_uncapped"].per_class(),
                "precision": right / (right + wrong),
                "recall": right / (right + missed),
                "f1": 2 * right / (2 * right + wrong + missed),
            }
        )


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m attendfusion.evaluate"))
