"""Small folders of records whose labels can be learned, and small networks for them."""

import numpy as np

from attendfusion.data import Records, load_records
from attendfusion.settings import RecordSettings
from avpipeline.datasets.youtube8m import Video
from avpipeline.datasets.youtube8m.splits import write_vocabulary
from avpipeline.datasets.youtube8m.writing import Description, write_description, write_shards
from avpipeline.features.info import FeatureInfo

CLASS_NAMES = ("cat", "dog", "bell", "drum", "rain")
FEATURES = {
    "audio": FeatureInfo("vggish", "embedding_relu", "none", "a" * 64, (4,)),
    "visual": FeatureInfo("vgg19", "pool5", "none", "b" * 64, (2, 2, 6)),
}
SCALE = {"audio": 0.5, "visual": 0.25}
WIDTHS = {"audio": 4, "visual": 6}


def videos(name, count, frames=(2, 5)):
    """`count` videos with one or two labels, each of which adds its own direction to the frames."""
    rng = np.random.default_rng([5, *name.encode()])
    directions = {
        modality: np.random.default_rng(6).uniform(-1, 1, (len(CLASS_NAMES), width))
        for modality, width in WIDTHS.items()
    }
    made = []
    for index in range(count):
        labels = sorted(rng.choice(len(CLASS_NAMES), rng.integers(1, 3), replace=False).tolist())
        length = int(rng.integers(*frames))
        made.append(
            Video(
                f"{name}{index}",
                labels,
                {
                    modality: directions[modality][labels].mean(0) + 0.2 * rng.standard_normal((length, width))
                    for modality, width in WIDTHS.items()
                },
            )
        )
    return made


def write_folder(folder, level="video", sizes=(12, 6, 7)):
    """Shards of train, validate and test files with a description and a vocabulary."""
    for name, count in zip(("train", "validate", "test"), sizes, strict=True):
        write_shards(folder, name, videos(name, count), shards=2, level=level)
    write_description(folder, Description(FEATURES, SCALE))
    write_vocabulary(folder / "vocabulary.csv", CLASS_NAMES, [1] * len(CLASS_NAMES))
    return folder


def records(folder, tokens="mean_std", modalities=("audio", "visual"), **settings) -> Records:
    network = {"tokens": tokens, "modalities": modalities}
    return load_records(RecordSettings(data=folder, **settings), network)
