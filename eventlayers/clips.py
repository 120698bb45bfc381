"""Clips of 10 s as networks take them that are trained from frames and sound, with their audio onsets.

Files in, rows for `avpipeline.datasets.batches` out: 100 frames, the waveform, and the moments (tenths of a second) at
which something begins to sound. Rows are read when they are asked for, so a dataset of any size streams through
tf.data; what was decoded is kept in the cache folder, unless that is not wanted. Onsets are always kept, with the
sample rate and the settings that they were found with.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from avpipeline.datasets.base import Source
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.features.logmel import onset_settings, onsets
from avpipeline.features.mc3 import FRAME_SIZE, RESIZE
from avpipeline.files import atomic_path, cache_dir
from avpipeline.media import SAMPLE_RATE, read_frames, read_waveform

SECONDS = 10
MOMENTS_A_SECOND = 10
MOMENTS = SECONDS * MOMENTS_A_SECOND
_SOUND_SHAPE = (SECONDS * SAMPLE_RATE,)


@dataclasses.dataclass(frozen=True)
class FrameFormat:
    """How a clip's frames are made from the video's, ten a second.

    Attributes:
      size: height and width that they end with.
      resize: (height, width) that they are resized to before the middle is cut out, bilinear without antialias as
        torchvision's video weights want it; None scales them to `size` at once.
    """

    size: int = FRAME_SIZE
    resize: tuple[int, int] | None = RESIZE

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a clip's frames."""
        return (MOMENTS, self.size, self.size, 3)

    def info(self) -> dict[str, FeatureInfo]:
        """Modality -> what the rows of `clip_inputs` are, for a model that is trained on them."""
        square = f"{self.size}x{self.size}"
        made = f"{square} of {self.resize[0]}x{self.resize[1]}" if self.resize else square
        return {
            "visual": FeatureInfo("frames", made, "none", "", self.shape[1:]),
            "audio": FeatureInfo("waveform", f"{SAMPLE_RATE} Hz", "none", "", _SOUND_SHAPE),
        }


def clip_inputs(
    paths: Sequence, frames: FrameFormat, *, starts: Sequence[float] | None = None, cache: bool = True
) -> dict[str, Source]:
    """The inputs of a Split of clips.

    Args:
      paths: one media file a clip.
      frames: format of the frames.
      starts: second of its file at which each clip begins; None is 0 for all.
      cache: keep decoded frames and sound on disk (4.4 MB a clip of 112x112); False decodes anew in every epoch.

    Returns:
      `visual` `(100, size, size, 3)` uint8 RGB; `audio` `(160000,)` float32, 16 kHz mono in [-1, 1]; both zeros where
      the file has no such stream. `onsets` `(100,)` float32, the distinct moments at which something begins to
      sound, rising, then zeros; `onset_mask` `(100,)` float32, 1 where `onsets` holds one. All videos have as many
      places as there are moments, so no batch changes a graph.
    """
    paths, starts = list(map(Path, paths)), [0.0] * len(paths) if starts is None else list(starts)

    def picture(row: int) -> np.ndarray:
        return _or_zeros(read_clip_frames(paths[row], starts[row], frames), frames.shape, np.uint8)

    def sound(row: int) -> np.ndarray:
        return _or_zeros(read_clip_sound(paths[row], starts[row]), _SOUND_SHAPE, np.float32)

    pictures = rows_folder({"rows": "frames", "rate": MOMENTS_A_SECOND, **dataclasses.asdict(frames)})
    sounds = rows_folder({"rows": "sound", "sample_rate": SAMPLE_RATE})
    return {
        "visual": StoredRows(paths, starts, frames.shape, np.uint8, pictures if cache else None, picture),
        "audio": StoredRows(paths, starts, _SOUND_SHAPE, np.float32, sounds if cache else None, sound),
        **onset_inputs(paths, starts),
    }


def onset_inputs(paths: Sequence, starts: Sequence[float]) -> dict[str, Source]:
    """`onsets` and `onset_mask` of `clip_inputs`; found once for each clip and kept."""

    def rows(part: int) -> StoredRows:
        def read(row: int) -> np.ndarray:
            return padded_moments(onset_moments(stored_onsets(paths[row], starts[row])))[part]

        return StoredRows(paths, starts, (MOMENTS,), np.float32, None, read)

    return {"onsets": rows(0), "onset_mask": rows(1)}


def clip_of(path, frames: FrameFormat, *, start: float = 0.0) -> dict[str, np.ndarray]:
    """The same arrays of one file, decoded now."""
    sound = _or_zeros(read_clip_sound(path, start), _SOUND_SHAPE, np.float32)
    moments, mask = padded_moments(onset_moments(onsets(sound)))
    visual = _or_zeros(read_clip_frames(path, start, frames), frames.shape, np.uint8)
    return {"visual": visual, "audio": sound, "onsets": moments, "onset_mask": mask}


def read_clip_frames(path, start: float, frames: FrameFormat) -> np.ndarray | None:
    """A clip's frames, `frames.shape` uint8; None for a file without pictures."""
    transform = functools.partial(resize_and_cut, resize=frames.resize, size=frames.size) if frames.resize else None
    return read_frames(
        path,
        frame_rate=MOMENTS_A_SECOND,
        size=(frames.size, frames.size),
        start=start,
        seconds=SECONDS,
        transform=transform,
    )


def read_clip_sound(path, start: float) -> np.ndarray | None:
    """A clip's sound, `(160000,)` float32, zeros after its end; None for a file without sound."""
    return read_waveform(path, start=start, seconds=SECONDS)


def _or_zeros(found: np.ndarray | None, shape: tuple[int, ...], dtype) -> np.ndarray:
    return np.zeros(shape, dtype) if found is None else found


def onset_moments(seconds: np.ndarray) -> np.ndarray:
    """Times in seconds as moments: min(floor(10 * seconds), 99), rising, each once."""
    moments = np.floor(MOMENTS_A_SECOND * np.asarray(seconds, float)).astype(int)
    return np.unique(np.minimum(moments, MOMENTS - 1))


def padded_moments(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moments filled up with zeros to `(100,)`, and 1 where one is."""
    padded, mask = np.zeros((2, MOMENTS), np.float32)
    padded[: len(moments)], mask[: len(moments)] = moments, 1
    return padded, mask


def stored_onsets(path, start: float = 0.0) -> np.ndarray:
    """Seconds of the clip at which something begins to sound, from the cache or found and put there."""
    settings = {"rows": "onsets", **onset_settings()}
    place = rows_folder(settings) / f"{clip_key(path, start)}.json"
    try:
        return np.array(json.loads(place.read_text())["onsets"], float)
    except (OSError, ValueError, KeyError, TypeError):
        found = onsets(_or_zeros(read_clip_sound(path, start), _SOUND_SHAPE, np.float32))
    record = {"file": str(path), "start": start, "settings": settings, "onsets": found.tolist()}
    with atomic_path(place) as temporary:
        temporary.write_text(json.dumps(record, indent=1))
    return found


def rows_folder(kind: Mapping) -> Path:
    """Where in the cache rows of one kind lie; another setting in `kind` is another folder."""
    digest = hashlib.sha256(json.dumps({"seconds": SECONDS, **kind}, sort_keys=True).encode()).hexdigest()[:16]
    return cache_dir() / "clips" / f"{kind['rows']}-{digest}"


def clip_key(path, start: float) -> str:
    """Name of one clip in the cache: a file that is replaced by another gets a new one."""
    path = Path(path).resolve()
    try:
        stat = path.stat()
    except OSError as error:
        raise InputError(f"{path}: there is no such file; check the path.") from error
    identity = f"{path}|{stat.st_size}|{stat.st_mtime_ns}|{float(start)}"
    return hashlib.sha256(identity.encode()).hexdigest()[:24]


class StoredRows:
    """Rows that are made one at a time, and kept as one .npy file each where `folder` is given.

    Args:
      paths, starts: what each row is made of.
      shape, dtype: of a row.
      folder: for the files; None keeps nothing.
      make: row number -> its array.
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
        """Where a row is kept."""
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
    """An array of the cache; None where it is not there, damaged, or another."""
    try:
        array = np.load(place, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == shape and array.dtype == dtype else None


def store_array(place: Path, array: np.ndarray) -> None:
    with atomic_path(place) as temporary, open(temporary, "wb") as file:
        np.save(file, array)


def resize_and_cut(image: np.ndarray, *, resize: tuple[int, int], size: int) -> np.ndarray:
    """An RGB frame resized (bilinear, no antialias, half-pixel centres) and its middle square: as torchvision's.

    Args:
      image: `(height, width, 3)` uint8.
      resize: (height, width).
      size: of the square, at most the smaller of `resize`.

    Returns:
      `(size, size, 3)` uint8, rounded to the nearest number, halves to the even one.
    """
    y, x = (_samples(length, resized, size) for length, resized in zip(image.shape, resize, strict=False))

    def lines(index: int) -> np.ndarray:
        line = image[y[index]]
        return (1 - x[2])[:, None] * line[:, x[0]] + x[2][:, None] * line[:, x[1]]

    below = y[2][:, None, None]
    return np.rint((1 - below) * lines(0) + below * lines(1)).astype(np.uint8)


@functools.lru_cache(maxsize=64)
def _samples(length: int, resized: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the middle `size` of `resized` samples over `length` pixels: the pixels around and the second's weight."""
    first = round((resized - size) / 2)
    centres = (np.arange(first, first + size, dtype=np.float32) + np.float32(0.5)) * np.float32(length / resized)
    centres = np.maximum(centres - np.float32(0.5), 0)
    low = np.minimum(centres.astype(int), length - 1)
    return low, np.minimum(low + 1, length - 1), centres - low.astype(np.float32)
