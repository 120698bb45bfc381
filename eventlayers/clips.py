"""Clips of 10 s as inputs of networks that are trained from frames and sound, with their audio onsets.

Files in, rows for `avpipeline.datasets.batches` out: 100 frames, the waveform, and the time steps (tenths of a second)
at which something begins to sound. Rows are read on demand, so a dataset of any size streams through tf.data; decoded
rows are kept in the cache folder unless that is switched off. Onsets are always kept, with the sample rate and the
settings that found them.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from avpipeline.datasets.base import Source
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.features.mc3 import FRAME_SIZE, RESIZE
from avpipeline.files import atomic_path, cache_dir
from avpipeline.media import SAMPLE_RATE, read_frames, read_waveform, read_windows
from eventlayers.sound import onset_settings, onsets

SECONDS = 10
TIME_STEPS_PER_SECOND = 10
TIME_STEPS = SECONDS * TIME_STEPS_PER_SECOND
_SOUND_SHAPE = (SECONDS * SAMPLE_RATE,)


@dataclasses.dataclass(frozen=True)
class FrameFormat:
    """How a clip's frames, ten a second, are made from the video's.

    Attributes:
      size: their final height and width.
      resize: (height, width) to which they are resized before the centre is cropped, bilinear without antialiasing as
        torchvision's video weights expect; None resizes them to `size` directly.
    """

    size: int = FRAME_SIZE
    resize: tuple[int, int] | None = RESIZE

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a clip's frames."""
        return (TIME_STEPS, self.size, self.size, 3)

    def decoded(self) -> dict:
        """How `avpipeline.media` reads such frames."""
        cut = functools.partial(resize_and_cut, resize=self.resize, size=self.size) if self.resize else None
        return {"frame_rate": TIME_STEPS_PER_SECOND, "size": (self.size, self.size), "transform": cut}

    def info(self) -> dict[str, FeatureInfo]:
        """Modality -> description of the rows of `clip_inputs`, which a model trained on them stores."""
        square = f"{self.size}x{self.size}"
        made = f"{square} of {self.resize[0]}x{self.resize[1]}" if self.resize else square
        return {
            "visual": FeatureInfo("frames", made, "none", "", self.shape[1:]),
            "audio": FeatureInfo("waveform", f"{SAMPLE_RATE} Hz", "none", "", _SOUND_SHAPE),
        }


# The frames that the backbones take: those of MC3-18 as torchvision's weights expect.
FRAME_FORMATS = {"published": FrameFormat(), "small": FrameFormat(32, None)}


def clip_inputs(
    paths: Sequence,
    frames: FrameFormat,
    *,
    starts: Sequence[float] | None = None,
    cache: bool = True,
    onset_method: str = "librosa",
) -> dict[str, Source]:
    """The inputs of a Split of clips.

    Args:
      paths: one media file for each clip.
      frames: format of the frames.
      starts: second of its file at which each clip begins; None is 0 for all.
      cache: keep decoded frames and sound on disk (4.4 MB for a clip of 112x112); False decodes them in every epoch.
      onset_method: how onsets are found, one of `eventlayers.config.ONSET_METHODS`.

    Returns:
      `visual` `(100, size, size, 3)` uint8 RGB; `audio` `(160000,)` float32, 16 kHz mono in [-1, 1]; zeros for a stream
      that the file lacks. `onsets` `(100,)` float32, the distinct time steps at which something begins to sound, in
      ascending order, padded with zeros; `onset_mask` `(100,)` float32, 1 where `onsets` holds one. Every video has a
      place for each time step, so that all batches share one graph.

    Raises:
      InputError: on reading a row, if its file is missing or is no media file.
    """
    paths, starts = list(map(Path, paths)), [0.0] * len(paths) if starts is None else list(starts)

    def read_visual(row: int) -> np.ndarray:
        return _or_zeros(read_clip_frames(paths[row], starts[row], frames), frames.shape, np.uint8)

    def read_audio(row: int) -> np.ndarray:
        return _or_zeros(read_clip_sound(paths[row], starts[row]), _SOUND_SHAPE, np.float32)

    visual = rows_folder({"rows": "frames", "rate": TIME_STEPS_PER_SECOND, **dataclasses.asdict(frames)})
    audio = rows_folder({"rows": "sound", "sample_rate": SAMPLE_RATE})
    return {
        "visual": StoredRows(paths, starts, frames.shape, np.uint8, visual if cache else None, read_visual),
        "audio": StoredRows(paths, starts, _SOUND_SHAPE, np.float32, audio if cache else None, read_audio),
        **onset_inputs(paths, starts, onset_method),
    }


def onset_inputs(paths: Sequence, starts: Sequence[float], onset_method: str) -> dict[str, Source]:
    """`onsets` and `onset_mask` of `clip_inputs`; found once for each clip and cached."""

    def rows(part: int) -> StoredRows:
        def read(row: int) -> np.ndarray:
            return padded_time_steps(onset_time_steps(stored_onsets(paths[row], starts[row], onset_method)))[part]

        return StoredRows(paths, starts, (TIME_STEPS,), np.float32, None, read)

    return {"onsets": rows(0), "onset_mask": rows(1)}


def clips_of(
    path, frames: FrameFormat, *, starts: Sequence[float] = (0,), onset_method: str = "librosa"
) -> Iterator[dict[str, np.ndarray]]:
    """The arrays of `clip_inputs` for ten seconds of one file from each of `starts`, decoded now."""
    for seen, sound in read_windows_of(path, frames, starts):
        steps, mask = onsets_of(sound, onset_method)
        visual, audio = _or_zeros(seen, frames.shape, np.uint8), _or_zeros(sound, _SOUND_SHAPE, np.float32)
        yield {"visual": visual, "audio": audio, "onsets": steps, "onset_mask": mask}


def onsets_of(sound: np.ndarray | None, onset_method: str) -> tuple[np.ndarray, np.ndarray]:
    """`onsets` and `onset_mask` of a waveform; None is silence."""
    return padded_time_steps(onset_time_steps(onsets(_or_zeros(sound, _SOUND_SHAPE, np.float32), method=onset_method)))


def read_windows_of(
    path, frames: FrameFormat, starts: Sequence[float]
) -> Iterator[tuple[np.ndarray | None, np.ndarray | None]]:
    """What `read_clip_frames` and `read_clip_sound` return for ten seconds from each of `starts`, one after the other.

    Each start is the end of the ten seconds before it: a long file is decoded once, by several threads.
    """
    windows = [(start, SECONDS) for start in starts]
    for clip in read_windows(path, windows, **frames.decoded()):
        yield clip.frames if clip.has_video else None, clip.waveform if clip.has_audio else None


def read_clip_frames(path, start: float, frames: FrameFormat) -> np.ndarray | None:
    """A clip's frames, `frames.shape` uint8; None for a file without video."""
    return read_frames(path, start=start, seconds=SECONDS, **frames.decoded())


def read_clip_sound(path, start: float) -> np.ndarray | None:
    """A clip's waveform, `(160000,)` float32, padded with zeros; None for a file without audio."""
    return read_waveform(path, start=start, seconds=SECONDS)


def _or_zeros(found: np.ndarray | None, shape: tuple[int, ...], dtype) -> np.ndarray:
    return np.zeros(shape, dtype) if found is None else found


def onset_time_steps(seconds: np.ndarray) -> np.ndarray:
    """Times in seconds as distinct time steps in ascending order: min(floor(10 * seconds), 99)."""
    steps = np.floor(TIME_STEPS_PER_SECOND * np.asarray(seconds, float)).astype(int)
    return np.unique(np.minimum(steps, TIME_STEPS - 1))


def padded_time_steps(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Time steps padded with zeros to `(100,)`, and their mask."""
    padded, mask = np.zeros((2, TIME_STEPS), np.float32)
    padded[: len(steps)], mask[: len(steps)] = steps, 1
    return padded, mask


def stored_onsets(path, start: float, onset_method: str) -> np.ndarray:
    """Seconds of the clip at which something begins to sound, from the cache or else computed and cached."""
    settings = {"rows": "onsets", **onset_settings(onset_method)}
    place = rows_folder(settings) / f"{clip_key(path, start)}.json"
    try:
        return np.array(json.loads(place.read_text())["onsets"], float)
    except (OSError, ValueError, KeyError, TypeError):
        found = onsets(_or_zeros(read_clip_sound(path, start), _SOUND_SHAPE, np.float32), method=onset_method)
    record = {"file": str(path), "start": start, "settings": settings, "onsets": found.tolist()}
    with atomic_path(place) as temporary:
        temporary.write_text(json.dumps(record, indent=1))
    return found


def rows_folder(kind: Mapping) -> Path:
    """Cache folder for rows of one kind; a change of any setting in `kind` gives another folder."""
    digest = hashlib.sha256(json.dumps({"seconds": SECONDS, **kind}, sort_keys=True).encode()).hexdigest()[:16]
    return cache_dir() / "clips" / f"{kind['rows']}-{digest}"


def clip_key(path, start: float) -> str:
    """Name of one clip in the cache; a file that is replaced by another gets a new name."""
    path = Path(path).resolve()
    try:
        stat = path.stat()
    except OSError as error:
        raise InputError(f"{path}: there is no such file; check the path.") from error
    identity = f"{path}|{stat.st_size}|{stat.st_mtime_ns}|{float(start)}"
    return hashlib.sha256(identity.encode()).hexdigest()[:24]


class StoredRows:
    """Rows that are computed one at a time and cached as one .npy file each.

    Args:
      paths, starts: file of each row and the second at which its clip begins.
      shape, dtype: shape and dtype of a row.
      folder: folder of the cache; None caches nothing.
      make: row number -> its array.

    Raises:
      ValueError: not as many files as starts.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        starts: Sequence[float],
        shape: tuple[int, ...],
        dtype,
        folder: Path | None,
        make: Callable[[int], np.ndarray],
    ):
        if len(paths) != len(starts):
            raise ValueError(f"{len(paths)} files and {len(starts)} starts")
        self.paths, self.starts = list(paths), list(starts)
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self._folder, self._make = folder, make

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, rows: np.ndarray) -> np.ndarray:
        result = np.empty((len(rows), *self.shape), self.dtype)
        for place, row in enumerate(rows):
            result[place] = self._row(int(row))
        return result

    def place(self, row: int) -> Path:
        """File of a row in the cache."""
        return self._folder / f"{clip_key(self.paths[row], self.starts[row])}.npy"

    def _row(self, row: int) -> np.ndarray:
        if self._folder is None:
            return self._make(row)
        place = self.place(row)
        stored = stored_array(place, self.shape, self.dtype)
        if stored is None:
            stored = np.asarray(self._make(row), self.dtype)
            store_array(place, stored)
        return stored


def stored_array(place: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray | None:
    """An array of the cache; None if it is missing, damaged, or of another shape or dtype."""
    try:
        array = np.load(place, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == shape and array.dtype == dtype else None


def store_array(place: Path, array: np.ndarray) -> None:
    with atomic_path(place) as temporary, open(temporary, "wb") as file:
        np.save(file, array)


def resize_and_cut(image: np.ndarray, *, resize: tuple[int, int], size: int) -> np.ndarray:
    """Resizes an RGB frame (bilinear, no antialiasing, half-pixel centres) and crops its centre, as torchvision does.

    Args:
      image: `(height, width, 3)` uint8.
      resize: (height, width).
      size: side of the square, at most the smaller of `resize`.

    Returns:
      `(size, size, 3)` uint8, rounded to the nearest integer, halves to the even one.
    """
    y, x = (_samples(length, resized, size) for length, resized in zip(image.shape, resize, strict=False))

    def lines(index: int) -> np.ndarray:
        line = image[y[index]]
        return (1 - x[2])[:, None] * line[:, x[0]] + x[2][:, None] * line[:, x[1]]

    below = y[2][:, None, None]
    return np.rint((1 - below) * lines(0) + below * lines(1)).astype(np.uint8)


@functools.lru_cache(maxsize=64)
def _samples(length: int, resized: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two pixels around each of the central `size` of `resized` samples, and the weight of the second pixel."""
    first = round((resized - size) / 2)
    centres = (np.arange(first, first + size, dtype=np.float32) + np.float32(0.5)) * np.float32(length / resized)
    centres = np.maximum(centres - np.float32(0.5), 0)
    low = np.minimum(centres.astype(int), length - 1)
    return low, np.minimum(low + 1, length - 1), centres - low.astype(np.float32)
