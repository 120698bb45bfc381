"""How each row of the paper's tables is computed from a model's scores; `config.ROWS` says from which model's."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avpipeline.datasets.kinetics import SOUNDS_CLASSES
from avpipeline.files import read_predictions
from avpipeline.results import papers
from eventlayers import analysis, voting
from eventlayers.config import DATASETS, OURS, ROWS, STANDS_FOR, TABLES


def model_of(published: papers.Published) -> str:
    """The model from whose scores on the test split a result is computed; a user-defined model's row has its name."""
    return ROWS.get((published.table, published.row), published.row)


def computed(
    published: papers.Published, labels: np.ndarray, scores: np.ndarray, class_names: Sequence[str] = ()
) -> float:
    """Our counterpart of one of the paper's results, in its unit.

    Args:
      labels, scores: `(videos, classes)`, `(videos, heads, classes)`.
      class_names: of the scores; those of Kinetics-400 are needed to know which are in Kinetics-Sounds, and of other
        classes all are counted.
    """
    table, row = published.table, published.row
    if table == "Table 1" or (table, row) not in ROWS:
        return 100 * voting.video_accuracy(labels, scores)
    if table == "Table 2":
        is_ours = row == OURS
        sets = voting.label_sets(scores) if is_ours else voting.top_labels(scores, int(row.rpartition("-")[2]))
        return voting.multi_label_f1(labels, sets)
    if table == "Table 3":
        return analysis.complementary_counts(labels, scores)[row]
    if table == "Table 4":
        return analysis.category_counts(labels, scores)[row]
    if row == "Kinetics-Sounds among the audio-visual categories":
        return analysis.audio_visual_share(labels, scores, sounds_categories(class_names))
    return analysis.label_matches(labels, scores)[row]


def sounds_categories(class_names: Sequence[str]) -> list[int] | None:
    """Which of Kinetics-400's categories are those of Kinetics-Sounds; None for other classes.

    The list of 32 names is used: the paper's 66 % is 21 of 32, but not a whole number of the 31 categories in Table 4.
    """
    found = [number for number, name in enumerate(class_names) if name in SOUNDS_CLASSES[32]]
    return found if len(found) == 32 else None


def published_of(model: str, dataset: str) -> list[papers.Published]:
    """The paper's results in Tables 1 and 2 to compare a model trained on `dataset` with; none for your own data."""
    names = STANDS_FOR.get(dataset) or [paper for paper, ours in DATASETS.items() if ours == dataset]
    return [
        one
        for one in papers.rows("eventlayers")
        if one.table in TABLES[:2] and one.dataset in names and model_of(one) == model
    ]


def measured(
    published: papers.Published, predictions: Sequence[Path], class_names: Sequence[str] = ()
) -> tuple[float, ...]:
    """A row's result for each seed, computed from the predictions that a run stored."""
    stored = (read_predictions(path, "labels", "predictions") for path in predictions)
    return tuple(float(computed(published, one["labels"], one["predictions"], class_names)) for one in stored)
