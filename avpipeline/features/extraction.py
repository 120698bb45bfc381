"""The clips of one run of `python -m avpipeline.extract` on their way from media files to shards.

Without TensorFlow, which takes seconds to import, so that a process that only decodes starts at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from avpipeline.cli.cluster import connected, mapped
from avpipeline.cli.progress import ProgressBar
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.features.shards import ClipRecord, ShardWriter
from avpipeline.media import Clip, read_clip
from avpipeline.media.ahead import ahead, in_order
from avpipeline.media.remote import RemoteFile, told

if TYPE_CHECKING:
    from avpipeline.features.registry import Extractor

AudioReader = Literal["pyav", "tfio"]
# A clip's id and its file.
Item = tuple[str, Path | RemoteFile]

# Clips that wait for the networks, beside one being decoded by each thread; VGG-19's take 24 MB each.
_READY_CLIPS = 1


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
class Decoded:
    """A media file on its way to the networks."""

    id: str
    path: Path | RemoteFile
    clip: Clip | InputError  # its sound and frames, or why there are none
    file_size: int  # bytes
    spent: float  # seconds that decoding took
    notes: tuple[str, ...] = ()  # what the decoder says of a file that is damaged and was used as far as it goes


def decode(item: Item, seconds: int, clip_format: Mapping) -> Decoded:
    """Decodes the first `seconds` of a file in a form that the networks take (`extractor.clip_format`)."""
    name, path = item
    if isinstance(path, RemoteFile):
        return _decode_remote(name, path, seconds, clip_format)
    # Looked at first: a file that is still being copied has another size the next time.
    size = _file_size(path)
    clip, spent = _timed(_clip, path, seconds, clip_format)
    return Decoded(name, path, clip, size, spent)


def _decode_remote(name: str, remote: RemoteFile, seconds: int, clip_format: Mapping) -> Decoded:
    """Decodes a temporary copy, which is kept no longer than needed."""
    try:
        with remote.fetched() as copy:
            decoded = decode((name, copy), seconds, clip_format)
    except InputError as error:
        return Decoded(name, remote, error, 0, 0.0)
    clip = decoded.clip
    clip = InputError(told(str(clip))) if isinstance(clip, InputError) else dataclasses.replace(clip, path=remote)
    return dataclasses.replace(decoded, path=remote, clip=clip)


def decode_with_notes(item: Item, seconds: int, clip_format: Mapping) -> Decoded:
    """As `decode`, with the decoder's warnings as notes; for a process that decodes one file at a time."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        decoded = decode(item, seconds, clip_format)
    return dataclasses.replace(decoded, notes=_user_warnings(caught))


def _user_warnings(caught: list[warnings.WarningMessage]) -> tuple[str, ...]:
    """The texts of the warnings that are for the user."""
    return tuple(told(str(warning.message)) for warning in caught if issubclass(warning.category, UserWarning))


def _clip(path: Path, seconds: int, clip_format: Mapping) -> Clip | InputError:
    try:
        return read_clip(path, seconds=seconds, **clip_format)
    except InputError as error:
        return error
    except Exception as error:
        # One file that crashes the decoder must not end a night's work on thousands of files.
        return InputError(f"{path}: cannot be decoded ({type(error).__name__}: {error}); leave it out.")


def _timed(function: Callable, *arguments) -> tuple:
    """The function's result and the seconds that it took."""
    started = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - started


def _file_size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _length(clip: Clip | ClipRecord) -> float:
    return max(clip.audio_seconds, clip.video_seconds)


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

    path: Path | RemoteFile
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
        values, spent = _timed(clip_features, {modality: extractor}, clip)
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


def made_here(
    todo: Mapping[str, Path | RemoteFile],
    extractors: Mapping[str, Extractor],
    seconds: int,
    *,
    workers: int,
    audio_reader: AudioReader,
) -> Iterator[Made]:
    """Yields the outcome for each file of `todo` (id -> file), in order, computed in this process.

    Threads decode files, another runs the networks, the caller's thread writes.
    """
    if todo:
        for extractor in extractors.values():
            extractor.compile()
    if audio_reader == "tfio":
        read = _read_by_tensorflow_io(todo, seconds, workers)
    else:
        from avpipeline.features.registry import clip_format

        read = _read_in_threads(todo, seconds, workers, clip_format(extractors.values()))
    return ahead(made_of(decoded, extractors) for decoded in read)


def _read_in_threads(todo: Mapping, seconds: int, workers: int, clip_format: Mapping) -> Iterator[Decoded]:
    def read(item) -> Decoded:
        return decode(item, seconds, clip_format)

    return in_order(read, todo.items(), threads=workers, ready=workers + _READY_CLIPS)


def _read_by_tensorflow_io(todo: Mapping, seconds: int, workers: int) -> Iterator[Decoded]:
    """As `_read_in_threads`; the time spent on a clip is the time that was waited for it."""
    from avpipeline.media import tfio

    sizes = [_file_size(path) for path in todo.values()]
    clips = tfio.read_clips(todo.values(), seconds=seconds, workers=workers)
    for (name, path), size in zip(todo.items(), sizes, strict=True):
        clip, spent = _timed(next, clips)
        yield Decoded(name, path, clip, size, spent)


class _Networks:
    """The networks in an actor of a Ray cluster: exactly those whose features the command asked for."""

    def __init__(self, infos: Mapping[str, FeatureInfo], weights_dir: Path | None):
        """Raises InputError where this machine has no such weights."""
        from avpipeline.features.registry import extractor_for

        self._extractors = {name: extractor_for(info, weights_dir=weights_dir) for name, info in infos.items()}
        for extractor in self._extractors.values():
            extractor.compile()

    def __call__(self, decoded: Decoded) -> Made:
        return made_of(decoded, self._extractors)


def made_there(
    todo: Mapping[str, Path | RemoteFile],
    extractors: Mapping[str, Extractor],
    seconds: int,
    *,
    workers: int | None,
    weights_dir: Path | None,
    address: str | None,
) -> Iterator[Made]:
    """As `made_here`, on a Ray cluster: tasks that decode feed actors that hold the networks.

    Args:
      extractors: this process's; the actors build the same ones.
      workers: actors on a cluster without GPUs; None takes one a machine.
      weights_dir: folder in which every machine looks for weights first.
      address: of the cluster; None uses this machine alone.
    """
    if not todo:
        return
    from avpipeline.features.registry import clip_format

    infos = {name: extractor.info for name, extractor in extractors.items()}
    decode_one = functools.partial(decode_with_notes, seconds=seconds, clip_format=clip_format(extractors.values()))
    with connected(address):
        networks = functools.partial(_Networks, infos, weights_dir)
        yield from mapped(decode_one, list(todo.items()), actor=networks, actors=workers)


def leave_gpus() -> None:
    """Leaves the GPUs to the actors: this process only needs to know which networks they hold."""
    import tensorflow as tf

    # RuntimeError: in a notebook that has already used them, it is too late.
    with contextlib.suppress(RuntimeError):
        tf.config.set_visible_devices([], "GPU")


def store(
    made: Iterable[Made], writer: ShardWriter, progress: ProgressBar
) -> tuple[dict[str, str], tuple[str, ...], Timing]:
    """Writes what was made into shards.

    Returns:
      file -> why it could not be used; notes about files that were used as far as they go; where the time went.
    """
    failed, notes, timing = {}, [], Timing()
    media, started = 0.0, time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        # What the decoder says about damaged files is told at the end, not in the middle of the progress bar.
        warnings.simplefilter("always", UserWarning)
        for each in made:
            if each.failed:
                failed[str(each.path)] = each.failed
            else:
                _, spent = _timed(writer.add, each.record, each.features)
                timing.add("write", _length(each.record), spent)
                media += _length(each.record)
            for part, spent in each.timing.spent.items():
                timing.add(part, each.timing.media[part], spent)
            notes += each.notes
            progress.update()
    timing.add("all", media, time.perf_counter() - started)
    return failed, (*notes, *_user_warnings(caught)), timing
