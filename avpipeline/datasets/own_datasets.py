"""Datasets that a user's own file adds: wraps the user's functions so that what they return is checked."""

import dataclasses
from collections.abc import Callable

import numpy as np

from avpipeline.datasets.base import Split
from avpipeline.datasets.video_lists import VideoList
from avpipeline.errors import InputError

_Read = Callable[..., VideoList]


def segment_reader(read: _Read, dataset: str) -> _Read:
    """Wraps the user's `read` of (folder, split): its labels must be per second; the result gets the dataset's name."""
    return lambda folder, name: _checked(read(folder, name), dataset, 3)


def reader(read: _Read, dataset: str, *, segments: bool) -> _Read:
    """As `segment_reader`, with labels of whole videos; labels of seconds become the video's classes but background.

    Args:
      segments: whether `read` returns labels of seconds.
    """

    def read_videos(folder, name: str) -> VideoList:
        videos = _checked(read(folder, name), dataset, 3 if segments else 2)
        if not segments:
            return videos
        labels = videos.labels[..., :-1].max(1)
        whole = dataclasses.replace(videos, labels=labels, class_names=videos.class_names[:-1])
        return whole.select(np.flatnonzero(labels.any(1)))

    return read_videos


def with_video_labels(split: Split) -> Split:
    """The split with labels of whole videos for weakly supervised training; a video without an event is background."""
    events = split.labels[..., :-1].max(1)
    return dataclasses.replace(split, labels=np.concatenate([events, 1 - events.max(1, keepdims=True)], 1))


def _checked(videos: VideoList, dataset: str, rank: int) -> VideoList:
    """`videos` under the name of its dataset; InputError unless it is a list with labels of this rank."""
    if not isinstance(videos, VideoList):
        raise InputError(f"dataset '{dataset}': its function returned {type(videos).__name__}; return a VideoList.")
    shape, form = np.shape(videos.labels), "(videos, seconds, classes)" if rank == 3 else "(videos, classes)"
    if len(shape) != rank or shape[0] != len(videos) or shape[-1] != len(videos.class_names):
        raise InputError(
            f"dataset '{dataset}': has {len(videos)} videos, {len(videos.class_names)} class names and labels of shape "
            f"{shape}; labels must be {form}."
        )
    return dataclasses.replace(videos, dataset=dataset, labels=np.asarray(videos.labels, np.float32))
