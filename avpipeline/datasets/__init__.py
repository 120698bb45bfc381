"""Datasets by name; each module reads one dataset's official files into `base.Split`s."""

import dataclasses
from collections.abc import Callable, Iterable
from functools import partial
from types import ModuleType

import numpy as np

from avpipeline.datasets.ave import load_ave
from avpipeline.datasets.ave_videos import load_ave_videos, load_ave_weak, read_ave_videos
from avpipeline.datasets.base import Split
from avpipeline.datasets.kinetics import read_kinetics400, read_kinetics_sounds
from avpipeline.datasets.llp import read_llp
from avpipeline.datasets.own_clips import load_own_segments, read_clips_csv
from avpipeline.datasets.rendering.storyboards import RenderedSettings
from avpipeline.datasets.ucf51 import read_ucf51
from avpipeline.datasets.vggsound import read_vggsound
from avpipeline.datasets.video_lists import VideoList, join_features, with_background
from avpipeline.errors import InputError, require_free

DATASETS = {
    "ave": "AVE: 4143 real videos, one event each, from its official files (needs --data)",
    "rendered": "synthetic clips of moving objects and synthesised sounds, rendered on first use",
    "csv": "your own clips, from a clips.csv with starts and ends (needs --data)",
}
# Datasets with labels of whole videos.
VIDEO_DATASETS = {
    "rendered": "the same clips, each with the classes of its events",
    "ave": "the same videos, each with the category of its event",
    "ucf51-1": "UCF51: actions with sound, the first of three official splits",
    "ucf51-2": "UCF51, the second official split",
    "ucf51-3": "UCF51, the third official split",
    "kinetics_sounds-31": "Kinetics-Sounds, the list of 31 numbered classes",
    "kinetics_sounds-32": "Kinetics-Sounds, 32 classes of Kinetics-400",
    "kinetics_sounds-34": "Kinetics-Sounds, the 34 original classes",
    "kinetics400": "Kinetics-400: 400 actions",
    "vggsound": "VGGSound: 309 sounds whose source is seen",
    "llp": "LLP: one or more of 25 events a video",
    "llp-drawn": "LLP, training with one label a video, drawn from its labels",
    "llp-single": "LLP, training on the videos that have one label only",
    "csv": "your own clips, from clips.csv",
}
# Names under which commands group several of these.
_FAMILIES = ("ucf51", "kinetics_sounds", "rendered_pairs", "youtube8m")
# Dataset -> reader of its official lists, a function of (folder, split).
_LISTS: dict[str, Callable[..., VideoList]] = {
    "ave": read_ave_videos,
    **{f"ucf51-{split}": partial(read_ucf51, split=split) for split in (1, 2, 3)},
    **{f"kinetics_sounds-{classes}": partial(read_kinetics_sounds, classes=classes) for classes in (31, 32, 34)},
    "kinetics400": read_kinetics400,
    "vggsound": read_vggsound,
    "llp": read_llp,
    **{f"llp-{labels}": partial(read_llp, training_labels=labels) for labels in ("drawn", "single")},
    "csv": read_clips_csv,
}

# The datasets that files of users have added; they are also in the tables above.
REGISTERED: dict[str, str] = {}
# Those of them with labels of seconds -> reader of these labels; `_LISTS` has the reader of the videos' labels.
_SEGMENTS: dict[str, Callable[..., VideoList]] = {}


def register_dataset(name: str, description: str = "a dataset of your own", *, segments: bool = False):
    """Adds a dataset of your own, by a decorator of the function that reads its lists.

    The function takes the dataset's folder and a split, "train", "val" or "test", and returns a `VideoList`; features
    are those that `python -m avpipeline.extract` stored in the folder. `--dataset NAME --import FILE.py` selects it.

    Args:
      segments: whether labels are of each second, one-hot `(videos, seconds, classes)` with "background" as the last
        class, and not `(videos, classes)`.

    Raises:
      InputError: the name is taken.
    """
    require_free(name, {*DATASETS, *VIDEO_DATASETS, *_FAMILIES}, "dataset")

    def decorated(read: Callable[..., VideoList]) -> Callable[..., VideoList]:
        def checked(folder, split: str) -> VideoList:
            return _checked(read(folder, split), name, segments)

        VIDEO_DATASETS[name] = REGISTERED[name] = description
        _LISTS[name] = checked
        if segments:
            DATASETS[name] = description
            _SEGMENTS[name] = checked
            _LISTS[name] = lambda folder, split: _of_whole_videos(checked(folder, split))
        return read

    return decorated


def _checked(videos: VideoList, dataset: str, segments: bool) -> VideoList:
    """What a user's function returned, under the name of its dataset; InputError for labels of another shape."""
    if not isinstance(videos, VideoList):
        raise InputError(f"dataset '{dataset}': its function returned {type(videos).__name__}; return a VideoList.")
    shape, form = np.shape(videos.labels), ("videos", "seconds", "classes") if segments else ("videos", "classes")
    if len(shape) != len(form) or shape[0] != len(videos) or shape[-1] != len(videos.class_names):
        raise InputError(
            f"dataset '{dataset}': has {len(videos)} videos, {len(videos.class_names)} class names and labels of shape "
            f"{shape}; labels must be ({', '.join(form)})."
        )
    return dataclasses.replace(videos, dataset=dataset, labels=np.asarray(videos.labels, np.float32))


def _of_whole_videos(videos: VideoList) -> VideoList:
    """Videos whose labels are of seconds, with the classes of their events; videos without an event are left out."""
    labels = videos.labels[..., :-1].max(1)
    whole = dataclasses.replace(videos, labels=labels, class_names=videos.class_names[:-1])
    return whole.select(np.flatnonzero(labels.any(1)))


def load_split(
    dataset: str, name: str, data_dir=None, *, seed: int = 0, modalities: Iterable[str] | None = None
) -> Split:
    """One split of a dataset by name.

    Args:
      dataset: one of `DATASETS`.
      name: `"train"`, `"val"` or `"test"`.
      data_dir: folder of the dataset's files; None for the rendered dataset, which has none.
      seed: the rendered dataset's generator seed; others ignore it.
      modalities: the inputs needed; None for all that the files hold.

    Raises:
      InputError: unknown dataset or split, files missing or malformed.
    """
    _require_segments(dataset)
    if dataset == "rendered":
        return _rendered(data_dir).rendered_split(name, RenderedSettings(seed=seed), modalities=modalities)
    require_folder(dataset, data_dir)
    if dataset == "csv":
        return load_own_segments(data_dir, name, modalities=modalities)
    if dataset in _SEGMENTS:
        return join_features(_SEGMENTS[dataset](data_dir, name), data_dir, modalities=modalities, zero_padded=False)
    return load_ave(data_dir, name, modalities=modalities)


def load_video_split(
    dataset: str, name: str, data_dir=None, *, seed: int = 0, modalities: Iterable[str] | None = None
) -> Split:
    """One split of a dataset with labels of whole videos, `(videos, classes)`, without background.

    Args:
      dataset: one of `VIDEO_DATASETS`.
      name, seed: as for `load_split`.
      data_dir: folder of the dataset's lists and of the features extracted from its clips (for AVE other files will
        do, see `load_ave_videos`); None for the rendered dataset, which has none.
      modalities: the inputs needed; None for all that the files hold. Extracted features also have "mask", see
        `video_lists.join_features`.

    Raises:
      InputError: as `load_split`.
    """
    _require_videos(dataset)
    if dataset == "rendered":
        return _rendered(data_dir).rendered_video_split(name, RenderedSettings(seed=seed), modalities=modalities)
    require_folder(dataset, data_dir)
    if dataset == "ave":
        return load_ave_videos(data_dir, name, modalities=modalities)
    return join_features(_LISTS[dataset](data_dir, name), data_dir, modalities=modalities)


def read_video_list(dataset: str, name: str, data_dir) -> VideoList:
    """The videos of one split and their labels, from the dataset's official lists alone.

    Args:
      dataset: one of `VIDEO_DATASETS` except the rendered one, whose clips come from `rendered.rendered_clips`.
      data_dir: folder of the lists.

    Raises:
      InputError: unknown dataset or split, a list is missing or malformed.
    """
    _require_videos(dataset)
    if dataset == "rendered":
        raise InputError("dataset 'rendered': has no lists; its clips are rendered by the program.")
    require_folder(dataset, data_dir)
    return _LISTS[dataset](data_dir, name)


def load_weak_training(
    dataset: str, data_dir=None, *, seed: int = 0, modalities: Iterable[str] | None = None, noisy: bool = True
) -> Split:
    """The training split with one label a video, `(videos, classes)`, for weakly-supervised training.

    Args:
      dataset, data_dir, seed, modalities: as for `load_split`.
      noisy: add the dataset's extra videos without an event, which serve this purpose.

    Raises:
      InputError: as `load_split`, or the noisy videos' files are missing.
    """
    _require_segments(dataset)
    if dataset == "rendered":
        settings = RenderedSettings(seed=seed)
        return _rendered(data_dir).rendered_weak_training(settings, modalities=modalities, noisy=noisy)
    require_folder(dataset, data_dir)
    if dataset == "csv":
        # Here videos without an event are rows of the user's own table.
        return load_own_segments(data_dir, "train", modalities=modalities, weak=True)
    if dataset in _SEGMENTS:
        split = load_split(dataset, "train", data_dir, modalities=modalities)
        return dataclasses.replace(split, labels=with_background(split.labels[..., :-1].max(1)))
    return load_ave_weak(data_dir, modalities=modalities, noisy=noisy)


def _require_segments(dataset: str) -> None:
    if dataset not in DATASETS:
        reason = "labels whole videos only; segments are labelled in" if dataset in _LISTS else "unknown; choose one of"
        raise InputError(f"dataset '{dataset}': {reason} {', '.join(DATASETS)}.")


def _require_videos(dataset: str) -> None:
    if dataset not in VIDEO_DATASETS:
        known = ", ".join(VIDEO_DATASETS)
        raise InputError(f"dataset '{dataset}': has no labels of whole videos here; those that have are {known}.")


def require_folder(dataset: str, data_dir) -> None:
    """Raises InputError if a dataset that is read from files is given no folder."""
    if data_dir is None:
        raise InputError(f"dataset '{dataset}': needs the folder of its files (--data); see docs/datasets.md.")


def require_no_folder(data_dir) -> None:
    """Raises InputError if the rendered dataset, which is read from no files, is given a folder."""
    if data_dir is not None:
        raise InputError(f"{data_dir}: synthetic clips are generated on this machine; leave out --data or --dataset.")


def _rendered(data_dir) -> ModuleType:
    """The module of the rendered dataset."""
    require_no_folder(data_dir)
    # Imported only here: its extractors bring TensorFlow, which reading lists does not need.
    from avpipeline.datasets import rendered

    return rendered
