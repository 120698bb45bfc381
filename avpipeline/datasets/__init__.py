"""Datasets by name; each module reads one dataset's official files into `base.Split`s."""

from collections.abc import Iterable

from avpipeline.datasets.base import Split
from avpipeline.errors import InputError

DATASETS = {
    "ave": "AVE: 4143 real videos, one event each, from its official files (needs --data)",
    "rendered": "made-up clips of moving objects and synthesised sounds, rendered on first use (a test bed)",
}
# Those of them whose videos have labels as a whole.
VIDEO_DATASETS = ("rendered",)


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
        raise InputError(f"dataset '{dataset}': unknown, the names are {', '.join(DATASETS)}.")
    if dataset == "rendered":
        return _load_rendered(name, data_dir, seed, modalities)
    if data_dir is None:
        raise InputError(f"dataset '{dataset}': needs the folder of its files (--data); see docs/datasets.md.")

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
      dataset, name, data_dir, seed, modalities: as of `load_split`.

    Raises:
      InputError: as of `load_split`, or the dataset has no labels of videos here.
    """
    if dataset not in VIDEO_DATASETS:
        known = ", ".join(VIDEO_DATASETS)
        raise InputError(f"dataset '{dataset}': has no labels of whole videos here, those that have are {known}.")
    _require_no_folder(data_dir)
    from avpipeline.datasets.rendered import RenderedSettings, rendered_video_split

    return rendered_video_split(name, RenderedSettings(seed=seed), modalities=modalities)


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
        _require_no_folder(data_dir)
        from avpipeline.datasets.rendered import RenderedSettings, rendered_weak_training

        return rendered_weak_training(RenderedSettings(seed=seed), modalities=modalities, noisy=noisy)
    if data_dir is None:
        raise InputError(f"dataset '{dataset}': needs the folder of its files (--data); see docs/datasets.md.")

    from avpipeline.datasets.ave_weak import load_ave_weak

    return load_ave_weak(data_dir, modalities=modalities, noisy=noisy)


def _require_no_folder(data_dir) -> None:
    if data_dir is not None:
        raise InputError(f"dataset 'rendered': is made by the program and cannot be read from {data_dir}.")


def _load_rendered(name: str, data_dir, seed: int, modalities: Iterable[str] | None) -> Split:
    _require_no_folder(data_dir)
    # Rendering brings decoders and networks that real features do not need.
    from avpipeline.datasets.rendered import RenderedSettings, rendered_split

    return rendered_split(name, RenderedSettings(seed=seed), modalities=modalities)
