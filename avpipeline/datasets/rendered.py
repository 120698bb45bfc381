"""The rendered dataset: small synthetic .mp4 clips made from a seed, with AVE's structure, and their features.

It is the default wherever no data is given, so that every command runs at once and downloads nothing. A result on it
never stands beside a paper's without saying that the data is synthetic. `datasets.rendering.storyboards` describes the
clips, and why neither frames nor sound alone suffice.

    python -m avpipeline.datasets.rendered OUT --seed 1      renders the clips into a folder, to look at
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tyro

from avpipeline.cli import run
from avpipeline.cli.progress import ProgressBar
from avpipeline.datasets.base import ArraySource, JoinedRows, SelectedRows, Split
from avpipeline.datasets.rendering.clips import clip_path, identity, render_folder
from avpipeline.datasets.rendering.storyboards import (
    CLASS_NAMES,
    PAIRS,
    SECONDS,
    SPLITS,
    RenderedSettings,
    Storyboard,
    storyboards,
)
from avpipeline.datasets.video_lists import one_hot
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.files import atomic_path, cache_dir, locked
from avpipeline.media import read_clip
from avpipeline.media.ahead import in_order

if TYPE_CHECKING:
    from avpipeline.features.registry import Extractor

# Features that are computed together, decoding the clips once; most models read the first pair.
_EXTRACTORS = (
    {"audio": "small_audio", "visual": "small_visual"},
    {"audio_map": "small_audio_map"},
    {"motion": "small_motion"},
)
# Training clips for each video without an event (AVE has 3339 and 178).
_CLIPS_A_NOISY_VIDEO = 16
_DEFAULTS = RenderedSettings()
# Decoded clips in memory at a time; about 1 MB each.
_BLOCK = 16


@dataclasses.dataclass(frozen=True)
class RenderedClips:
    """Clips on disk and what happens in them.

    Attributes:
      folder: holds `clips/`, the annotations in AVE's format and `storyboards.json`.
      boards: split -> one storyboard for each clip.
    """

    folder: Path
    boards: Mapping[str, tuple[Storyboard, ...]]

    def paths(self, split: str) -> list[Path]:
        return [clip_path(self.folder, board) for board in self.boards[split]]


def rendered_clips(settings: RenderedSettings = _DEFAULTS) -> RenderedClips:
    """Renders all clips of `settings` into the cache unless they are there."""
    folder = cache_dir() / "rendered" / _digest(identity(settings))
    render_folder(folder, settings)
    return RenderedClips(folder, {split: storyboards(settings, split) for split in SPLITS})


def rendered_split(
    name: str, settings: RenderedSettings = _DEFAULTS, *, modalities: Iterable[str] | None = None
) -> Split:
    """One split with features from the small seeded backbones; clips and features are cached.

    Args:
      name: "train", "val" or "test"; InputError for any other, or if `settings` gives the split no clips.
      modalities: of "audio", "visual", "audio_map" and "motion"; None for the first two.

    Returns:
      a Split with inputs `audio` `(clips, 10, 128)`, `visual` `(clips, 10, 7, 7, 512)`, `audio_map`
      `(clips, 10, 6, 4, 512)` and `motion` `(clips, 10, 512)`, as requested, memory-mapped from disk, and labels
      `(clips, 10, 9)`: eight classes, then background.
    """
    if settings.count(name) == 0:
        raise InputError(f"rendered: the settings give split '{name}' no clips; ask for one or more.")
    wanted = ("audio", "visual") if modalities is None else tuple(modalities)
    clips = rendered_clips(settings)
    inputs, features = {}, {}
    for names in _EXTRACTORS:
        if not set(wanted).isdisjoint(names):
            stored, made = _features(clips, name, names)
            inputs |= {key: ArraySource(np.load(path, mmap_mode="r")) for key, path in stored.items() if key in wanted}
            features |= {key: info for key, info in made.items() if key in wanted}
    ids = tuple(board.id for board in clips.boards[name])
    labels = np.stack([board.labels() for board in clips.boards[name]])
    return Split("rendered", name, ids, CLASS_NAMES, inputs, labels, features)


def rendered_video_split(
    name: str, settings: RenderedSettings = _DEFAULTS, *, modalities: Iterable[str] | None = None
) -> Split:
    """As `rendered_split`, with labels of whole clips `(clips, 8)`: 1 for each class that has an event in the clip.

    There is no background; with one event a clip, the labels are one-hot.
    """
    split = rendered_split(name, settings, modalities=modalities)
    videos = split.labels[..., :-1].max(1)
    return dataclasses.replace(split, class_names=split.class_names[:-1], labels=videos)


def rendered_weak_training(
    settings: RenderedSettings = _DEFAULTS, *, modalities: Iterable[str] | None = None, noisy: bool = True
) -> Split:
    """The training split with one label a clip, `(clips, 9)`, followed by videos without an event.

    A video without an event combines the features of two clips: the frames of one with the sound of another that the
    object never makes. (All visual modalities come from the first, all of sound from the second.)
    """
    split = rendered_split("train", settings, modalities=modalities)
    # The first class of each clip; background is the last of all.
    categories = (split.labels.max(1) > 0).argmax(1)
    split = dataclasses.replace(split, labels=one_hot(categories, len(CLASS_NAMES)))
    if not noisy:
        return split
    seen, heard = _mismatched(categories, np.random.default_rng([settings.seed, 3]))
    rows = {"audio": heard, "audio_map": heard, "visual": seen, "motion": seen}
    return dataclasses.replace(
        split,
        ids=(*split.ids, *(f"noisy_{index}" for index in range(len(seen)))),
        inputs={name: JoinedRows(source, SelectedRows(source, rows[name])) for name, source in split.inputs.items()},
        labels=one_hot([*categories, *[len(CLASS_NAMES) - 1] * len(seen)], len(CLASS_NAMES)),
    )


def _mismatched(categories: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of clips to be seen and of clips to be heard, whose look and sound do not form a class."""
    pairs = [
        (seen, heard)
        for seen, look in enumerate(categories)
        for heard, sound in enumerate(categories)
        if (PAIRS[look][0], PAIRS[sound][1]) not in PAIRS
    ]
    count = min(len(pairs), -(-len(categories) // _CLIPS_A_NOISY_VIDEO))
    chosen = np.array(pairs, np.int64).reshape(-1, 2)[rng.permutation(len(pairs))[:count]]
    return chosen[:, 0], chosen[:, 1]


def _features(
    clips: RenderedClips, name: str, names: Mapping[str, str]
) -> tuple[dict[str, Path], dict[str, FeatureInfo]]:
    """The files of one split's features, computed unless present, and the identity of the features."""
    from avpipeline.features.registry import build_extractor

    extractors = {modality: build_extractor(extractor) for modality, extractor in names.items()}
    features = {modality: extractor.info for modality, extractor in extractors.items()}
    folder = clips.folder / "features" / _digest({modality: info.to_json() for modality, info in features.items()})
    stored = {modality: folder / f"{name}_{modality}.npy" for modality in features}

    def are_there() -> bool:
        return all(path.exists() for path in stored.values())

    if not are_there():
        with locked(folder / name):
            # Another process may have written them while this one waited.
            if not are_there():
                _store_features(clips.paths(name), extractors, stored)
    return stored, features


def _digest(content: dict) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _store_features(paths: list[Path], extractors: Mapping[str, Extractor], stored: Mapping[str, Path]) -> None:
    """Writes each modality's features as one .npy file, a clip at a time."""
    from avpipeline.features.registry import clip_features, clip_format

    with contextlib.ExitStack() as stack:
        files = {}
        for modality, path in stored.items():
            files[modality] = stack.enter_context(open(stack.enter_context(atomic_path(path)), "wb"))
            shape = (len(paths), SECONDS, *extractors[modality].info.shape)
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(files[modality], header)
        read = functools.partial(read_clip, seconds=SECONDS, **clip_format(extractors.values()))
        bar = functools.partial(ProgressBar, desc="features", total=len(paths), unit="clip")
        for clip in bar(in_order(read, paths, threads=2, ready=_BLOCK)):
            for modality, rows in clip_features(extractors, clip).items():
                files[modality].write(np.ascontiguousarray(rows, "<f4").tobytes())


@dataclasses.dataclass(frozen=True)
class RenderCommand:
    out: tyro.conf.Positional[Path] = Path("runs/rendered")
    """Folder for the clips and their annotations; clips already there are kept."""
    settings: RenderedSettings = dataclasses.field(default_factory=RenderedSettings)


def main(command: RenderCommand) -> None:
    """Renders the clips of the rendered dataset into a folder, to watch and listen to.

    Examples:
      python -m avpipeline.datasets.rendered CLIPS
    """
    render_folder(command.out, command.settings)
    clips = sum(command.settings.count(split) for split in SPLITS)
    print(f"{clips} clips in {command.out / 'clips'}, described in {command.out / 'storyboards.json'}")


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avpipeline.datasets.rendered"))
