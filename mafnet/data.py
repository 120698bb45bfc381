"""The data of MAFnet's models: splits with one label per video and the features that a model needs."""

import dataclasses
from pathlib import Path

import numpy as np

from avpipeline.datasets import REGISTERED, load_video_split, mafnet_pickles, require_folder
from avpipeline.datasets.ave_videos import load_ave_videos
from avpipeline.datasets.base import ArraySource, Split, mean_over_regions
from avpipeline.errors import InputError
from avpipeline.features.store import FeatureShards
from mafnet.config import ModelConfig

DATASETS = ("rendered", "ave", "ucf51", "kinetics_sounds", "csv")
# Kinetics-Sounds has three class lists; the paper has 32 classes.
KINETICS_LISTS = (31, 32, 34)
# The features that a model needs, by the number of dimensions of one clip's feature.
_NEEDED = {
    ("visual", 1): "a vector such as densenet201:avg_pool",
    ("visual", 3): "maps such as densenet201:last_activation or vgg19:pool5",
    ("audio", 1): "a vector such as vggish:embedding_relu",
    ("audio", 3): "maps such as vggish:conv4_2",
}


def load_split(
    dataset: str, name: str, network: ModelConfig, data_dir: Path | None = None, *, fold: int = 1, classes: int = 32
) -> Split:
    """One split with labels `(videos, classes)` and those of the inputs "visual" and "audio" that `network` has.

    Args:
      dataset: one of `DATASETS`.
      name: "train", "val" or "test".
      network: determines the inputs, and whether each is a vector or a map; visual maps are averaged for a model
        that takes vectors.
      data_dir: folder of the dataset's files; None for synthetic clips.
      fold: which of UCF51's three official splits.
      classes: which of `KINETICS_LISTS`.

    Raises:
      InputError: files missing or wrong, or features that the model cannot use.
    """
    dimensions = {modality: len(getattr(network, f"{modality}_shape")) for modality in network.modalities}
    place = {"ucf51": f"ucf51-{fold}", "kinetics_sounds": f"kinetics_sounds-{classes}"}.get(dataset, dataset)
    split = _load(place, name, dimensions, data_dir)
    if dimensions.get("visual") == 1 and len(split.features["visual"].shape) == 3:
        split = _with_visual_means(split)
    several = np.flatnonzero(split.labels.sum(1) != 1)
    if dataset in ("csv", *REGISTERED) and several.size:
        raise InputError(
            f"{data_dir}: MAFnet gives each video one label, and {several.size} of the {len(split)} in split {name} "
            f"have several or none (the first is {split.ids[several[0]]}); leave one each."
        )
    for modality, count in dimensions.items():
        info = split.features[modality]
        if len(info.shape) != count:
            raise InputError(
                f"{data_dir or dataset}: its {modality} features are {info.label} {info.shape}, but the model needs "
                f"{_NEEDED[modality, count]}; extract those with python -m avpipeline.extract."
            )
    return split


def fitted(network: ModelConfig, split: Split) -> ModelConfig:
    """`network` with the number of classes, the number of clips and the feature shapes of a dataset."""
    shapes = {f"{modality}_shape": split.features[modality].shape for modality in network.modalities}
    num_segments = split.inputs[network.modalities[0]].shape[0]
    return dataclasses.replace(network, num_classes=len(split.class_names), num_segments=num_segments, **shapes)


def _load(dataset: str, name: str, dimensions: dict[str, int], data_dir: Path | None) -> Split:
    if dataset == "ave" and data_dir is not None:
        # The pickles serve the models whose features they hold; DMRN uses other features.
        pickled = {modality: len(info.shape) for modality, info in mafnet_pickles.FEATURES.items()}
        pickles = dimensions.items() <= pickled.items()
        return load_ave_videos(data_dir, name, modalities=tuple(dimensions), pickles=pickles)
    if dataset not in ("rendered", "csv", *REGISTERED):
        return load_video_split(dataset, name, data_dir, modalities=tuple(dimensions))
    # In synthetic clips and the user's own, audio maps can be stored as "audio_map" beside vectors.
    if dataset != "rendered":
        require_folder(dataset, data_dir)
    maps = dataset == "rendered" or "audio_map" in FeatureShards(data_dir).features
    stored = {"audio": "audio_map" if maps and dimensions.get("audio") == 3 else "audio", "visual": "visual"}
    wanted = {modality: stored[modality] for modality in dimensions}
    split = load_video_split(dataset, name, data_dir, modalities=tuple(wanted.values()))
    return dataclasses.replace(
        split,
        inputs={modality: split.inputs[key] for modality, key in wanted.items()},
        features={modality: split.features[key] for modality, key in wanted.items()},
    )


def _with_visual_means(split: Split) -> Split:
    """The same split with the visual maps averaged over regions, like the extractor's variant "avg_pool"."""
    info = split.features["visual"]
    from avpipeline.features.registry import VARIANTS

    if "avg_pool" not in VARIANTS.get(info.extractor, ()):
        return split
    means = dataclasses.replace(info, variant="avg_pool", shape=info.shape[-1:])
    return dataclasses.replace(
        split,
        inputs={**split.inputs, "visual": ArraySource(mean_over_regions(split.inputs["visual"]))},
        features={**split.features, "visual": means},
    )
