"""The rendered dataset: small real .mp4 clips made from a seed, with AVE's structure, and their features.

It stands in for real data wherever none is given, so that every command runs at once and downloads nothing.
It is a test bed: no number from it stands beside a paper's number without saying which data it is. What the
clips hold, and why neither pictures nor sound alone suffice, is said in `avpipeline.rendering.storyboards`.

    python -m avpipeline.datasets.rendered OUT --seed 1      renders the clips into a folder, to look at
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tyro
from tqdm import tqdm

from avpipeline.backbones import Extractor, build_extractor, clip_features
from avpipeline.cli import run
from avpipeline.datasets.base import ArraySource, Split
from avpipeline.errors import InputError
from avpipeline.files import atomic_path, cache_dir, locked
from avpipeline.media import Clip, read_clip
from avpipeline.rendering.clips import clip_path, identity, render_folder
from avpipeline.rendering.storyboards import (
    CLASS_NAMES,
    SECONDS,
    SPLITS,
    RenderedSettings,
    Storyboard,
    storyboards,
)

__all__ = ["CLASS_NAMES", "RenderedClips", "RenderedSettings", "rendered_clips", "rendered_split"]

_EXTRACTORS = {"audio": "small_audio", "visual": "small_visual"}
_DEFAULTS = RenderedSettings()
# Clips decoded at once and held in memory; about 1 MB each.
_BLOCK = 16


@dataclasses.dataclass(frozen=True)
class RenderedClips:
    """Clips on disk and what happens in them.

    Attributes:
      folder: holds `clips/`, the annotations in AVE's form and `storyboards.json`.
      boards: split -> one storyboard a clip.
    """

    folder: Path
    boards: Mapping[str, tuple[Storyboard, ...]]

    def paths(self, split: str) -> list[Path]:
        return [clip_path(self.folder, board) for board in self.boards[split]]


def rendered_clips(settings: RenderedSettings = _DEFAULTS) -> RenderedClips:
    """Renders all clips of `settings` into the cache, or finds them there."""
    folder = cache_dir() / "rendered" / _digest(identity(settings))
    render_folder(folder, settings)
    return RenderedClips(folder, {split: storyboards(settings, split) for split in SPLITS})


def rendered_split(name: str, settings: RenderedSettings = _DEFAULTS) -> Split:
    """One split with the features of the small seeded backbones, both kept in the cache.

    Args:
      name: "train", "val" or "test"; InputError for another, or where `settings` gives it no clips.

    Returns:
      a Split with inputs `audio` `(clips, 10, 128)` and `visual` `(clips, 10, 7, 7, 512)`, mapped from disk,
      and labels `(clips, 10, 9)`: one of eight classes or background, the last.
    """
    if settings.count(name) == 0:
        raise InputError(f"rendered: the settings give split '{name}' no clips; ask for one or more.")
    clips = rendered_clips(settings)
    boards = clips.boards[name]
    extractors = {modality: build_extractor(extractor) for modality, extractor in _EXTRACTORS.items()}
    features = {modality: extractor.info for modality, extractor in extractors.items()}
    folder = clips.folder / "features" / _digest({modality: info.to_json() for modality, info in features.items()})
    stored = {modality: folder / f"{name}_{modality}.npy" for modality in features}
    if not _all_there(stored):
        with locked(folder / name):
            # Another process may have made them while this one waited.
            if not _all_there(stored):
                _store_features(clips.paths(name), extractors, stored)
    return Split(
        dataset="rendered",
        name=name,
        ids=tuple(board.id for board in boards),
        class_names=CLASS_NAMES,
        inputs={modality: ArraySource(np.load(path, mmap_mode="r")) for modality, path in stored.items()},
        labels=np.stack([board.labels() for board in boards]),
        features=features,
    )


def _digest(content: dict) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _all_there(stored: Mapping[str, Path]) -> bool:
    return all(path.exists() for path in stored.values())


def _store_features(paths: list[Path], extractors: Mapping[str, Extractor], stored: Mapping[str, Path]) -> None:
    """Writes each modality's features as one .npy file, a clip at a time."""
    with contextlib.ExitStack() as stack:
        files = {}
        for modality, path in stored.items():
            files[modality] = stack.enter_context(open(stack.enter_context(atomic_path(path)), "wb"))
            _write_header(files[modality], (len(paths), SECONDS, *extractors[modality].info.shape))
        for clip in tqdm(_decoded(paths, extractors["visual"]), desc="features", total=len(paths), unit="clip"):
            for modality, rows in clip_features(extractors, clip).items():
                files[modality].write(np.ascontiguousarray(rows, "<f4").tobytes())


def _write_header(file, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})


def _decoded(paths: list[Path], visual: Extractor) -> Iterator[Clip]:
    """The clips in order, decoded by two threads while the networks work on those before."""

    def decode(path: Path) -> Clip:
        return read_clip(path, seconds=SECONDS, frame_rate=visual.frame_rate, size=visual.frame_size)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(decode, path) for path in paths[:_BLOCK]]
        for index in range(len(paths)):
            if index + _BLOCK < len(paths):
                waiting.append(pool.submit(decode, paths[index + _BLOCK]))
            yield waiting.pop(0).result()


@dataclasses.dataclass(frozen=True)
class RenderCommand:
    out: tyro.conf.Positional[Path] = Path("runs/rendered")
    """Folder for the clips and their annotations; clips already there are kept."""
    settings: RenderedSettings = dataclasses.field(default_factory=RenderedSettings)


def main(command: RenderCommand) -> None:
    """Renders clips of the rendered dataset into a folder, to look at and listen to."""
    render_folder(command.out, command.settings)
    clips = sum(command.settings.count(split) for split in SPLITS)
    print(f"{clips} clips in {command.out / 'clips'}; what happens in them: {command.out / 'storyboards.json'}")


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avpipeline.datasets.rendered"))
