"""What the event layers are good for: Tables 3 and 4 and Figure 6, of any trained model and any dataset.

`scores` is O of the paper, `(videos, heads, classes)` with the heads in the order of `LAYERS`; `labels` is
`(videos, classes)`, one or more labels a video.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from eventlayers.config import LAYERS

# The rows of Table 3.
ONLY = ("Continuous only", "Instant only", "Onset only")
NEW_LAYERS = "(Instant or Onset) and not Continuous"


def right_by_layer(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Whether each head's label is one of the video's: `(videos, heads)` bool."""
    given = np.asarray(scores).argmax(-1)
    return np.take_along_axis(np.asarray(labels) > 0, given, axis=1)


def complementary_counts(labels: np.ndarray, scores: np.ndarray) -> dict[str, int]:
    """Table 3: videos that only one of the three audio-visual layers classifies right.

    Returns:
      row of the table -> number of videos: of the continuous, instant and onset layers only that one is right; and
      those where the continuous layer is wrong but the instant or the onset layer is right. The uni-modal layers
      are not looked at.
    """
    continuous, instant, onset = right_by_layer(labels, scores)[:, :3].T
    alone = (continuous & ~instant & ~onset, instant & ~continuous & ~onset, onset & ~continuous & ~instant)
    counts = dict(zip(ONLY, alone, strict=True)) | {NEW_LAYERS: (instant | onset) & ~continuous}
    return {row: int(videos.sum()) for row, videos in counts.items()}


def complementary_by_group(
    labels: np.ndarray, scores: np.ndarray, groups: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Table 3 for each group of videos apart: group -> its `complementary_counts` and the number of its "videos".

    Args:
      groups: the group of each video, e.g. a rendered clip's kind.
    """
    groups = np.asarray(groups)
    return {
        str(group): {"videos": int((groups == group).sum())}
        | complementary_counts(labels[groups == group], scores[groups == group])
        for group in np.unique(groups)
    }


def dominant_layers(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """argmax_i O_{i,y} for each label y: `(videos, classes)` heads, -1 where the video has not that label."""
    return np.where(np.asarray(labels) > 0, np.asarray(scores).argmax(1), -1)


def category_layers(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The dominant layer of each category by majority of its videos: `(classes,)` heads, -1 without a video.

    Where several layers dominate equally often, the one of them with the highest mean of O_{i,y} is taken.
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    dominant = dominant_layers(labels, scores)
    found = np.full(labels.shape[1], -1)
    for category in range(labels.shape[1]):
        mine = labels[:, category] > 0
        if mine.any():
            votes = np.bincount(dominant[mine, category], minlength=scores.shape[1])
            means = scores[mine, :, category].mean(0)
            found[category] = np.argmax(np.where(votes == votes.max(), means, -np.inf))
    return found


def category_counts(labels: np.ndarray, scores: np.ndarray) -> dict[str, int]:
    """Table 4: how many categories each layer dominates; row of the table -> number of categories."""
    found = category_layers(labels, scores)
    return {layer.capitalize(): int((found == index).sum()) for index, layer in enumerate(LAYERS)}


def most_activating(labels: np.ndarray, scores: np.ndarray, count: int) -> Mapping[str, np.ndarray]:
    """Figure 6: for each layer the videos that activate it most, `layer -> video indices`, strongest first.

    Of the videos whose own label that layer scores higher than the other layers do (argmax_i O_{i,y}), those with
    the highest score; of a video with several labels the one with the highest score counts. A layer that
    dominates fewer than `count` videos has fewer.
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    # O_{i,y} of each head, of a video's best label.
    own = np.where(labels[:, None] > 0, scores, -np.inf).max(-1)
    strongest = own.argmax(1)
    videos = {}
    for index, layer in enumerate(LAYERS):
        mine = np.flatnonzero(strongest == index)
        videos[layer] = mine[np.argsort(-own[mine, index], kind="stable")][:count]
    return videos
