"""The rendered clips in YouTube-8M's format: synthetic data for everything that reads YouTube-8M.

Each clip is a video of ten frames, one a second, labelled with its objects, its sounds and which of the eight pairs
they form. Of these 16 labels, frames alone reveal the objects and sound alone the sounds; the pairs need both. As
always with synthetic data, results on it say nothing about the real YouTube-8M.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from avpipeline.datasets.base import Split
from avpipeline.datasets.rendered import RenderedSettings, rendered_clips, rendered_split
from avpipeline.datasets.rendering.storyboards import CATEGORIES, LOOKS, SOUNDS, SPLITS, Storyboard
from avpipeline.datasets.youtube8m.files import SPLIT_NAMES
from avpipeline.datasets.youtube8m.records import Video
from avpipeline.datasets.youtube8m.splits import VOCABULARY_FILE, YouTube8M, load_youtube8m, write_vocabulary
from avpipeline.datasets.youtube8m.writing import Description, fitting_scale, write_description, write_shards
from avpipeline.files import atomic_folder, locked

CLASS_NAMES = (*LOOKS, *SOUNDS, *CATEGORIES)
# Version of the shards' format; with a new number they are written again.
_VERSION = 1
_SHARDS = {"train": 4, "val": 2, "test": 2}


def rendered_youtube8m(
    settings: RenderedSettings | None = None, *, level: Literal["video", "frame"] = "video"
) -> YouTube8M:
    """Shards of the rendered clips, written into the cache unless they are there.

    Args:
      settings: of the clips; None takes the defaults.
      level: "video" for mean and standard deviation of each video, "frame" for its ten frames.

    Raises:
      InputError: the cache cannot be written.
    """
    settings = settings or RenderedSettings()
    splits = {name: rendered_split(name, settings) for name in SPLITS if settings.count(name)}
    identity = {
        "version": _VERSION,
        "clips": {name: len(split) for name, split in splits.items()},
        "features": [info.to_json() for split in splits.values() for info in split.features.values()],
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    folder = rendered_clips(settings).folder / f"youtube8m-{digest}"
    if not folder.exists():
        with locked(folder):
            # Another process may have written them while this one waited.
            if not folder.exists():
                _write(folder, splits, rendered_clips(settings).boards)
    return load_youtube8m(folder / level, name="rendered")


def labels_of(board: Storyboard) -> list[int]:
    """Class numbers of a clip: for each of its events the object, the sound, and the two together."""
    labels = set()
    for event in board.events:
        labels |= {event.look, len(LOOKS) + event.sound, len(LOOKS) + len(SOUNDS) + event.category}
    return sorted(labels)


def _write(folder: Path, splits: Mapping[str, Split], boards: Mapping[str, Sequence[Storyboard]]) -> None:
    first = next(iter(splits.values()))
    scale = {name: fitting_scale(source.array) for name, source in first.inputs.items()}
    description = Description(dict(first.features), scale)
    labels = [label for board in boards["train"] for label in labels_of(board)]
    counts = np.bincount(labels, minlength=len(CLASS_NAMES)).tolist()
    with atomic_folder(folder) as temporary:
        for level in ("frame", "video"):
            for name, split in splits.items():
                videos = _videos(boards[name], split, description)
                write_shards(temporary / level, SPLIT_NAMES[name][0], videos, shards=_SHARDS[name], level=level)
            write_description(temporary / level, description)
            write_vocabulary(temporary / level / VOCABULARY_FILE, CLASS_NAMES, counts)


def _videos(boards: Sequence[Storyboard], split: Split, description: Description) -> list[Video]:
    def frames(row: int) -> dict[str, np.ndarray]:
        return {name: description.frames(name, source.array[row]) for name, source in split.inputs.items()}

    return [Video(board.id, labels_of(board), frames(row)) for row, board in enumerate(boards)]
