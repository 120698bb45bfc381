"""Datasets by name; each module reads one dataset's official files into `base.Split`s."""

from collections.abc import Callable, Iterable
from functools import partial

from avpipeline.datasets.base import Split
from avpipeline.datasets.kinetics import read_kinetics400, read_kinetics_sounds
from avpipeline.datasets.llp import read_llp
from avpipeline.datasets.own_clips import read_clips_csv
from avpipeline.datasets.ucf51 import read_ucf51
from avpipeline.datasets.vggsound import read_vggsound
from avpipeline.datasets.video_lists import VideoList, join_features
from avpipeline.errors import InputError

DATASETS = {
    "ave": "AVE: 4143 real videos, one event each, from its official files (needs --data)",
    "rendered": "made-up clips of moving objects and synthesised sounds, rendered on first use (a test bed)",
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
# Dataset -> reader (folder, split) of its official lists.
_LISTS: dict[str, Callable[..., VideoList]] = {
    **{f"ucf51-{split}": partial(read_ucf51, split=split) for split in (1, 2, 3)},
    **{f"kinetics_sounds-{classes}": partial(read_kinetics_sounds, classes=classes) for classes in (31, 32, 34)},
    "kinetics400": read_kinetics400,
    "vggsound": read_vggsound,
    "llp": read_llp,
    **{f"llp-{labels}": partial(read_llp, training_labels=labels) for labels in ("drawn", "single")},
    "csv": read_clips_csv,
}


def load_split(
    dataset: str,
    name: str,
    data_dir=None,
    *,
    seed: int = 0,
    modalities: Iterable[str] | None = None,
) -> Split:
    """One split of a dataset by name.

    Args:
      dataset: one of `DATASETS`.
      name: `"train"`, `"val"` or `"test"`.
      data_dir: folder of the dataset's files; None for the rendered dataset, which has none.
      seed: the rendered dataset's generator seed; others ignore it.
      modalities: the inputs that are needed, None for all that are there.

    Raises:
      InputError: unknown dataset or split, files missing or wrong.
    """
    if dataset not in DATASETS:
        reason = (
            "has labels of whole videos only, those of seconds have"
            if dataset in _LISTS
            else "unknown, the names are"
        )
        raise InputError(f"dataset '{dataset}': {reason} {', '.join(DATASETS)}.")
    if dataset == "rendered":
        return _load_rendered(name, data_dir, seed, modalities)
    require_folder(dataset, data_dir)

    from avpipeline.datasets.ave import load_ave

    return load_ave(data_dir, name, modalities=modalities)


def load_video_split(
    dataset: str,
    name: str,
    data_dir=None,
    *,
    seed: int = 0,
    modalities: Iterable[str] | None = None,
) -> Split:
    """One split of a dataset with labels of whole videos, `(videos, classes)`, without background.

    Args:
      dataset: one of `VIDEO_DATASETS`.
      name: `"train"`, `"val"` or `"test"`.
      data_dir: folder of the dataset's lists and of the shards of features extracted from its clips (AVE's may be
        other files); None for the rendered dataset, which has none.
      seed: the rendered dataset's generator seed; others ignore it.
      modalities: the inputs that are needed, None for all that are there; from shards also "mask", see
        `video_lists.join_features`.

    Raises:
      InputError: unknown dataset or split, files missing or wrong.
    """
    _require_videos(dataset)
    if dataset == "rendered":
        require_no_folder(data_dir)
        from avpipeline.datasets.rendered import RenderedSettings, rendered_video_split

        return rendered_video_split(name, RenderedSettings(seed=seed), modalities=modalities)
    require_folder(dataset, data_dir)
    if dataset == "ave":
        from avpipeline.datasets.ave_videos import load_ave_videos

        return load_ave_videos(data_dir, name, modalities=modalities)
    return join_features(_LISTS[dataset](data_dir, name), data_dir, modalities=modalities)


def read_video_list(dataset: str, name: str, data_dir) -> VideoList:
    """The videos of one split and their labels, from the dataset's official lists alone.

    Args:
      dataset: one of `VIDEO_DATASETS` but the rendered one, whose clips come from `rendered.rendered_clips`.
      name: `"train"`, `"val"` or `"test"`.
      data_dir: folder of the lists.

    Raises:
      InputError: unknown dataset or split, a list is missing or malformed.
    """
    _require_videos(dataset)
    if dataset == "rendered":
        raise InputError("dataset 'rendered': has no lists; its clips are made by the program.")
    require_folder(dataset, data_dir)
    if dataset == "ave":
        from avpipeline.datasets.ave_videos import read_ave_videos

        return read_ave_videos(data_dir, name)
    return _LISTS[dataset](data_dir, name)


def load_weak_training(
    dataset: str,
    data_dir=None,
    *,
    seed: int = 0,
    modalities: Iterable[str] | None = None,
    noisy: bool = True,
) -> Split:
    """The training split with one label a video, `(videos, classes)`, for weakly-supervised training.

    Args:
      dataset, data_dir, seed, modalities: as of `load_split`.
      noisy: join the videos without an event that the dataset has for this.

    Raises:
      InputError: as of `load_split`, or the noisy videos' files are missing.
    """
    if dataset == "rendered":
        require_no_folder(data_dir)
        from avpipeline.datasets.rendered import RenderedSettings, rendered_weak_training

        return rendered_weak_training(RenderedSettings(seed=seed), modalities=modalities, noisy=noisy)
    require_folder(dataset, data_dir)

    from avpipeline.datasets.ave_weak import load_ave_weak

    return load_ave_weak(data_dir, modalities=modalities, noisy=noisy)


def _require_videos(dataset: str) -> None:
    if dataset not in VIDEO_DATASETS:
        known = ", ".join(VIDEO_DATASETS)
        raise InputError(f"dataset '{dataset}': has no labels of whole videos here, those that have are {known}.")


def require_folder(dataset: str, data_dir) -> None:
    """Raises InputError where a dataset that has files is given no folder of them."""
    if data_dir is None:
        raise InputError(f"dataset '{dataset}': needs the folder of its files (--data); see docs/datasets.md.")


def require_no_folder(data_dir) -> None:
    """Raises InputError where the rendered dataset, which has no files, is given a folder."""
    if data_dir is not None:
        raise InputError(f"{data_dir}: the rendered data is made here; leave out --data or --dataset.")


def _load_rendered(name: str, data_dir, seed: int, modalities: Iterable[str] | None) -> Split:
    require_no_folder(data_dir)
    # Rendering brings decoders and networks that real features do not need.
    from avpipeline.datasets.rendered import RenderedSettings, rendered_split

    return rendered_split(name, RenderedSettings(seed=seed), modalities=modalities)
