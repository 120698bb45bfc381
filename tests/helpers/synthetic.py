"""Small splits in memory, whose labels can be learned: each class has its own audio and visual direction."""

import numpy as np

from avpipeline.datasets.base import ArraySource, Split
from avpipeline.features.info import FeatureInfo

CLASS_NAMES = ("dog", "bell", "background")
FEATURES = {
    "audio": FeatureInfo("vggish", "embedding_relu", "none", "a" * 64, (6,)),
    "visual": FeatureInfo("vgg19", "pool5", "none", "b" * 64, (2, 2, 5)),
}


def synthetic_split(name: str, videos: int = 8, *, segments: int = 4, noise: float = 0.5) -> Split:
    """A split of `videos` clips; train, val and test differ, each is the same at every call."""
    rng = np.random.default_rng([7, *name.encode()])
    classes = rng.integers(0, len(CLASS_NAMES), (videos, segments))
    directions = np.random.default_rng(8)
    audio = directions.standard_normal((len(CLASS_NAMES), 6))[classes]
    visual = directions.standard_normal((len(CLASS_NAMES), 2, 2, 5))[classes]
    return Split(
        dataset="synthetic",
        name=name,
        ids=tuple(f"{name}{index}" for index in range(videos)),
        class_names=CLASS_NAMES,
        inputs={
            "audio": ArraySource((audio + noise * rng.standard_normal(audio.shape)).astype("float32")),
            "visual": ArraySource((visual + noise * rng.standard_normal(visual.shape)).astype("float32")),
        },
        labels=np.eye(len(CLASS_NAMES), dtype="float32")[classes],
        features=FEATURES,
    )


def synthetic_splits(**sizes: int) -> dict[str, Split]:
    """`{"train", "val", "test"}`, 8 videos each where no size is given."""
    return {name: synthetic_split(name, sizes.get(name, 8)) for name in ("train", "val", "test")}
