"""Small splits with one label a video in memory, for MAFnet's commands; each class has its own directions."""

import numpy as np

from avpipeline.datasets.base import ArraySource, Split
from avpipeline.features import FeatureInfo

CLASS_NAMES = ("bark", "bell", "engine")
CLIPS = 4
FEATURES = {
    "visual": FeatureInfo("densenet201", "avg_pool", "none", "b" * 64, (6,)),
    "audio": FeatureInfo("vggish", "conv4_2", "none", "a" * 64, (3, 2, 5)),
}
NARROW = {"units": 8, "filters": 6, "norm_decay": 0.9, "mcb_channels": 16, "cluster_units": 2}
NARROW |= {"dmrn_attention_units": 8, "dmrn_lstm_units": 4}


def video_split(name: str, videos: int = 8, *, noise: float = 0.5) -> Split:
    """A split of `videos` videos; train, val and test differ, each is the same at every call."""
    rng = np.random.default_rng([9, *name.encode()])
    classes = rng.integers(0, len(CLASS_NAMES), videos)
    inputs = {}
    for modality, info in FEATURES.items():
        directions = np.random.default_rng(len(info.shape)).standard_normal((len(CLASS_NAMES), 1, *info.shape))
        values = directions[classes].repeat(CLIPS, 1)
        inputs[modality] = ArraySource((values + noise * rng.standard_normal(values.shape)).astype("float32"))
    return Split(
        dataset="synthetic",
        name=name,
        ids=tuple(f"{name}{index}" for index in range(videos)),
        class_names=CLASS_NAMES,
        inputs=inputs,
        labels=np.eye(len(CLASS_NAMES), dtype="float32")[classes],
        features=FEATURES,
    )


def video_splits(**sizes: int) -> dict[str, Split]:
    """`{"train", "val", "test"}`, 8 videos each where no size is given."""
    return {name: video_split(name, sizes.get(name, 8)) for name in ("train", "val", "test")}
