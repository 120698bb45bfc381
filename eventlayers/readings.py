"""How each row of the paper's tables is computed from a model's scores; `config.ROWS` says from which model's."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from avpipeline.datasets.kinetics import SOUNDS_CLASSES
from avpipeline.files import read_predictions
from avpipeline.results import papers
from eventlayers import analysis, voting
from eventlayers.config import DATASETS, LAYERS, NEW_LAYERS, ONLY, OURS, ROWS, STANDS_FOR, TABLES

# Labels `(videos, classes)` and scores `(videos, heads, classes)` -> the result of a row, in the table's unit.
Measure = Callable[[np.ndarray, np.ndarray], float]


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a row is measured: from the scores of one of `eventlayers.MODELS` on the test split."""

    model: str
    measure: Measure


def accuracy(labels, scores) -> float:
    """Video accuracy in percent."""
    return 100 * voting.video_accuracy(labels, scores)


def _f1_of_union(labels, scores) -> float:
    return voting.multi_label_f1(labels, voting.label_sets(scores))


def _f1_of_top(count: int) -> Measure:
    return lambda labels, scores: voting.multi_label_f1(labels, voting.top_labels(scores, count))


def _videos(row: str) -> Measure:
    return lambda labels, scores: analysis.complementary_counts(labels, scores)[row]


def _categories(row: str) -> Measure:
    return lambda labels, scores: analysis.category_counts(labels, scores)[row]


def _matches(row: str) -> Measure:
    return lambda labels, scores: analysis.label_matches(labels, scores)[row]


def sounds_categories(class_names: Sequence[str]) -> list[int] | None:
    """Which of Kinetics-400's categories are those of Kinetics-Sounds; None for other classes.

    The list of 32 names is used: the paper's 66 % is 21 of 32, but not a whole number of the 31 categories in Table 4.
    """
    found = [number for number, name in enumerate(class_names) if name in SOUNDS_CLASSES[32]]
    return found if len(found) == 32 else None


# (table, row) -> how it is computed from the scores. Rows of the same name only differ in the dataset.
_MEASURES: dict[tuple[str, str], Measure] = {
    **{place: accuracy for place in ROWS if place[0] == "Table 1"},
    ("Table 2", OURS): _f1_of_union,
    **{("Table 2", f"Naive AV top-{count}"): _f1_of_top(count) for count in range(1, 6)},
    **{("Table 3", row): _videos(row) for row in (*ONLY, NEW_LAYERS)},
    **{("Table 4", row): _categories(row) for row in map(str.capitalize, LAYERS)},
    **{("Section 4.2", row): _matches(row) for row in ("Labels a video", "Matched labels", "Matched labels a video")},
}
_SOUNDS = ("Section 4.2", "Kinetics-Sounds among the audio-visual categories")


def reading_of(published: papers.Published, class_names: Sequence[str] = ()) -> Reading:
    """How one of the paper's results is measured.

    Args:
      class_names: of the scores; those of Kinetics-400 are needed to know which are in Kinetics-Sounds, and of other
        classes all are counted.
    """
    place = (published.table, published.row)
    if place == _SOUNDS:
        share = functools.partial(analysis.audio_visual_share, categories=sounds_categories(class_names))
        return Reading(ROWS[place], share)
    if place not in ROWS:
        # A user-defined model.
        return Reading(published.row, accuracy)
    return Reading(ROWS[place], _MEASURES[place])


def published_of(model: str, dataset: str) -> list[papers.Published]:
    """The paper's results in Tables 1 and 2 to compare a model trained on `dataset` with; none for your own data."""
    names = STANDS_FOR.get(dataset) or [paper for paper, ours in DATASETS.items() if ours == dataset]
    return [
        one
        for one in papers.rows("eventlayers")
        if one.table in TABLES[:2] and one.dataset in names and reading_of(one).model == model
    ]


def measured(measure: Measure, predictions: Sequence[Path]) -> tuple[float, ...]:
    """A row's result for each seed, computed from the predictions that a run stored."""
    values = []
    for path in predictions:
        stored = read_predictions(path, "labels", "predictions")
        values.append(float(measure(stored["labels"], stored["predictions"])))
    return tuple(values)
