"""The videos that the event layers are trained and evaluated on: video-level labels and media files.

A model's inputs are either decoded clips (frames, log-mel, onsets) or features that frozen backbones extract from them;
both are cached, see `eventlayers.clips`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avpipeline.datasets import VIDEO_DATASETS, read_video_list, require_folder
from avpipeline.datasets.base import Split
from avpipeline.datasets.llp import one_of_each
from avpipeline.datasets.rendered import RenderedSettings, rendered_clips
from avpipeline.datasets.rendering.storyboards import CATEGORIES
from avpipeline.datasets.video_lists import VideoList, find_clips
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo, require_same
from avpipeline.training.saved import load_model
from eventlayers.config import BACKBONE_MODELS, ModelConfig

if TYPE_CHECKING:
    from eventlayers.time_steps import TimeStepBackbones

# Synthetic datasets -> events per clip.
RENDERED = {"rendered": 1, "rendered_pairs": 2}
DATASETS = {
    "rendered": "synthetic clips with one event each",
    "rendered_pairs": "synthetic clips with two events each; training has one label per clip, drawn from its two",
    **{name: text for name, text in VIDEO_DATASETS.items() if name != "rendered"},
}


def default_inputs(dataset: str) -> str:
    """What models are trained on: features of the small backbones on synthetic clips, else clips as in the paper."""
    return "features" if dataset in RENDERED else "clips"


@dataclasses.dataclass(frozen=True)
class Videos(VideoList):
    """The videos of one split and their files.

    Attributes:
      paths: of the files.
      kinds: of synthetic clips, "continuous", "rhythmic" or "instant"; empty for other datasets.
    """

    paths: tuple[Path, ...] = ()
    kinds: tuple[str, ...] = ()


def require_source(dataset: str, lists: Path | None, clips: Path | None) -> None:
    """Raises InputError if a folder is missing, or given for a dataset that has none; arguments as for `videos_of`."""
    if dataset not in RENDERED:
        require_folder(dataset, lists)
    elif given := lists or clips:
        raise InputError(
            f"{given}: synthetic clips are generated on this machine; leave out --data and --clips, or name a dataset."
        )


def videos_of(dataset: str, name: str, lists: Path | None = None, clips: Path | None = None) -> Videos:
    """The videos of one split, "train", "val" or "test".

    Args:
      dataset: one of `DATASETS`.
      lists: folder of its official lists; None for synthetic clips.
      clips: folder of its video files; None means the folder of the lists.

    Raises:
      InputError: lists or clips are missing or malformed.
    """
    require_source(dataset, lists, clips)
    if dataset not in RENDERED:
        listed, paths = find_clips(read_video_list(dataset, name, lists), clips or lists)
        return Videos(dataset, name, listed.ids, listed.class_names, listed.labels, paths=paths)
    rendered = rendered_clips(RenderedSettings(events_per_clip=RENDERED[dataset]))
    ids, kinds = zip(*((board.id, board.kind) for board in rendered.boards[name]), strict=True)
    labels = np.stack([board.labels()[..., :-1].max(0) for board in rendered.boards[name]])
    if name == "train":
        labels = one_of_each(labels, ids)
    return Videos(dataset, name, ids, CATEGORIES, labels, paths=tuple(rendered.paths(name)), kinds=kinds)


def trained_backbones(folder) -> TimeStepBackbones:
    """The trained backbones of the first seeds of the runs vision_only and audio_only on clips in `folder`.

    Raises:
      InputError: one of them is missing or is another model.
    """
    from eventlayers.models import BACKBONES
    from eventlayers.time_steps import time_step_backbones

    networks, sets = {}, set()
    for modality, model in BACKBONE_MODELS.items():
        path = Path(folder) / model
        trained, info = load_model(path, paper="eventlayers")
        if info.model != model or info.config["inputs"] != "clips":
            raise InputError(f"{path}: holds {info.model} on {info.config['inputs']}; train {model} on clips there.")
        networks[modality] = trained.get_layer(BACKBONES[modality])
        sets.add(info.config["backbones"])
    if len(sets) > 1:
        raise InputError(
            f"{folder}: its backbones are of different kinds, {' and '.join(sorted(sets))}; train both with the same "
            "--backbones."
        )
    return time_step_backbones(sets.pop(), networks["visual"], networks["audio"])


def backbones_of(features: Mapping[str, FeatureInfo], from_backbones=None, weights_dir=None) -> TimeStepBackbones:
    """The backbones of the features that a saved model was trained on.

    Args:
      from_backbones: folder of the runs that trained the backbones, if any; see `trained_backbones`.
      weights_dir: folder with MC3-18's weights, searched first.

    Raises:
      InputError: weights are missing or not the same.
    """
    from eventlayers.time_steps import time_step_backbones_for

    if from_backbones is None:
        return time_step_backbones_for(features, weights_dir=weights_dir)
    backbones = trained_backbones(from_backbones)
    require_same(features, backbones.features, str(from_backbones))
    return backbones


def load_split(videos: Videos, network: ModelConfig, backbones: TimeStepBackbones | None) -> Split:
    """One split, with clips as inputs if `backbones` is None, else with their features."""
    from eventlayers.clips import FRAME_FORMATS, clip_inputs
    from eventlayers.time_steps import time_step_inputs

    if backbones is None:
        frames = FRAME_FORMATS[network.backbones]
        inputs, features = clip_inputs(videos.paths, frames, onset_method=network.onsets), frames.info()
    else:
        inputs = time_step_inputs(videos.paths, backbones, onset_method=network.onsets)
        features = backbones.features
    return Split(videos.dataset, videos.name, videos.ids, videos.class_names, inputs, videos.labels, features)
