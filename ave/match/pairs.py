"""The data for cross-modality localization: audio and visual segments, and which of them match."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from avpipeline.datasets import ave as files
from avpipeline.datasets import load_split
from avpipeline.datasets.base import ArraySource, SelectedRows, Source, Split, mean_over_regions
from avpipeline.features.info import FeatureInfo

# Label 1: the second is part of the event, so its sound and frames belong together.
CLASS_NAMES = ("no match", "match")

_VECTORS = "visual_feature_vec.h5"
_LABELS = "labels_closs.h5"


def load_videos(dataset: str, name: str, data_dir=None) -> Split:
    """One split for cross-modality localization, in memory.

    For AVE, the videos are those in the authors' `<split>_order_match.h5`, whose test videos all have short events.
    Visual features come from visual_feature_vec.h5 if it exists, else from visual_feature.h5, averaged over regions;
    labels from labels_closs.h5 if it exists, else from Annotations.txt.

    Returns:
      Split with inputs `audio` `(videos, segments, 128)` and `visual` `(videos, segments, 512)`, and labels
      `(videos, segments)`, 1 within the event.

    Raises:
      InputError: unknown dataset or split, files missing or wrong.
    """
    if dataset == "ave" and data_dir is not None:
        return _load_ave(Path(data_dir), name)
    split = load_split(dataset, name, data_dir, modalities=("audio", "visual"))
    inputs = {"audio": _all(split.inputs["audio"]), "visual": mean_over_regions(split.inputs["visual"])}
    return _split_of(split, inputs, 1 - split.labels[..., -1])


def segment_pairs(split: Split, *, matching_only: bool = False) -> Split:
    """Pairs of simultaneous audio and visual segments from a split's videos, each as a video of one segment;
    `matching_only` leaves out pairs with label 0."""
    labels = split.labels.reshape(-1, 1)
    kept = np.flatnonzero(labels[:, 0] > 0.5) if matching_only else np.arange(len(labels))
    segments = split.labels.shape[1]
    ids = tuple(f"{split.ids[row // segments]}:{row % segments}" for row in kept)
    inputs = {name: _all(source).reshape(-1, 1, source.shape[-1])[kept] for name, source in split.inputs.items()}
    return _split_of(split, inputs, labels[kept], ids=ids)


def _load_ave(folder: Path, name: str) -> Split:
    annotations = files.read_annotations(folder / files.ANNOTATIONS)
    order = files.read_order(folder, name, annotations, matched=True)
    audio = files.open_features(folder, "audio")
    visual, visual_info = _visual(folder, annotations, order)
    if (folder / _LABELS).exists():
        labels = _all(files.open_table(folder, _LABELS, annotations))
    else:
        labels = files.event_segments(annotations)
    ids = tuple(annotations[row].video_id for row in order)
    heard = audio.source.read(files.feature_rows(audio, annotations)[order])
    inputs = {"audio": ArraySource(heard), "visual": ArraySource(visual)}
    features = {"audio": audio.info, "visual": visual_info}
    return Split("ave", name, ids, CLASS_NAMES, inputs, labels[order], features)


def _visual(folder: Path, annotations: Sequence[files.Annotation], order: np.ndarray) -> tuple[np.ndarray, FeatureInfo]:
    """`(videos, segments, channels)` for the annotations `order`, and the identity of the maps that were averaged."""
    if (folder / _VECTORS).exists():
        return files.open_table(folder, _VECTORS, annotations).read(order), files.RELEASED_FEATURES["visual"]
    maps = files.open_features(folder, "visual")
    return mean_over_regions(SelectedRows(maps.source, files.feature_rows(maps, annotations)[order])), maps.info


def _all(source: Source) -> np.ndarray:
    return source.read(np.arange(len(source)))


def _split_of(split: Split, inputs: Mapping[str, np.ndarray], labels: np.ndarray, **changes) -> Split:
    """The split with these inputs and labels of pairs instead of its own."""
    sources = {name: ArraySource(rows) for name, rows in inputs.items()}
    labels = labels.astype(np.float32)
    return dataclasses.replace(split, class_names=CLASS_NAMES, inputs=sources, labels=labels, **changes)
