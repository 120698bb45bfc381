"""AVE with one label a video: 28 classes and no background, as video classification takes it."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from avpipeline.datasets.ave import ANNOTATIONS, class_names, load_ave, read_annotations, read_order, video_labels
from avpipeline.datasets.base import Split
from avpipeline.datasets.video_lists import VideoList


def read_ave_videos(data_dir, name: str) -> VideoList:
    """The videos of one split of AVE in the authors' order, each with the category of its event.

    A few videos are there twice or more, with other categories: each of their rows is a video of its own here.

    Args:
      data_dir: folder with Annotations.txt and the order or Set files.
      name: "train", "val" or "test".

    Raises:
      InputError: a file is missing or malformed.
    """
    annotations = read_annotations(Path(data_dir) / ANNOTATIONS)
    order = read_order(data_dir, name, annotations)
    ids = tuple(annotations[row].video_id for row in order)
    return VideoList(
        dataset="ave",
        name=name,
        ids=ids,
        class_names=class_names(annotations)[:-1],
        labels=video_labels(annotations)[order, :-1],
        files=tuple(f"{video}.mp4" for video in ids),
    )


def load_ave_videos(data_dir, name: str, *, modalities: Iterable[str] | None = None) -> Split:
    """One split of AVE with features and labels `(videos, 28)`; otherwise as `load_ave`.

    Raises:
      InputError: as of `load_ave`.
    """
    videos = read_ave_videos(data_dir, name)
    split = load_ave(data_dir, name, modalities=modalities)
    return dataclasses.replace(split, labels=videos.labels, class_names=videos.class_names)
