"""Shards of YouTube-8M's form written from any features, and what such a folder says of itself.

A folder of shards that this program wrote holds `youtube8m.json` beside them: which features they are, and how
they were scaled. YouTube-8M's own files have none; a reader then takes them for what they are, the features that
the dataset's authors published.
"""

import contextlib
import dataclasses
import errno
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import tensorflow as tf

from avpipeline.cli.progress import ProgressBar
from avpipeline.datasets.youtube8m.records import (
    HIGHEST,
    MAX_FRAMES,
    Video,
    dequantise,
    encode_frames,
    encode_video,
    quantise,
)
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.features.store import FeatureShards
from avpipeline.files import atomic_path, parse_json, read_bytes, reading, write_failure, write_json

DESCRIPTION_FILE = "youtube8m.json"
_SCHEMA = 1
# What the dataset's authors published: outputs of Inception-v3 and of an audio network, whitened.
PUBLISHED = {
    "audio": FeatureInfo("youtube8m", "audio", "youtube8m", "", (128,)),
    "visual": FeatureInfo("youtube8m", "rgb", "youtube8m", "", (1024,)),
}


@dataclasses.dataclass(frozen=True)
class Description:
    """What the features in a folder of shards are.

    Attributes:
      features: modality -> the extractor's output that they were made from. Maps, such as VGG-19's, are averaged over
        their regions: a frame is their last axis.
      scale: modality -> factor by which they were multiplied before they became bytes, which reach from -2 to 2.
    """

    features: Mapping[str, FeatureInfo]
    scale: Mapping[str, float]

    def frames(self, modality: str, features: np.ndarray) -> np.ndarray:
        """The extractor's output `(seconds, *shape)` as frames to be written: `(seconds, width)` in [-2, 2]."""
        return vectors(features) * np.float32(self.scale[modality])

    def to_json(self) -> dict:
        features = {modality: info.to_json() for modality, info in self.features.items()}
        return {"schema": _SCHEMA, "features": features, "scale": dict(self.scale)}

    @classmethod
    def from_json(cls, fields: Mapping) -> "Description":
        """The inverse of `to_json`; KeyError, TypeError or ValueError for anything else."""
        if fields["schema"] != _SCHEMA:
            raise ValueError(f"version {fields['schema']} where {_SCHEMA} is known")
        features = {modality: FeatureInfo.from_json(info) for modality, info in fields["features"].items()}
        scale = {modality: float(fields["scale"][modality]) for modality in features}
        if not all(0 < factor < math.inf for factor in scale.values()):
            raise ValueError("a factor is a number above 0")
        return cls(features, scale)


PUBLISHED_DESCRIPTION = Description(PUBLISHED, dict.fromkeys(PUBLISHED, 1.0))


def read_description(folder) -> Description:
    """The description in `youtube8m.json`; without one, that of YouTube-8M's own features. InputError if damaged."""
    path = Path(folder) / DESCRIPTION_FILE
    if not path.exists():
        return PUBLISHED_DESCRIPTION
    with reading(path, "is damaged and cannot be understood", "write the shards again"):
        return Description.from_json(parse_json(read_bytes(path)))


def write_description(folder, description: Description) -> None:
    write_json(Path(folder) / DESCRIPTION_FILE, description.to_json())


def vectors(features: np.ndarray) -> np.ndarray:
    """`(seconds, *shape)` -> `(seconds, channels)` float32: the mean over all axes between."""
    features = np.asarray(features, np.float32)
    return features.mean(tuple(range(1, features.ndim - 1))) if features.ndim > 2 else features


def fitting_scale(features: Iterable[np.ndarray]) -> float:
    """The factor that scales the largest of these numbers to 2, so that no frame is clipped."""
    largest = max((float(np.abs(vectors(each)).max()) for each in features), default=0.0)
    return HIGHEST / largest if largest else 1.0


def write_shards(
    folder, name: str, videos: Sequence[Video], *, shards: int = 1, level: Literal["frame", "video"] = "frame"
) -> list[Path]:
    """Writes videos into `NAME-00000-of-0000N.tfrecord`..., in order, each file whole or not at all.

    Args:
      videos: read one after the other, so that a lazy sequence of any length does.
      level: "frame" writes every frame; "video" mean and standard deviation of the frames as they are read back
        from bytes, so that both levels give the same numbers.

    Raises:
      InputError: a video that cannot be written, a full disk, a folder that cannot be written.
    """
    shards = min(shards, len(videos))
    if shards < 1:
        raise InputError(f"{folder}: there are no videos or no shards to write for '{name}'; give one or more.")
    bounds = np.linspace(0, len(videos), shards + 1).round().astype(int)
    paths = []
    with ProgressBar(total=len(videos), desc=f"writing {name}", unit="video", leave=False) as progress:
        for number in range(shards):
            path = Path(folder) / f"{name}-{number:05d}-of-{shards:05d}.tfrecord"
            with record_writer(path) as write:
                for index in range(bounds[number], bounds[number + 1]):
                    write(_encoded(videos[index], level))
                    progress.update()
            paths.append(path)
    return paths


@contextlib.contextmanager
def record_writer(path: Path) -> Iterator:
    """Yields a function that appends a record to the TFRecord file `path`, which appears once the block has ended."""
    with atomic_path(path) as temporary:
        try:
            with tf.io.TFRecordWriter(str(temporary)) as writer:
                yield writer.write
        except tf.errors.OpError as error:
            codes = {tf.errors.ResourceExhaustedError: errno.ENOSPC, tf.errors.PermissionDeniedError: errno.EACCES}
            raise write_failure(path, OSError(codes.get(type(error)), error.message)) from error


def summary(frames: np.ndarray) -> np.ndarray:
    """Mean and standard deviation `(2, width)` of frames `(frames, width)` as they come back from bytes."""
    values = dequantise(quantise(frames).astype(np.float32))
    return np.stack([values.mean(0), values.std(0)])


def _encoded(video: Video, level: str) -> bytes:
    _require_writable(video)
    if level == "frame":
        return encode_frames(video)
    return encode_video(video.id, video.labels, {name: summary(frames) for name, frames in video.frames.items()})


def _require_writable(video: Video) -> None:
    lengths = {len(frames) for frames in video.frames.values()}
    if len(lengths) != 1 or not 1 <= min(lengths) <= MAX_FRAMES:
        raise InputError(
            f"video '{video.id}': has {' and '.join(map(str, sorted(lengths))) or 'no'} frames; give 1 to "
            f"{MAX_FRAMES}, equally many of each modality."
        )
    for modality, frames in video.frames.items():
        if not np.isfinite(frames).all():
            raise InputError(f"video '{video.id}': its {modality} features hold NaN or infinite numbers; leave it out.")


class FeatureVideos(Sequence):
    """Videos of a folder of extracted features (`python -m avpipeline.extract`), with labels, read one at a time.

    A stream that the media file does not have is left out of its video, and so are the seconds after its end.
    """

    def __init__(self, shards: FeatureShards, labels: Mapping[str, Sequence[int]], description: Description):
        """`labels`: id -> class numbers; videos come in this order. InputError for an id without features."""
        rows = {name: row for row, name in enumerate(shards.ids)}
        absent = [name for name in labels if name not in rows]
        if absent:
            raise InputError(
                f"{shards.folder}: has no features of '{absent[0]}' ({len(absent)} of {len(labels)} videos with labels "
                "are not there); extract them, or leave them out of the labels."
            )
        self._shards, self._labels, self._description = shards, labels, description
        self._rows = [rows[name] for name in labels]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Video:
        row = self._rows[index]
        record = self._shards.records[row]
        there = {"audio": record.has_audio, "visual": record.has_video}
        frames = {
            modality: self._description.frames(modality, self._shards.sources[modality].read(np.array([row]))[0])
            for modality in self._description.features
            if there[modality]
        }
        longest = max(record.audio_seconds, record.video_seconds)
        length = int(np.clip(np.ceil(longest), 1, min(self._shards.seconds, MAX_FRAMES)))
        frames = {modality: values[:length] for modality, values in frames.items()}
        return Video(record.id, self._labels[record.id], frames)


def description_of(shards: FeatureShards, *, scale: bool = True) -> Description:
    """The description of shards written from these features; `scale` finds the factors by reading all features once.

    A record has a sequence of frames and one of sound, so other modalities, such as audio maps, are left out.
    """
    kept = {name: source for name, source in shards.sources.items() if name in PUBLISHED}
    if not kept:
        raise InputError(f"{shards.folder}: has neither audio nor visual features; extract those, e.g. vggish,vgg19.")
    factors = dict.fromkeys(kept, 1.0)
    if scale:
        for name, source in kept.items():
            factors[name] = fitting_scale(source.read(np.array([row]))[0] for row in range(len(source)))
    return Description({name: shards.features[name] for name in kept}, factors)
