"""Cross-modality localization: a query slides over the other modality (Section 5, Eq. 8).

Given the distances between every second of pictures and every second of sound of a video, everything here is a sum
along diagonals of that matrix, taken for all windows of all videos at once.
"""

import keras
import numpy as np
from keras import ops

from ave.match.config import DIRECTIONS


def event_spans(events):
    """First segment and number of segments of each video's event.

    Args:
      events: `(videos, segments)`, 1 where a segment lies in the video's one event, else 0.

    Returns:
      starts and lengths, int32 `(videos,)` each; where there is no event both are 0.
    """
    inside = ops.cast(ops.convert_to_tensor(events) > 0.5, "int32")
    return ops.cast(ops.argmax(inside, axis=-1), "int32"), ops.sum(inside, axis=-1)


def window_costs(distances, starts, lengths, direction: str):
    """Cumulative distance between the query and every window of its length in the other modality (Eq. 8).

    cost[n, t] = sum over s of D_n(V_{t+s}, A_{start+s}) for a sound as the query ("a2v"), and with the modalities
    exchanged for pictures ("v2a").

    Args:
      distances: `(videos, segments of pictures, segments of sound)`.
      starts, lengths: int `(videos,)`, the query's first segment and its number of segments.
      direction: one of `DIRECTIONS`.

    Returns:
      float64 `(videos, segments)`; infinite where a window would reach beyond the video.
    """
    distances = ops.cast(ops.convert_to_tensor(distances), "float64")
    if direction == "v2a":
        distances = ops.swapaxes(distances, 1, 2)
    videos, searched, segments = (ops.shape(distances)[axis] for axis in range(3))
    starts, lengths = (ops.reshape(ops.cast(x, "int32"), (-1, 1, 1)) for x in (starts, lengths))
    # One axis for the window's position t, one for the segment s within the query.
    position = ops.reshape(ops.arange(searched, dtype="int32"), (1, -1, 1))
    within = ops.reshape(ops.arange(segments, dtype="int32"), (1, 1, -1))
    there, asked = position + within, starts + within
    fits = ops.logical_and(there < searched, asked < segments)
    index = ops.where(fits, there * segments + asked, 0)
    flat = ops.reshape(distances, (videos, searched * segments))
    picked = ops.take_along_axis(flat, ops.reshape(index, (videos, searched * segments)), axis=1)
    picked = ops.reshape(picked, (videos, searched, segments))
    costs = ops.sum(ops.where(within < lengths, picked, 0.0), axis=-1)
    return ops.where(position[..., 0] + lengths[..., 0] <= searched, costs, np.inf)


def matches(distances, events, direction: str):
    """Which videos are rated, and which of them are localized exactly.

    A video is rated when its event is shorter than the video. Its event's segments of one modality are the query;
    the match is right when the window with the smallest cost, the first of equal ones, starts where the event
    starts, as in the authors' evaluation.

    Args:
      distances: `(videos, segments, segments)`, pictures by sound.
      events: `(videos, segments)`, 1 inside of the event.

    Returns:
      `(rated, right)`, bool `(videos,)` each; right is False where a video is not rated.
    """
    starts, lengths = event_spans(events)
    rated = ops.logical_and(lengths > 0, lengths < ops.shape(events)[1])
    return rated, ops.logical_and(rated, found_starts(distances, events, direction) == starts)


def found_starts(distances, events, direction: str):
    """First segment of the best window for each video's event as the query, int32 `(videos,)`."""
    costs = window_costs(distances, *event_spans(events), direction)
    return ops.cast(ops.argmin(costs, axis=-1), "int32")


def exact_match(events: np.ndarray, distances: np.ndarray, direction: str) -> float:
    """Share of rated videos that are localized exactly in one direction; NaN where no video is rated."""
    rated, right = (np.asarray(flags) for flags in matches(distances, events, direction))
    return float(right.sum() / rated.sum()) if rated.any() else float("nan")


def mean_exact_match(events: np.ndarray, distances: np.ndarray) -> float:
    """Mean of both directions' `exact_match`, on which validation selects."""
    return float(np.mean([exact_match(events, distances, direction) for direction in DIRECTIONS]))


def chance(events: np.ndarray) -> float:
    """Expected `exact_match` of a window drawn at random: the mean of 1 / number of windows over rated videos."""
    segments = events.shape[1]
    lengths = (events > 0.5).sum(1)
    lengths = lengths[(lengths > 0) & (lengths < segments)]
    return float(np.mean(1 / (segments - lengths + 1))) if lengths.size else float("nan")


def without_looking(events: np.ndarray) -> dict[str, float]:
    """What answers reach that look at nothing: `{"chance", "first", "last"}`.

    "first" and "last" always name the first or the last window. Events of real videos often begin or end with them,
    so these may lie far above `chance`.
    """
    starts, lengths = (np.asarray(values) for values in event_spans(events))
    rated = (lengths > 0) & (lengths < events.shape[1])
    ends = starts + lengths == events.shape[1]
    shares = {"first": starts[rated] == 0, "last": ends[rated]}
    found = {name: float(right.mean()) if rated.any() else float("nan") for name, right in shares.items()}
    return {"chance": chance(events), **found}


def without_looking_text(events: np.ndarray) -> str:
    """The same as a sentence."""
    reached = {name: f"{100 * share:.1f} %" for name, share in without_looking(events).items()}
    return (
        f"Without looking, in either direction: {reached['chance']} by a window drawn at random (chance), "
        f"{reached['first']} by always naming the first window, {reached['last']} the last."
    )


@keras.saving.register_keras_serializable(package="ave")
class ExactMatch(keras.metrics.Metric):
    """Mean over both directions of the share of short-event videos that are localized exactly.

    Labels `(batch, segments)`, 1 inside of the event; predictions `(batch, segments, segments)` distances, pictures
    by sound. NaN while no video was rated, as on training pairs, which have one segment.
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
