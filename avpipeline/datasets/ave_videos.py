"""AVE with one label a video: for models that classify whole videos, and for weakly-supervised training."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from avpipeline.datasets import ave
from avpipeline.datasets.ave import ANNOTATIONS, RELEASED_FEATURES, Annotation
from avpipeline.datasets.base import JoinedRows, Split
from avpipeline.datasets.mafnet_pickles import load_mafnet_pickles, pickle_path
from avpipeline.datasets.video_lists import VideoList, one_hot
from avpipeline.errors import InputError
from avpipeline.features.info import require_same

NOISY_FILES = {"audio": "audio_feature_noisy.h5", "visual": "visual_feature_noisy.h5"}
NOISY_LABELS = "labels_noisy.h5"


def load_ave_videos(data_dir, split: str, *, modalities: Iterable[str] | None = None, pickles: bool = True) -> Split:
    """One split of AVE with labels `(videos, classes)`, one-hot: 28 classes in alphabetical order, no background.

    Features come from the pickles of MAFnet's authors if the folder has them, else from the same files as for
    `load_ave`: the HDF5 files of AVE's authors or the output of `avpipeline.extract`. In the latter, segments after the
    end of a short video are set to zero (`padding.segment_mask` gives the mask).

    Args:
      modalities: the inputs needed; None for all that the folder holds.
      pickles: False leaves the pickles aside.

    Raises:
      InputError: a file is missing, malformed or disagrees with another.
    """
    folder = Path(data_dir)
    if pickles and pickle_path(folder, split, "target").exists():
        return load_mafnet_pickles(folder, split, modalities=modalities)
    annotations = ave.read_annotations(folder / ANNOTATIONS)
    order = ave.read_order(folder, split, annotations)
    inputs, features = ave.open_inputs(folder, modalities, annotations, order, padded=True)
    videos = _videos(split, annotations, order)
    return Split("ave", split, videos.ids, videos.class_names, inputs, videos.labels, features)


def read_ave_videos(data_dir, split: str) -> VideoList:
    """The videos of one split of AVE, each with the category of its event, the classes in alphabetical order.

    A few videos are annotated more than once, with different categories: each annotation counts as a video here.

    Raises:
      InputError: a file is missing or malformed.
    """
    annotations = ave.read_annotations(Path(data_dir) / ANNOTATIONS)
    return _videos(split, annotations, ave.read_order(data_dir, split, annotations))


def _videos(split: str, annotations: Sequence[Annotation], order: np.ndarray) -> VideoList:
    names = tuple(sorted({item.category for item in annotations}))
    ids = tuple(annotations[row].video_id for row in order)
    labels = one_hot([names.index(annotations[row].category) for row in order], len(names))
    return VideoList("ave", split, ids, names, labels)


def load_ave_weak(data_dir, *, noisy: bool = True, modalities: Iterable[str] | None = None) -> Split:
    """AVE's training split with video labels `(videos, classes)`, followed by the noisy background videos.

    It is for weakly-supervised training (Section 4.4 of the paper), where background is the last class. Video labels
    come from mil_labels.h5 if present, else from Annotations.txt. The authors add 178 videos without any event, so
    that the model sees what background is; their labels come from labels_noisy.h5.

    Raises:
      InputError: as `load_ave`; or a file of the noisy videos is missing, or holds different features.
    """
    folder = Path(data_dir)
    split = ave.load_ave(folder, "train", modalities=modalities)
    annotations = ave.read_annotations(folder / ANNOTATIONS)
    if (folder / "mil_labels.h5").exists():
        source = ave.open_table(folder, "mil_labels.h5", annotations)
        labels = source.read(np.arange(len(source)))
    else:
        labels = ave.video_labels(annotations)
    split = dataclasses.replace(split, labels=labels[ave.read_order(folder, "train", annotations)])
    return _with_noisy_videos(folder, split, annotations) if noisy else split


def _with_noisy_videos(folder: Path, split: Split, annotations: Sequence[Annotation]) -> Split:
    files = {modality: NOISY_FILES[modality] for modality in split.inputs}
    missing = [name for name in (*files.values(), NOISY_LABELS) if not (folder / name).exists()]
    if missing:
        raise InputError(
            f"{folder}: has no {' and no '.join(missing)}, with the background videos of weakly-supervised training; "
            "put them there or train without those videos (--no-noisy)."
        )
    extra = {modality: ave.open_table(folder, name, annotations) for modality, name in files.items()}
    features = {name: source.feature_info() or RELEASED_FEATURES[name] for name, source in extra.items()}
    require_same(split.features, features, f"{folder}, noisy videos")
    labels = ave.open_table(folder, NOISY_LABELS, annotations)
    count = len(labels)
    for source in extra.values():
        ave.require_rows(source.path, source, count, NOISY_LABELS)
    return dataclasses.replace(
        split,
        ids=(*split.ids, *(f"noisy_{index}" for index in range(count))),
        inputs={modality: JoinedRows(split.inputs[modality], source) for modality, source in extra.items()},
        labels=np.concatenate([split.labels, labels.read(np.arange(count))]),
    )
