"""Small folders of records whose labels can be learned, and small networks for them."""

import numpy as np

from attendfusion.data import Records, load_records
from attendfusion.settings import RecordSettings
from avpipeline.datasets.youtube8m import Video
from avpipeline.datasets.youtube8m.splits import write_vocabulary
from avpipeline.datasets.youtube8m.writing import Description, write_description, write_shards
from avpipeline.features.info import FeatureInfo
from avpipeline.files import read_predictions
from avpipeline.metrics.ranking import F1, GAP, PERR, TOP_K, HitAtOne, MeanAveragePrecision

# What is stored for the videos.
_STORED = ("labels", "label_counts", "top_labels", "top_scores", "num_classes", "threshold")
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


def recomputed(path, batch_size: int = 1024) -> dict[str, float]:
    """GAP, Hit@1, PERR and the challenge's mean average precision, computed from a stored predictions.npz; F1 too if
    every class of every video was stored."""
    kept = read_predictions(path, *_STORED)
    classes, ends = int(kept["num_classes"]), np.cumsum(kept["label_counts"])
    metrics = {"gap": GAP(), "hit_at_one": HitAtOne(), "perr": PERR(), "mean_ap": MeanAveragePrecision()}
    if classes <= TOP_K:
        metrics["f1"] = F1(float(kept["threshold"]))
    for start in range(0, len(ends), batch_size):
        here = slice(start, start + batch_size)
        counts = kept["label_counts"][here]
        labels = np.zeros((len(counts), classes), np.float32)
        probabilities = np.zeros_like(labels)
        first = ends[start] - counts[0]
        labels[np.repeat(np.arange(len(counts)), counts), kept["labels"][first : first + counts.sum()]] = 1
        np.put_along_axis(probabilities, kept["top_labels"][here], kept["top_scores"][here], 1)
        for metric in metrics.values():
            metric.update_state(labels, probabilities)
    return {name: float(metric.result()) for name, metric in metrics.items()}
