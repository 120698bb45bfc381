"""Clips of 10 s as inputs of networks that are trained from frames and sound, with their audio onsets.

Files in, rows for `avpipeline.datasets.batches` out: 100 frames, the waveform, and the time steps (tenths of a second)
at which something begins to sound. Rows are read on demand, so a dataset of any size streams through tf.data; decoded
rows are kept in the cache folder, and so are onsets, with the sample rate and the settings that found them.
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
from avpipeline.files import atomic_path, cache_dir, write_json
from avpipeline.media import SAMPLE_RATE, Clip, read_clip, read_windows
from eventlayers.config import BACKBONE_SETS, SECONDS
from eventlayers.sound import onset_settings, onsets

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
FRAME_FORMATS = {"published": FrameFormat(), "small": FrameFormat(BACKBONE_SETS["small"], None)}


def clip_inputs(paths: Sequence, frames: FrameFormat, *, onset_method: str = "librosa") -> dict[str, Source]:
    """The inputs of a Split of clips.

    Args:
      paths: one media file for each clip, which is its first ten seconds.
      frames: format of the frames.
      onset_method: how onsets are found, one of `eventlayers.config.ONSET_METHODS`.

    Returns:
      `visual` `(100, size, size, 3)` uint8 RGB; `audio` `(160000,)` float32, 16 kHz mono in [-1, 1]; zeros for a stream
      that the file lacks; and `onset_inputs`.

    Raises:
      InputError: on reading a row, if its file is missing or is no media file.
    """
    visual = rows_folder({"rows": "frames", "rate": TIME_STEPS_PER_SECOND, **dataclasses.asdict(frames)})
    audio = rows_folder({"rows": "sound", "sample_rate": SAMPLE_RATE})
    return {
        "visual": Rows(paths, frames.shape, np.uint8, lambda path: read_stream("visual", path, frames).frames, visual),
        "audio": Rows(paths, _SOUND_SHAPE, np.float32, lambda path: read_stream("audio", path, frames).waveform, audio),
        **onset_inputs(paths, onset_method),
    }


def onset_inputs(paths: Sequence, onset_method: str) -> dict[str, Source]:
    """The inputs of the onset layer, found once for each clip and cached.

    Returns:
      `onsets` `(100,)` float32, the distinct time steps at which something begins to sound, in ascending order, padded
      with zeros; `onset_mask` `(100,)` float32, 1 where `onsets` holds one. Every video has a place for each time step,
      so that all batches share one graph.
    """

    def rows(name: str) -> Rows:
        def make(path) -> np.ndarray:
            return padded_onsets(stored_onsets(path, onset_method))[name]

        return Rows(paths, (TIME_STEPS,), np.float32, make)

    return {name: rows(name) for name in ("onsets", "onset_mask")}


def read_stream(modality: str, path, frames: FrameFormat) -> Clip:
    """The frames ("visual") or the sound ("audio") of a file's first ten seconds, padded with zeros."""
    is_sound = modality == "audio"
    return read_clip(path, seconds=SECONDS, audio=is_sound, video=not is_sound, **frames.decoded())


def read_clips(
    path, frames: FrameFormat, onset_method: str, starts: Sequence[int] = (0,)
) -> Iterator[tuple[Clip, dict[str, np.ndarray]]]:
    """Both streams of ten seconds from each of `starts`, with the arrays of `onset_inputs`, one after the other.

    Each start is the end of the ten seconds before it: a long file is decoded once, in blocks, by two processes.
    """
    for clip in read_windows(path, [(start, SECONDS) for start in starts], **frames.decoded()):
        yield clip, padded_onsets(onsets(clip.waveform, method=onset_method))


def padded_onsets(seconds: Sequence[float]) -> dict[str, np.ndarray]:
    """The arrays of `onset_inputs` for times in seconds: time steps min(floor(10 * seconds), 99)."""
    steps = np.floor(TIME_STEPS_PER_SECOND * np.asarray(seconds, float)).astype(int)
    steps = np.unique(np.minimum(steps, TIME_STEPS - 1))
    places, mask = np.zeros((2, TIME_STEPS), np.float32)
    places[: len(steps)], mask[: len(steps)] = steps, 1
    return {"onsets": places, "onset_mask": mask}


def stored_onsets(path, onset_method: str) -> np.ndarray:
    """Seconds of the clip at which something begins to sound, from the cache or else computed and cached."""
    settings = {"rows": "onsets", **onset_settings(onset_method)}
    place = rows_folder(settings) / f"{clip_key(path)}.json"
    try:
        return np.array(json.loads(place.read_text())["onsets"], float)
    except (OSError, ValueError, KeyError, TypeError):
        found = onsets(read_clip(path, seconds=SECONDS, video=False).waveform, method=onset_method)
    record = {"file": str(path), "settings": settings, "onsets": found.tolist()}
    write_json(place, record)
    return found


def rows_folder(kind: Mapping) -> Path:
    """Cache folder for rows of one kind; a change of any setting in `kind` gives another folder."""
    digest = hashlib.sha256(json.dumps({"seconds": SECONDS, **kind}, sort_keys=True).encode()).hexdigest()[:16]
    return cache_dir() / "clips" / f"{kind['rows']}-{digest}"


def clip_key(path) -> str:
    """Name of one clip in the cache; a file that is replaced by another gets a new name."""
    path = Path(path).resolve()
    try:
        stat = path.stat()
    except OSError as error:
        raise InputError(f"{path}: there is no such file; check the path.") from error
    # The last part is the second at which the clip begins, by which the caches of earlier versions told clips apart.
    identity = f"{path}|{stat.st_size}|{stat.st_mtime_ns}|0.0"
    return hashlib.sha256(identity.encode()).hexdigest()[:24]


@dataclasses.dataclass(frozen=True)
class Rows:
    """A row for each file, made from it when it is read; see `avpipeline.datasets.base.Source`.

    Attributes:
      folder: of the cache, which keeps each row as a .npy file; None keeps none.
    """

    paths: Sequence
    shape: tuple[int, ...]
    dtype: type
    make: Callable[[Path], np.ndarray]
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, rows: np.ndarray) -> np.ndarray:
        result = np.empty((len(rows), *self.shape), self.dtype)
        for place, row in enumerate(rows):
            result[place] = self._row(self.paths[row])
        return result

    def _row(self, path) -> np.ndarray:
        if self.folder is None:
            return self.make(path)
        try:
            array = np.load(self.place(path), allow_pickle=False)
        except (OSError, ValueError, EOFError):  # missing or damaged
            array = None
        if array is None or (array.shape, array.dtype) != (self.shape, self.dtype):
            array = np.asarray(self.make(path), self.dtype)
            self.store(path, array)
        return array

    def place(self, path) -> Path:
        """The file that keeps a row."""
        return self.folder / f"{clip_key(path)}.npy"

    def store(self, path, array: np.ndarray) -> None:
        with atomic_path(self.place(path)) as temporary, open(temporary, "wb") as file:
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
