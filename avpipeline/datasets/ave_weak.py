"""AVE with one label a video, for weakly-supervised training (Section 4.4 of the paper)."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from avpipeline.datasets.ave import (
    ANNOTATIONS,
    RELEASED_FEATURES,
    load_ave,
    open_table,
    read_annotations,
    read_order,
    video_labels,
)
from avpipeline.datasets.ave_h5 import H5Source
from avpipeline.datasets.base import JoinedRows, Split
from avpipeline.errors import InputError
from avpipeline.features.info import require_same

NOISY_FILES = {"audio": "audio_feature_noisy.h5", "visual": "visual_feature_noisy.h5"}
NOISY_LABELS = "labels_noisy.h5"


def load_ave_weak(data_dir, *, noisy: bool = True, modalities: Iterable[str] | None = None) -> Split:
    """AVE's training split with video labels `(videos, classes)`, followed by the noisy background videos.

    Video labels come from mil_labels.h5 if present, else from Annotations.txt. The authors add 178 videos without any
    event, so that the model sees what background is; their labels come from labels_noisy.h5.

    Args:
      data_dir: as for `load_ave`.
      noisy: whether to add the noisy videos.
      modalities: the inputs needed; None for all that the folder holds.

    Raises:
      InputError: as `load_ave`; or a file of the noisy videos is missing, or holds different features.
    """
    folder = Path(data_dir)
    split = load_ave(folder, "train", modalities=modalities)
    annotations = read_annotations(folder / ANNOTATIONS)
    if (folder / "mil_labels.h5").exists():
        source = open_table(folder, "mil_labels.h5", annotations)
        labels = source.read(np.arange(len(source)))
    else:
        labels = video_labels(annotations)
    split = dataclasses.replace(split, labels=labels[read_order(folder, "train", annotations)])
    return _with_noisy_videos(folder, split, annotations) if noisy else split


def _with_noisy_videos(folder: Path, split: Split, annotations) -> Split:
    files = {modality: NOISY_FILES[modality] for modality in split.inputs}
    missing = [name for name in (*files.values(), NOISY_LABELS) if not (folder / name).exists()]
    if missing:
        raise InputError(
            f"{folder}: has no {' and no '.join(missing)}, with the background videos of weakly-supervised training; "
            "put them there or train without those videos (--no-noisy)."
        )
    extra = {modality: open_table(folder, name, annotations) for modality, name in files.items()}
    features = {name: source.feature_info() or RELEASED_FEATURES[name] for name, source in extra.items()}
    require_same(split.features, features, f"{folder}, noisy videos")
    labels = open_table(folder, NOISY_LABELS, annotations)
    count = len(labels)
    for source in extra.values():
        _check_rows(source, count)
    return dataclasses.replace(
        split,
        ids=(*split.ids, *(f"noisy_{index}" for index in range(count))),
        inputs={modality: JoinedRows(split.inputs[modality], source) for modality, source in extra.items()},
        labels=np.concatenate([split.labels, labels.read(np.arange(count))]),
    )


def _check_rows(source: H5Source, count: int) -> None:
    if len(source) != count:
        raise InputError(
            f"{source.path}: has {len(source)} rows and {NOISY_LABELS} {count}; the two do not belong together, "
            "download both from one place."
        )
