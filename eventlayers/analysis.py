"""What each event layer contributes: Tables 3 and 4, Section 4.2 and Figure 6, for any trained model and dataset.

`scores` is O of the paper, `(videos, heads, classes)` with the heads in the order of `LAYERS`; `labels` is
`(videos, classes)` with one or more labels per video.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from eventlayers.config import LAYERS, NEW_LAYERS, ONLY
from eventlayers.voting import label_sets


def right_by_layer(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Whether each head predicts one of the video's labels: `(videos, heads)` bool."""
    given = np.asarray(scores).argmax(-1)
    return np.take_along_axis(np.asarray(labels) > 0, given, axis=1)


def complementary_counts(labels: np.ndarray, scores: np.ndarray) -> dict[str, int]:
    """Table 3: videos that only one of the three audio-visual layers classifies correctly.

    Returns:
      row of the table -> number of videos: those where only one of the continuous, instant and onset layers is right,
      and those where the continuous layer is wrong but the instant or the onset layer is right. The uni-modal layers
      are ignored.
    """
    continuous, instant, onset = right_by_layer(labels, scores)[:, :3].T
    alone = (continuous & ~instant & ~onset, instant & ~continuous & ~onset, onset & ~continuous & ~instant)
    counts = dict(zip(ONLY, alone, strict=True)) | {NEW_LAYERS: (instant | onset) & ~continuous}
    return {row: int(videos.sum()) for row, videos in counts.items()}


def complementary_by_group(labels: np.ndarray, scores: np.ndarray, groups: Sequence[str]) -> dict[str, dict[str, int]]:
    """Table 3 for each group of videos: group -> its `complementary_counts` and its number of "videos".

    Args:
      groups: the group of each video, e.g. the kind of a synthetic clip.
    """
    groups = np.asarray(groups)
    return {
        str(group): {"videos": int((groups == group).sum())}
        | complementary_counts(labels[groups == group], scores[groups == group])
        for group in np.unique(groups)
    }


def dominant_layers(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """argmax_i O_{i,y} for each label y: `(videos, classes)` heads, -1 where the video does not have that label."""
    return np.where(np.asarray(labels) > 0, np.asarray(scores).argmax(1), -1)


def category_layers(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The layer that dominates most videos of each category: `(classes,)` heads, -1 without a video.

    If several layers dominate equally many, the one with the highest mean of O_{i,y} wins.
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
    """Table 4: row of the table -> number of categories that the layer dominates."""
    found = category_layers(labels, scores)
    return {layer.capitalize(): int((found == index).sum()) for index, layer in enumerate(LAYERS)}


def label_matches(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Section 4.2: the sets of the heads' labels compared with the annotated labels, row -> number.

    "Labels a video", the mean size of the sets; "Matched labels", the percentage of all labels in them that the
    videos have; "Matched labels a video", their mean number.
    """
    given = label_sets(scores)
    matched = (given & (np.asarray(labels) > 0)).sum()
    return {
        "Labels a video": float(given.sum(1).mean()),
        "Matched labels": float(100 * matched / given.sum()),
        "Matched labels a video": float(matched / len(given)),
    }


def audio_visual_share(labels: np.ndarray, scores: np.ndarray, categories: Sequence[int] | None = None) -> float:
    """Section 4.2: the percentage of `categories` that an audio-visual layer dominates, of all that have a video.

    Args:
      categories: indices, e.g. those of Kinetics-Sounds in Kinetics-400; None takes all.
    """
    layers = category_layers(labels, scores)
    layers = layers if categories is None else layers[list(categories)]
    return float(100 * np.mean(layers[layers >= 0] < LAYERS.index("visual")))


def most_activating(labels: np.ndarray, scores: np.ndarray, count: int) -> Mapping[str, np.ndarray]:
    """Figure 6: for each layer the videos that activate it most, `layer -> video indices`, strongest first.

    Among the videos whose label that layer scores higher than the other layers do (argmax_i O_{i,y}), those with the
    highest score; for a video with several labels, the label with the highest score counts. A layer that dominates
    fewer than `count` videos has fewer.
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    # O_{i,y} of each head, for the label that it scores highest.
    own = np.where(labels[:, None] > 0, scores, -np.inf).max(-1)
    strongest = own.argmax(1)
    videos = {}
    for index, layer in enumerate(LAYERS):
        mine = np.flatnonzero(strongest == index)
        videos[layer] = mine[np.argsort(-own[mine, index], kind="stable")][:count]
    return videos
