"""Small in-memory splits for the event layers: each class has its own direction in the features of each modality."""

import numpy as np

from avpipeline.datasets.base import ArraySource, Split
from avpipeline.features.info import FeatureInfo

CLASS_NAMES = ("dog", "bell", "rain")
TIME_STEPS, CHANNELS = 6, 4
FEATURES = {
    "visual": FeatureInfo("small_event_visual", "moments", "none", "a" * 64, (CHANNELS,)),
    "audio": FeatureInfo("small_event_audio", "moments", "none", "b" * 64, (CHANNELS,)),
}


def time_step_split(name: str, videos: int = 8, *, labels_a_video: int = 1, noise: float = 0.5) -> Split:
    """A split of `videos` clips; train, val and test differ, each is the same at every call."""
    rng = np.random.default_rng([5, *name.encode()])
    classes = np.argsort(rng.random((videos, len(CLASS_NAMES))))[:, :labels_a_video]
    directions = np.random.default_rng(6)
    shape = (videos, TIME_STEPS, CHANNELS)
    inputs = {}
    for modality in ("visual", "audio"):
        means = directions.standard_normal((len(CLASS_NAMES), CHANNELS))[classes].mean(1)
        inputs[modality] = (means[:, None] + noise * rng.standard_normal(shape)).astype("float32")
    inputs["onsets"], inputs["onset_mask"] = padded_onsets(rng, videos)
    return Split(
        dataset="synthetic",
        name=name,
        ids=tuple(f"{name}{index}" for index in range(videos)),
        class_names=CLASS_NAMES,
        inputs={key: ArraySource(array) for key, array in inputs.items()},
        labels=np.eye(len(CLASS_NAMES), dtype="float32")[classes].sum(1),
        features=FEATURES,
    )


def padded_onsets(rng, videos: int) -> tuple[np.ndarray, np.ndarray]:
    """Distinct onsets of each video, from none to all of its time steps; the first video has none."""
    onsets, mask = np.zeros((videos, TIME_STEPS), "float32"), np.zeros((videos, TIME_STEPS), "float32")
    for video in range(1, videos):
        own = np.sort(rng.permutation(TIME_STEPS)[: rng.integers(0, TIME_STEPS + 1)])
        onsets[video, : len(own)], mask[video, : len(own)] = own, 1
    return onsets, mask


def time_step_splits(labels_a_video: int = 1, videos: int = 8) -> dict[str, Split]:
    """`{"train", "val", "test"}`, of so many videos each; training has one label a video."""
    return {
        name: time_step_split(name, videos, labels_a_video=1 if name == "train" else labels_a_video)
        for name in ("train", "val", "test")
    }


def arrays(split: Split) -> dict[str, np.ndarray]:
    """All inputs of a split."""
    return {name: source.read(np.arange(len(split))) for name, source in split.inputs.items()}
