"""Cross-modality localization: a query slides over the other modality (Section 5, Eq. 8).

With the distances between all visual and all audio segments of a video given as a matrix, the cost of a window is a sum
along one of its diagonals. All windows of all videos are computed at once. Everywhere here `distances` are `(videos,
visual segments, audio segments)`, `events` are `(videos, segments)`, 1 in the segments of a video's single event, and
`direction` is one of `DIRECTIONS`.
"""

import numpy as np

from ave.match.config import DIRECTIONS


def event_spans(events: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First segment and number of segments of each video's event, `(videos,)` each; 0 and 0 without an event.

    Args:
      events: `(videos, segments)`, 1 in the segments of the video's single event, else 0.
    """
    inside = events > 0.5
    return inside.argmax(-1), inside.sum(-1)


def evaluated(events: np.ndarray) -> np.ndarray:
    """Whether each video is evaluated, bool `(videos,)`: it has an event, which is shorter than the video."""
    _, lengths = event_spans(events)
    return (lengths > 0) & (lengths < events.shape[1])


def window_costs(distances, starts, lengths, direction: str) -> np.ndarray:
    """Cumulative distance between the query and every window of its length in the other modality.

    - Eq. 8: the sum over s = 1, ..., l of D(V_{s+t-1}, A_s), with A the audio query and t the first segment of the
      window. For a visual query ("v2a") the modalities are exchanged.

    Args:
      starts, lengths: `(videos,)`, the query's first segment and its number of segments l.

    Returns:
      float64 `(videos, segments)`, the cost of the window that starts at each segment; infinite where the window
      would extend beyond the video.
    """
    distances = np.asarray(distances, np.float64)
    if direction == "v2a":
        distances = distances.swapaxes(1, 2)
    _, searched, segments = distances.shape
    starts, lengths = (np.reshape(each, (-1, 1, 1)) for each in (starts, lengths))
    # One axis for the window's position t, one for the segment s within the query.
    t, s = np.arange(searched)[:, np.newaxis], np.arange(segments)
    video = np.arange(len(distances)).reshape(-1, 1, 1)
    # Where a window or the query ends, an index may be too large: what it is clipped to does not count.
    picked = distances[video, (t + s).clip(max=searched - 1), (starts + s).clip(max=segments - 1)]
    # Eq. 8
    costs = np.where(s < lengths, picked, 0).sum(-1)
    return np.where(t[:, 0] + lengths[..., 0] <= searched, costs, np.inf)


def matches(distances, events: np.ndarray, direction: str) -> np.ndarray:
    """Which videos are localized exactly, bool `(videos,)`; False for a video that is not evaluated.

    The query is the event's segments of one modality; the match is correct if the window of smallest cost (the first
    one of equals) starts where the event starts, as in the authors' evaluation.

    Args:
      distances: `(videos, visual segments, audio segments)`.
      events: `(videos, segments)`, 1 inside the event, else 0.
      direction: one of `DIRECTIONS`.
    """
    starts, _ = event_spans(events)
    return evaluated(events) & (found_starts(distances, events, direction) == starts)


def found_starts(distances, events: np.ndarray, direction: str) -> np.ndarray:
    """First segment t* of the best window, `(videos,)`, with each video's event as the query."""
    # Eq. 8: t* = argmin over t
    return window_costs(distances, *event_spans(events), direction).argmin(-1)


def exact_match(events: np.ndarray, distances, direction: str) -> float:
    """Share of evaluated videos that are localized exactly in one direction; NaN if no video is evaluated."""
    rated = evaluated(events).sum()
    return float(matches(distances, events, direction).sum() / rated) if rated else float("nan")


def mean_exact_match(events: np.ndarray, distances) -> float:
    """Mean of `exact_match` over both directions, the result on the test split."""
    return float(np.mean([exact_match(events, distances, direction) for direction in DIRECTIONS]))


def validation_score(events: np.ndarray, distances) -> float:
    """`mean_exact_match` in float32, by which the best weights are selected.

    The matches of both directions are counted together, so that as many matches always have the same score.
    """
    right = sum(matches(distances, events, direction).sum() for direction in DIRECTIONS)
    rated = len(DIRECTIONS) * evaluated(events).sum()
    return float(np.float32(right) / np.float32(rated)) if rated else float("nan")


def without_looking(events: np.ndarray) -> dict[str, float]:
    """Expected `exact_match` of trivial answers that ignore the input: `{"chance", "first", "last"}`; NaN if no video
    is evaluated.

    "chance" is a window drawn at random, the mean of 1 / number of windows; "first" and "last" are always the first or
    the last window. Events of real videos often begin or end with the video, so these may lie far above "chance".
    """
    starts, lengths = event_spans(events[evaluated(events)])
    places = events.shape[1] - lengths + 1
    answers = {"chance": 1 / places, "first": starts == 0, "last": starts == places - 1}
    return {name: float(right.mean()) if len(right) else float("nan") for name, right in answers.items()}


def without_looking_text(events: np.ndarray) -> str:
    """The result of `without_looking` as a sentence."""
    scores = {name: f"{100 * share:.1f} %" for name, share in without_looking(events).items()}
    return (
        f"Without looking, in either direction: {scores['chance']} by a window drawn at random (chance), "
        f"{scores['first']} by always answering the first window, {scores['last']} the last."
    )
