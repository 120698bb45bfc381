"""Which model reproduces which row of the paper's tables, on which dataset, and what is read off its scores."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from avpipeline.results import papers
from eventlayers import analysis, voting
from eventlayers.analysis import NEW_LAYERS, ONLY
from eventlayers.config import LAYERS

# The paper's name of a dataset -> ours. LLP is trained with one label a video; Kinetics-Sounds has 31 classes.
DATASETS = {
    "VGGSound": "vggsound",
    "Kinetics-Sounds": "kinetics_sounds-31",
    "AVE": "ave",
    "Kinetics-400": "kinetics400",
    "LLP": "llp-drawn",
}
# Rendered test bed -> the paper's datasets that it stands in for: LLP's videos have several labels.
STANDS_FOR = {"rendered": ("VGGSound", "Kinetics-Sounds", "AVE", "Kinetics-400"), "rendered_pairs": ("LLP",)}
TABLES = ("Table 1", "Table 2", "Table 3", "Table 4")
# What a row counts, of labels `(videos, classes)` and scores `(videos, heads, classes)`, in the table's unit.
Measure = Callable[[np.ndarray, np.ndarray], float]


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a row is measured: on the test split's scores of one of `eventlayers.MODELS`."""

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


OURS = "Event-specific layers"
# (table, row) -> its reading. The rows of one name differ in their dataset alone.
READINGS = {
    ("Table 1", "Audio Only"): Reading("audio_only", accuracy),
    ("Table 1", "Vision Only"): Reading("vision_only", accuracy),
    ("Table 1", "Naive AV"): Reading("naive_av", accuracy),
    ("Table 1", OURS): Reading("event_layers", accuracy),
    ("Table 2", OURS): Reading("event_layers", _f1_of_union),
}
READINGS |= {("Table 2", f"Naive AV top-{count}"): Reading("naive_av", _f1_of_top(count)) for count in range(1, 6)}
READINGS |= {("Table 3", row): Reading("event_layers", _videos(row)) for row in (*ONLY, NEW_LAYERS)}
READINGS |= {("Table 4", row): Reading("event_layers", _categories(row)) for row in map(str.capitalize, LAYERS)}


def reading_of(figure: papers.Figure) -> Reading:
    """How one of the paper's figures is measured."""
    return READINGS[figure.table, figure.row]


def rows_of(model: str) -> list[tuple[str, str]]:
    """(table, row) of every figure that is read off `model`'s scores, the first in the paper first."""
    return [place for place, reading in READINGS.items() if reading.model == model]


def figures_of(model: str, dataset: str) -> list[papers.Figure]:
    """The paper's figures in Tables 1 and 2 that a model trained on `dataset` is held against; none for one's own."""
    names = STANDS_FOR.get(dataset) or [paper for paper, ours in DATASETS.items() if ours == dataset]
    return [
        figure
        for figure in papers.rows("eventlayers")
        if figure.table in TABLES[:2] and figure.dataset in names and reading_of(figure).model == model
    ]


def measured(measure: Measure, predictions: Sequence[Path]) -> tuple[float, ...]:
    """A row's figure for each seed, of the files of predictions that `avpipeline.training.runs` stores."""
    values = []
    for path in predictions:
        with np.load(path) as file:
            values.append(float(measure(file["labels"], file["predictions"])))
    return tuple(values)
