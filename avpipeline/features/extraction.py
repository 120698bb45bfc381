"""The clips of one run of `python -m avpipeline.extract` on their way from media files to shards."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import itertools
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from avpipeline.cli.progress import ProgressBar
from avpipeline.errors import InputError
from avpipeline.features.shards import ClipRecord, ShardWriter
from avpipeline.media import Clip, read_clip

if TYPE_CHECKING:
    from avpipeline.features.registry import Extractor

AudioReader = Literal["pyav", "tfio"]

# Clips that wait for the networks, beside one being decoded by each thread; VGG-19's take 24 MB each.
_READY_CLIPS = 2


@dataclasses.dataclass
class Timing:
    """Where the time of a run went: "decode" (summed over its threads), each modality's network, and "all".

    The audio network's time includes the log-mel. Decoding and networks work at the same time.

    Attributes:
      media: part -> seconds of sound or pictures that it worked on.
      spent: part -> seconds that it took.
    """

    media: dict[str, float] = dataclasses.field(default_factory=dict)
    spent: dict[str, float] = dataclasses.field(default_factory=dict)

    def add(self, part: str, media: float, spent: float) -> None:
        self.media[part] = self.media.get(part, 0.0) + media
        self.spent[part] = self.spent.get(part, 0.0) + spent

    def speeds(self) -> dict[str, float]:
        """Part -> its speed as a multiple of real time."""
        return {part: self.media[part] / spent for part, spent in self.spent.items() if spent}


class Job:
    """The clips of one run on their way from files to shards.

    Attributes:
      failed: file -> why it could not be used.
      notes: about files that were used as far as they go.
      timing: where the time went.
    """

    def __init__(self, extractors: Mapping[str, Extractor], seconds: int, workers: int, audio_reader: AudioReader):
        self.failed: dict[str, str] = {}
        self.notes: list[str] = []
        self.timing = Timing()
        self._extractors = extractors
        self._seconds = seconds
        self._workers = workers
        self._audio_reader = audio_reader

    def run(self, todo: Mapping[str, Path], writer: ShardWriter, progress: ProgressBar) -> None:
        if todo:
            for extractor in self._extractors.values():
                extractor.compile()
        media, started = 0.0, time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            # What the decoder says about damaged files is told at the end, not in the middle of the progress bar.
            warnings.simplefilter("always", UserWarning)
            for record, clip in self._decoded(todo):
                features = clip and self._features(clip)
                if features:
                    writer.add(record, features)
                    media += _length(clip)
                progress.update()
        self.timing.add("all", media, time.perf_counter() - started)
        self.notes = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]

    def _decoded(self, todo: Mapping[str, Path]) -> Iterator[tuple[ClipRecord, Clip] | tuple[None, None]]:
        """The clips in order, decoded ahead; None for a file that cannot be used."""
        read = self._read_by_tensorflow_io if self._audio_reader == "tfio" else self._read_in_threads
        for (name, path), (clip, file_size, spent) in zip(todo.items(), read(todo.values()), strict=True):
            if isinstance(clip, InputError):
                self.failed[str(path)] = str(clip)
                yield None, None
                continue
            self.timing.add("decode", _length(clip), spent)
            record = ClipRecord(
                id=name,
                path=str(path),
                file_size=file_size,
                has_audio=clip.has_audio,
                has_video=clip.has_video,
                audio_seconds=round(clip.audio_seconds, 3),
                video_seconds=round(clip.video_seconds, 3),
            )
            yield record, clip

    def _read_in_threads(self, paths: Iterable[Path]) -> Iterator[tuple[Clip | InputError, int, float]]:
        """Each file's clip, or why there is none, the file's bytes and the seconds that it took."""
        waiting: deque[concurrent.futures.Future] = deque()
        rest = iter(paths)
        pool = concurrent.futures.ThreadPoolExecutor(self._workers)
        try:
            while True:
                for path in itertools.islice(rest, self._workers + _READY_CLIPS - len(waiting)):
                    waiting.append(pool.submit(self._read, path))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _read_by_tensorflow_io(self, paths: Iterable[Path]) -> Iterator[tuple[Clip | InputError, int, float]]:
        """As `_read_in_threads`; the seconds are those that were waited for the clip."""
        from avpipeline.media import tfio

        sizes = [_file_size(path) for path in paths]
        clips = tfio.read_clips(paths, seconds=self._seconds, workers=self._workers)
        for file_size in sizes:
            clip, spent = _timed(next, clips)
            yield clip, file_size, spent

    def _read(self, path: Path) -> tuple[Clip | InputError, int, float]:
        # Looked at first: a file that is still being copied has another size the next time.
        file_size = _file_size(path)
        clip, spent = _timed(self._clip, path)
        return clip, file_size, spent

    def _clip(self, path: Path) -> Clip | InputError:
        from avpipeline.features.registry import clip_format

        try:
            return read_clip(path, seconds=self._seconds, **clip_format(self._extractors.values()))
        except InputError as error:
            return error
        except Exception as error:
            # Thousands of files and a night of work must not end at one that the decoder cannot bear.
            return InputError(f"{path}: cannot be decoded ({type(error).__name__}: {error}); leave it out.")

    def _features(self, clip: Clip) -> dict[str, np.ndarray] | None:
        from avpipeline.features.registry import clip_features

        features = {}
        for modality, extractor in self._extractors.items():
            made, spent = _timed(clip_features, {modality: extractor}, clip)
            if clip.has_audio if extractor.modality == "audio" else clip.has_video:
                self.timing.add(modality, clip.seconds, spent)
            features.update(made)
        for modality, array in features.items():
            if not np.isfinite(array).all():
                self.failed[str(clip.path)] = (
                    f"{clip.path}: its {modality} features hold NaN or infinite numbers; leave it out or use "
                    "other weights."
                )
                return None
        return features


def _timed(function: Callable, *arguments) -> tuple[object, float]:
    started = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - started


def _file_size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _length(clip: Clip) -> float:
    return max(clip.audio_seconds, clip.video_seconds)
