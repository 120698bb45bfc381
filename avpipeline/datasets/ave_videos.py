"""AVE with one label a video, for models that classify whole videos: 28 sorted classes, no background."""

from collections.abc import Iterable
from pathlib import Path

from avpipeline.datasets.ave import (
    ANNOTATIONS,
    GUIDE,
    SEGMENTS,
    available_features,
    feature_rows,
    open_features,
    read_annotations,
    read_order,
)
from avpipeline.datasets.base import SelectedRows, Split
from avpipeline.datasets.mafnet_pickles import has_pickles, load_mafnet_pickles
from avpipeline.datasets.padding import ZeroPadded, whole_segments
from avpipeline.datasets.video_lists import VideoList, one_hot
from avpipeline.errors import InputError


def load_ave_videos(data_dir, split: str, *, modalities: Iterable[str] | None = None, pickles: bool = True) -> Split:
    """One split of AVE with labels `(videos, classes)`, one-hot, the classes in alphabetical order.

    Features come from the pickles of MAFnet's authors if the folder has them, else from the same files as for
    `load_ave`: the HDF5 files of AVE's authors or the output of `avpipeline.extract`. In the latter, segments after the
    end of a short video are set to zero (`padding.segment_mask` gives the mask).

    Args:
      data_dir: folder of the files.
      split: "train", "val" or "test".
      modalities: the inputs needed; None for all that the folder holds.
      pickles: whether to use the pickles.

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
            inputs[modality] = ZeroPadded(inputs[modality], whole_segments(features.seconds[rows], SEGMENTS))
    videos = read_ave_videos(folder, split)
    return Split(
        dataset="ave",
        name=split,
        ids=videos.ids,
        class_names=videos.class_names,
        inputs=inputs,
        labels=videos.labels,
        features={modality: features.info for modality, features in opened.items()},
    )


def read_ave_videos(data_dir, split: str) -> VideoList:
    """The videos of one split of AVE, each with the category of its event, the classes in alphabetical order.

    A few videos are annotated more than once, with different categories: each annotation counts as a video here.

    Raises:
      InputError: a file is missing or malformed.
    """
    annotations = read_annotations(Path(data_dir) / ANNOTATIONS)
    order = read_order(data_dir, split, annotations)
    names = tuple(sorted({item.category for item in annotations}))
    ids = tuple(annotations[row].video_id for row in order)
    return VideoList(
        dataset="ave",
        name=split,
        ids=ids,
        class_names=names,
        labels=one_hot([names.index(annotations[row].category) for row in order], len(names)),
        files=tuple(f"{video}.mp4" for video in ids),
    )
