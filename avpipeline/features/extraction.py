"""The clips of one run of `python -m avpipeline.extract` on their way from media files to shards."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import itertools
import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from avpipeline.cli.progress import ProgressBar
from avpipeline.errors import InputError
from avpipeline.features.decoding import Decoded, decode, file_size, timed, user_warnings
from avpipeline.features.shards import ClipRecord, ShardWriter
from avpipeline.media import Clip
from avpipeline.media.ahead import ahead

if TYPE_CHECKING:
    from avpipeline.features.registry import Extractor

AudioReader = Literal["pyav", "tfio"]

# Clips that wait for the networks, beside one being decoded by each thread; VGG-19's take 24 MB each.
_READY_CLIPS = 2


@dataclasses.dataclass
class Timing:
    """Where the time of a run went: "decode" (summed over its threads), each modality's network, "write", and "all".

    The audio network's time includes the log-mel. Decoding, networks and writing work at the same time.

    Attributes:
      media: part -> seconds of sound or video that it worked on.
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


@dataclasses.dataclass(frozen=True)
class Made:
    """What became of one file.

    Attributes:
      path: the file.
      record: of the clip; None if the file cannot be used.
      features: modality -> `(seconds, *shape)`; None likewise.
      failed: the sentence that says why it cannot be used; None if it can.
      notes: about a file that was used as far as it goes.
      timing: of its parts, "decode" and each modality.
    """

    path: Path
    record: ClipRecord | None = None
    features: Mapping[str, np.ndarray] | None = None
    failed: str | None = None
    notes: tuple[str, ...] = ()
    timing: Timing = dataclasses.field(default_factory=Timing)


def made_of(decoded: Decoded, extractors: Mapping[str, Extractor]) -> Made:
    """The features of a decoded file."""
    clip, timing = decoded.clip, Timing()
    if isinstance(clip, InputError):
        return Made(decoded.path, failed=str(clip), notes=decoded.notes)
    from avpipeline.features.registry import clip_features

    timing.add("decode", _length(clip), decoded.spent)
    features = {}
    for modality, extractor in extractors.items():
        values, spent = timed(clip_features, {modality: extractor}, clip)
        if clip.has_audio if extractor.modality == "audio" else clip.has_video:
            timing.add(modality, clip.seconds, spent)
        features.update(values)
    for modality, array in features.items():
        if not np.isfinite(array).all():
            failed = f"{clip.path}: its {modality} features hold NaN or infinite numbers; leave it out or use "
            return Made(decoded.path, failed=failed + "other weights.", notes=decoded.notes, timing=timing)
    record = ClipRecord(
        id=decoded.id,
        path=str(decoded.path),
        file_size=decoded.file_size,
        has_audio=clip.has_audio,
        has_video=clip.has_video,
        audio_seconds=round(clip.audio_seconds, 3),
        video_seconds=round(clip.video_seconds, 3),
    )
    return Made(decoded.path, record, features, notes=decoded.notes, timing=timing)


class Engine(Protocol):
    """Where clips are decoded and put through the networks."""

    def made(self, todo: Mapping[str, Path]) -> Iterator[Made]:
        """Yields the outcome for each file of `todo` (id -> file), in order."""
        ...


class Local:
    """Extraction in this process: threads decode files, another runs the networks, the caller's thread writes."""

    def __init__(self, extractors: Mapping[str, Extractor], seconds: int, workers: int, audio_reader: AudioReader):
        self._extractors = extractors
        self._seconds = seconds
        self._workers = workers
        self._audio_reader = audio_reader

    def made(self, todo: Mapping[str, Path]) -> Iterator[Made]:
        if todo:
            for extractor in self._extractors.values():
                extractor.compile()
        read = self._read_by_tensorflow_io if self._audio_reader == "tfio" else self._read_in_threads
        return ahead(made_of(decoded, self._extractors) for decoded in read(todo))

    def _read_in_threads(self, todo: Mapping[str, Path]) -> Iterator[Decoded]:
        waiting: deque[concurrent.futures.Future] = deque()
        rest = iter(todo.items())
        from avpipeline.features.registry import clip_format

        format_ = clip_format(self._extractors.values())
        pool = concurrent.futures.ThreadPoolExecutor(self._workers)
        try:
            while True:
                for name, path in itertools.islice(rest, self._workers + _READY_CLIPS - len(waiting)):
                    waiting.append(pool.submit(decode, name, path, self._seconds, format_))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _read_by_tensorflow_io(self, todo: Mapping[str, Path]) -> Iterator[Decoded]:
        """As `_read_in_threads`; the time spent on a clip is the time that was waited for it."""
        from avpipeline.media import tfio

        sizes = [file_size(path) for path in todo.values()]
        clips = tfio.read_clips(todo.values(), seconds=self._seconds, workers=self._workers)
        for (name, path), size in zip(todo.items(), sizes, strict=True):
            clip, spent = timed(next, clips)
            yield Decoded(name, path, clip, size, spent)


class Job:
    """The clips of one run on their way from files to shards.

    Attributes:
      failed: file -> why it could not be used.
      notes: about files that were used as far as they go.
      timing: where the time went.
    """

    def __init__(self):
        self.failed: dict[str, str] = {}
        self.notes: list[str] = []
        self.timing = Timing()

    def run(self, todo: Iterable[Made], writer: ShardWriter, progress: ProgressBar) -> None:
        """Writes what an engine makes into shards."""
        media, started = 0.0, time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            # What the decoder says about damaged files is told at the end, not in the middle of the progress bar.
            warnings.simplefilter("always", UserWarning)
            for made in todo:
                if made.failed:
                    self.failed[str(made.path)] = made.failed
                else:
                    length = max(made.record.audio_seconds, made.record.video_seconds)
                    _, spent = timed(writer.add, made.record, made.features)
                    self.timing.add("write", length, spent)
                    media += length
                for part, spent in made.timing.spent.items():
                    self.timing.add(part, made.timing.media[part], spent)
                self.notes += made.notes
                progress.update()
        self.timing.add("all", media, time.perf_counter() - started)
        self.notes += user_warnings(caught)


def _length(clip: Clip) -> float:
    return max(clip.audio_seconds, clip.video_seconds)
