"""MAFnet's data in small: splits in memory, whose classes have their own directions, and pickles."""

import pickle

import numpy as np

from avpipeline.datasets.base import ArraySource, Split
from avpipeline.datasets.mafnet_pickles import FEATURES as PICKLED_FEATURES
from avpipeline.features.info import FeatureInfo

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


# Classes of the videos in the pickles: Violin, Bark, Bark.
PICKLED = np.array([27, 4, 4])


def dump(path, value):
    path.write_bytes(pickle.dumps(value, 2))


def write_pickles(folder, split="test", classes=PICKLED):
    """The authors' pickles; a video's features begin with its number, the last one is padded after 6 s."""
    folder.mkdir(exist_ok=True)
    for name, info in PICKLED_FEATURES.items():
        array = np.ones((len(classes), 10, *info.shape), np.float32)
        array[..., 0] = np.arange(len(classes)).reshape(-1, *[1] * (array.ndim - 2))
        array[-1, 6:] = 0
        dump(folder / f"{split}Set_{name}.p", array)
    dump(folder / f"{split}Set_target.p", np.eye(28)[classes])
    return folder
