"""Results on real recordings, a section of RESULTS.md of its own: no paper reports any of them.

    results/real_clips/result.json        rows and how they were obtained
    results/real_clips/predictions.npz    what they are computed from
"""

import dataclasses
import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from avpipeline.files import atomic_path, make_folder, read_bytes, read_predictions, read_record, reading, write_json
from avpipeline.results import papers

RESULT, PREDICTIONS = "result.json", "predictions.npz"
_INTRODUCTION = """No paper reports these: they stand beside none of its results. Data: ESC-10 (K. J. Piczak, "ESC:
Dataset for Environmental Sound Classification", ACM Multimedia 2015), 400 recordings of up to 5 s from freesound.org in
ten classes, sound only; it is a part of <https://github.com/karolpiczak/ESC-50>, and this part is under Creative
Commons Attribution (CC BY). [docs/datasets.md](docs/datasets.md#esc-10) has the layout of folders that the command
takes. Accuracy in percent, mean +- standard deviation of the five official folds, each the mean over the seeds where
there are any; chance is 10. A head of logistic regression sees the mean of a clip's features over its seconds and has
scikit-learn's default settings. Nothing was tuned. YAMNet was trained on AudioSet, which is full of such sounds; the
weights are those of the file named."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A way to classify the clips.

    Attributes:
      features: `extractor:variant`.
      weights: name of the extractor's weights.
      predicted: class of each clip, `(seeds, clips)`, a single row where nothing depends on a seed.
      seeds: of what is trained; empty where nothing depends on one.
      commit: of the code that measured it, if known: a resumed run may continue with later code.
    """

    features: str
    weights: str
    predicted: np.ndarray
    seeds: tuple[int, ...] = ()
    commit: str | None = None


def fold_accuracies(predicted: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> list[float]:
    """Accuracy on each fold in percent, the mean over the seeds of `predicted`, `(seeds, clips)`."""
    right = predicted == labels
    return [round(100 * float(right[:, folds == fold].mean()), 4) for fold in np.unique(folds)]


def write_rows(
    out, rows: Mapping[str, Row], ids: Sequence[str], labels: np.ndarray, folds: np.ndarray, record: Mapping
) -> None:
    """Writes both files.

    Args:
      rows: name -> row.
      ids, labels, folds: of each clip.
      record: how the results were obtained: command, date, versions, and "notes", paragraphs for the reader.
    """
    out = make_folder(out)
    described = [
        {
            "row": name,
            "features": row.features,
            "weights": row.weights,
            "seeds": list(row.seeds),
            "commit": row.commit,
            "folds": fold_accuracies(row.predicted, labels, folds),
        }
        for name, row in rows.items()
    ]
    numbers = {"labels": labels, "folds": folds, "predicted": np.concatenate([row.predicted for row in rows.values()])}
    small = {name: array.astype(np.uint8) for name, array in numbers.items()}
    with atomic_path(out / PREDICTIONS) as temporary:
        np.savez_compressed(temporary, ids=np.array(ids), **small)
    write_json(out / RESULT, {"rows": described, **record})


def read_rows(folder) -> dict[str, Row]:
    """The rows that are in a folder; none where there is no such folder."""
    path = Path(folder) / RESULT
    if not path.exists():
        return {}
    with reading(folder, "its results are damaged", "run avfusion_benchmarks.real_clips into another folder"):
        described = read_record(path, "remove it")["rows"]
        predictions = read_predictions(path.with_name(PREDICTIONS), "predicted")["predicted"]
        counts = [max(1, len(row["seeds"])) for row in described]
        parts = np.split(predictions, np.cumsum(counts))
        if [len(part) for part in parts] != [*counts, 0]:
            raise ValueError("as many predictions as rows and seeds")
        return {
            row["row"]: Row(row["features"], row["weights"], predicted, tuple(row["seeds"]), row["commit"])
            for row, predicted in zip(described, parts, strict=False)
        }


def section(folder) -> str | None:
    """The section of RESULTS.md; None where there are no such results, InputError where they cannot be read."""
    path = Path(folder) / RESULT
    if not path.exists():
        return None
    with reading(path, "is no result of avfusion_benchmarks.real_clips", "run it again"):
        found = json.loads(read_bytes(path))
        lines = [("row", "features", "weights", "accuracy", "seeds", "commit")]
        for row in found["rows"]:
            accuracy = f"{np.mean(row['folds']):.1f} +- {np.std(row['folds'], ddof=1):.1f}"
            seeds = ", ".join(map(str, row["seeds"]))
            commit = (row["commit"] or "unknown")[:7]
            lines.append((row["row"], f"`{row['features']}`", row["weights"], accuracy, seeds, commit))
        notes = [textwrap.fill(str(note), 120) for note in found.get("notes", ())]
        texts = ["## Real clips", _INTRODUCTION, *notes, papers.markdown(lines)]
        return "\n\n".join(texts) + f"\nCommand: `{found['command']}`, {found['date'][:10]}.\n"
