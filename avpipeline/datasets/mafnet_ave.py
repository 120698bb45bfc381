"""AVE as MAFnet reads it: one label a video, the 28 classes in alphabetical order, zeros after a video's end."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from avpipeline.datasets.ave import (
    ANNOTATIONS,
    GUIDE,
    SEGMENTS,
    available_features,
    feature_rows,
    open_features,
    read_annotations,
    read_order,
    video_labels,
)
from avpipeline.datasets.base import SelectedRows, Split
from avpipeline.datasets.mafnet_pickles import has_pickles, load_mafnet_pickles
from avpipeline.datasets.padding import ZeroPadded
from avpipeline.datasets.video_lists import real_seconds
from avpipeline.errors import InputError


def load_mafnet_ave(data_dir, split: str, *, modalities: Iterable[str] | None = None, pickles: bool = True) -> Split:
    """One split of AVE with labels `(videos, classes)`, one-hot, the classes in alphabetical order.

    Features come from the pickles of MAFnet's authors where those are in the folder, else from where `load_ave`
    takes them: the HDF5 files of AVE's authors or the shards of `avpipeline.extract`. In shards the segments after
    the end of a shorter video are set to zero (`padding.segment_mask` gives the mask).

    Args:
      data_dir: folder of the files.
      split: "train", "val" or "test".
      modalities: the inputs needed, None for those that are there.
      pickles: False leaves pickles unread.

    Raises:
      InputError: a file is missing, malformed or disagrees with another.
    """
    folder = Path(data_dir)
    if pickles and has_pickles(folder, split):
        return load_mafnet_pickles(folder, split, modalities=modalities)
    annotations = read_annotations(folder / ANNOTATIONS)
    order = read_order(folder, split, annotations)
    chosen = available_features(folder) if modalities is None else tuple(modalities)
    if not chosen:
        raise InputError(f"{folder}: has no features, neither pickles nor HDF5 files nor shards; {GUIDE}.")
    opened = {modality: open_features(folder, modality) for modality in chosen}
    inputs = {}
    for modality, features in opened.items():
        rows = feature_rows(features, annotations)[order]
        inputs[modality] = SelectedRows(features.source, rows)
        if features.seconds is not None:
            inputs[modality] = ZeroPadded(inputs[modality], real_seconds(features.seconds[rows], SEGMENTS))
    labels = video_labels(annotations)[order][:, :-1]
    names = list(dict.fromkeys(item.category for item in annotations))
    alphabetical = sorted(names)
    return Split(
        dataset="ave",
        name=split,
        ids=tuple(annotations[row].video_id for row in order),
        class_names=tuple(alphabetical),
        inputs=inputs,
        labels=np.ascontiguousarray(labels[:, [names.index(name) for name in alphabetical]]),
        features={modality: features.info for modality, features in opened.items()},
    )
