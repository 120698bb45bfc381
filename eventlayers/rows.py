"""Which model reproduces which row of the paper's tables, on which dataset, and what is read off its scores."""

import dataclasses
from collections.abc import Callable

import numpy as np

from eventlayers import analysis, voting
from eventlayers.analysis import NEW_LAYERS, ONLY
from eventlayers.config import LAYERS

# The paper's name of a dataset -> ours.
DATASETS = {
    "VGGSound": "vggsound",
    "Kinetics-Sounds": "kinetics_sounds",
    "AVE": "ave",
    "Kinetics-400": "kinetics_400",
    "LLP": "llp",
}
TABLES = ("Table 1", "Table 2", "Table 3", "Table 4")
# What each table counts, of labels `(videos, classes)` and a model's scores `(videos, heads, classes)`.
Measure = Callable[[np.ndarray, np.ndarray], float]


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a row is measured.

    Attributes:
      model: key of `eventlayers.MODELS`.
      measure: of the test split's labels and scores, in the unit of the paper's table.
    """

    model: str
    measure: Measure


def _accuracy(labels, scores) -> float:
    return 100 * voting.video_accuracy(labels, scores)


def _f1_of_union(labels, scores) -> float:
    return voting.multi_label_f1(labels, voting.label_sets(scores))


def _f1_of_top(count: int) -> Measure:
    return lambda labels, scores: voting.multi_label_f1(labels, voting.top_labels(scores, count))


def _videos(row: str) -> Measure:
    return lambda labels, scores: float(analysis.complementary_counts(labels, scores)[row])


def _categories(row: str) -> Measure:
    return lambda labels, scores: float(analysis.category_counts(labels, scores)[row])


OURS = "Event-specific layers"
# (table, row) -> its reading; the rows of the table's datasets differ in nothing else.
READINGS = {
    ("Table 1", "Audio Only"): Reading("audio_only", _accuracy),
    ("Table 1", "Vision Only"): Reading("vision_only", _accuracy),
    ("Table 1", "Naive AV"): Reading("naive_av", _accuracy),
    ("Table 1", OURS): Reading("event_layers", _accuracy),
    ("Table 2", OURS): Reading("event_layers", _f1_of_union),
}
READINGS |= {("Table 2", f"Naive AV top-{count}"): Reading("naive_av", _f1_of_top(count)) for count in range(1, 6)}
READINGS |= {("Table 3", row): Reading("event_layers", _videos(row)) for row in (*ONLY, NEW_LAYERS)}
READINGS |= {("Table 4", row.capitalize()): Reading("event_layers", _categories(row.capitalize())) for row in LAYERS}
