"""Cross-modality localization: a query slides over the other modality (Section 5, Eq. 8).

With the distances between all visual and all audio segments of a video given as a matrix, the cost of a window is a sum
along one of its diagonals. All windows of all videos are computed at once.
"""

import keras
import numpy as np
from keras import ops

from ave.match.config import DIRECTIONS


def event_spans(events):
    """First segment and number of segments of each video's event.

    Args:
      events: `(videos, segments)`, 1 in the segments of the video's single event, else 0.

    Returns:
      Starts and lengths, int32 `(videos,)` each; both are 0 for a video without an event.
    """
    inside = ops.cast(ops.convert_to_tensor(events) > 0.5, "int32")
    return ops.cast(ops.argmax(inside, axis=-1), "int32"), ops.sum(inside, axis=-1)


def window_costs(distances, starts, lengths, direction: str):
    """Cumulative distance between the query and every window of its length in the other modality.

    - Eq. 8: the sum over s = 1, ..., l of D(V_{s+t-1}, A_s), with A the audio query and t the first segment of the
      window. For a visual query ("v2a") the modalities are exchanged.

    Args:
      distances: `(videos, visual segments, audio segments)`.
      starts, lengths: int `(videos,)`, the query's first segment and its number of segments l.
      direction: one of `DIRECTIONS`.

    Returns:
      float64 `(videos, segments)`, the cost of the window that starts at each segment; infinite where the window
      would extend beyond the video.
    """
    distances = ops.cast(ops.convert_to_tensor(distances), "float64")
    if direction == "v2a":
        distances = ops.swapaxes(distances, 1, 2)
    videos, searched, segments = (ops.shape(distances)[axis] for axis in range(3))
    starts, lengths = (ops.reshape(ops.cast(x, "int32"), (-1, 1, 1)) for x in (starts, lengths))
    # One axis for the window's position t, one for the segment s within the query.
    position = ops.reshape(ops.arange(searched, dtype="int32"), (1, -1, 1))
    within = ops.reshape(ops.arange(segments, dtype="int32"), (1, 1, -1))
    in_window, in_query = position + within, starts + within
    fits = ops.logical_and(in_window < searched, in_query < segments)
    index = ops.where(fits, in_window * segments + in_query, 0)
    flat = ops.reshape(distances, (videos, searched * segments))
    picked = ops.take_along_axis(flat, ops.reshape(index, (videos, searched * segments)), axis=1)
    picked = ops.reshape(picked, (videos, searched, segments))
    # Eq. 8
    costs = ops.sum(ops.where(within < lengths, picked, 0.0), axis=-1)
    return ops.where(position[..., 0] + lengths[..., 0] <= searched, costs, np.inf)


def matches(distances, events, direction: str):
    """Which videos are evaluated, and which of them are localized exactly.

    A video is evaluated if its event is shorter than the video. The query is the event's segments of one modality;
    the match is correct if the window of smallest cost (the first one of equals) starts where the event starts, as in
    the authors' evaluation.

    Args:
      distances: `(videos, visual segments, audio segments)`.
      events: `(videos, segments)`, 1 inside the event, else 0.
      direction: one of `DIRECTIONS`.

    Returns:
      `(evaluated, correct)`, bool `(videos,)` each; False in `correct` for a video that is not evaluated.
    """
    starts, lengths = event_spans(events)
    evaluated = ops.logical_and(lengths > 0, lengths < ops.shape(events)[1])
    return evaluated, ops.logical_and(evaluated, found_starts(distances, events, direction) == starts)


def found_starts(distances, events, direction: str):
    """First segment t* of the best window, with each video's event as the query; int32 `(videos,)`."""
    costs = window_costs(distances, *event_spans(events), direction)
    # Eq. 8: t* = argmin over t
    return ops.cast(ops.argmin(costs, axis=-1), "int32")


def exact_match(events: np.ndarray, distances: np.ndarray, direction: str) -> float:
    """Share of evaluated videos that are localized exactly in one direction; NaN if no video is evaluated."""
    evaluated, correct = (np.asarray(flags) for flags in matches(distances, events, direction))
    return float(correct.sum() / evaluated.sum()) if evaluated.any() else float("nan")


def mean_exact_match(events: np.ndarray, distances: np.ndarray) -> float:
    """Mean of `exact_match` over both directions, by which the best weights are selected on validation."""
    return float(np.mean([exact_match(events, distances, direction) for direction in DIRECTIONS]))


def chance(events: np.ndarray) -> float:
    """Expected `exact_match` of a random window: the mean of 1 / number of windows over the evaluated videos."""
    segments = events.shape[1]
    lengths = (events > 0.5).sum(1)
    lengths = lengths[(lengths > 0) & (lengths < segments)]
    return float(np.mean(1 / (segments - lengths + 1))) if lengths.size else float("nan")


def without_looking(events: np.ndarray) -> dict[str, float]:
    """`exact_match` of trivial answers that ignore the input: `{"chance", "first", "last"}`.

    "first" and "last" always answer the first or the last window. Events of real videos often begin or end with the
    video, so these may lie far above "chance".
    """
    starts, lengths = (np.asarray(values) for values in event_spans(events))
    evaluated = (lengths > 0) & (lengths < events.shape[1])
    ends = starts + lengths == events.shape[1]
    answers = {"first": starts[evaluated] == 0, "last": ends[evaluated]}
    scores = {name: float(correct.mean()) if evaluated.any() else float("nan") for name, correct in answers.items()}
    return {"chance": chance(events), **scores}


def without_looking_text(events: np.ndarray) -> str:
    """The result of `without_looking` as a sentence."""
    scores = {name: f"{100 * share:.1f} %" for name, share in without_looking(events).items()}
    return (
        f"Without looking, in either direction: {scores['chance']} by a window drawn at random (chance), "
        f"{scores['first']} by always answering the first window, {scores['last']} the last."
    )


@keras.saving.register_keras_serializable(package="ave")
class ExactMatch(keras.metrics.Metric):
    """Share of videos with short events that are localized exactly, averaged over both directions.

    Labels: `(batch, segments)`, 1 inside the event. Predictions: distances `(batch, visual segments, audio
    segments)`. NaN as long as no video was evaluated, as on training pairs, which have one segment.
    """

    def __init__(self, name="exact_match", **kwargs):
        super().__init__(name=name, **kwargs)
        self.right = self.add_weight(shape=(), initializer="zeros", name="right")
        self.rated = self.add_weight(shape=(), initializer="zeros", name="rated")

    def update_state(self, y_true, y_pred, sample_weight=None):
        for direction in DIRECTIONS:
            rated, right = matches(y_pred, y_true, direction)
            self.rated.assign_add(ops.sum(ops.cast(rated, self.rated.dtype)))
            self.right.assign_add(ops.sum(ops.cast(right, self.right.dtype)))

    def result(self):
        # 0 / 0 is NaN.
        return self.right / self.rated

    @classmethod
    def of(cls, labels: np.ndarray, distances: np.ndarray) -> float:
        """The metric of all videos of a split."""
        metric = cls()
        metric.update_state(labels, distances)
        return float(metric.result())
