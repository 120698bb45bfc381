"""One record of YouTube-8M: how it is written, and what is wrong with an unusable one.

The schemas are the dataset's own (https://research.google.com/youtube8m/download.html):

- video level, `tf.train.Example`: `id` (bytes; `video_id` in the version of 2017 and in AudioSet), `labels` (int64, any
  number), `mean_rgb` (1024 floats), `mean_audio` (128 floats). `std_rgb` and `std_audio`, of the same
  sizes, are an optional addition.
- frame level, `tf.train.SequenceExample`: context `id` and `labels`; lists `rgb` and `audio` with one string of
  1024 or 128 bytes a second, up to 300. A byte q stands for q * 4/255 + (4/512 - 2).
- segments, the same with `segment_start_times` (int64, seconds), `segment_labels` (int64) and `segment_scores` (float;
  the label is right if above 0) in the context: human ratings of segments of 5 frames.

The visual features are called `rgb` in the files and "visual" everywhere in this project.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from avpipeline.datasets.youtube8m.wire import context_of_regular
from avpipeline.errors import InputError

# Modality -> its name in the files.
FILE_NAMES = {"audio": "audio", "visual": "rgb"}
MODALITIES = tuple(FILE_NAMES)
_LISTS = frozenset(FILE_NAMES.values())
LEVELS = ("video", "frame", "segment")
MAX_FRAMES = 300
SEGMENT_FRAMES = 5
# A byte stands for a number in [-2, 2]; the formula is the dataset authors'.
HIGHEST = 2.0
_STEP = 2 * HIGHEST / 255
_OFFSET = 2 * HIGHEST / 512 - HIGHEST
SEGMENT_FIELDS = ("segment_start_times", "segment_labels", "segment_scores")
# Where the name of a video is kept, in this order.
ID_FIELDS = ("id", "video_id")
# Field -> the kind of its values; TensorFlow's parser stops at any other.
_KINDS = {
    **dict.fromkeys(ID_FIELDS, "bytes_list"),
    **dict.fromkeys(("labels", *SEGMENT_FIELDS[:2]), "int64_list"),
    **dict.fromkeys((SEGMENT_FIELDS[2], "mean_rgb", "mean_audio", "std_rgb", "std_audio"), "float_list"),
}
# Lists of frames in the forms of other programs, which are refused by name.
_OTHER_FORMS = {"RGB/feature/floats": "MediaPipe", "AUDIO/feature/floats": "MediaPipe", "audio_embedding": "AudioSet"}


@dataclasses.dataclass(frozen=True)
class Video:
    """A video to be written.

    Attributes:
      id: its name.
      labels: class numbers.
      frames: modality -> `(frames, width)` numbers in [-2, 2], one row a second, at most 300 and as many in both
        modalities; a modality that the video lacks is left out.
    """

    id: str
    labels: Sequence[int]
    frames: Mapping[str, np.ndarray]


def quantise(values: np.ndarray) -> np.ndarray:
    """Bytes that stand for numbers in [-2, 2]; numbers outside are clipped."""
    return np.clip(np.rint((np.asarray(values, np.float64) - _OFFSET) / _STEP), 0, 255).astype(np.uint8)


def dequantise(values):
    """The numbers that bytes stand for, `q * 4/255 + (4/512 - 2)`; of a float32 tensor or array."""
    return values * _STEP + _OFFSET


def encode_frames(video: Video) -> bytes:
    """The frame-level record of a video."""
    context = {"id": _bytes([video.id.encode()]), "labels": _integers(video.labels)}
    lists = {
        FILE_NAMES[modality]: tf.train.FeatureList(feature=[_bytes([row.tobytes()]) for row in quantise(frames)])
        for modality, frames in video.frames.items()
    }
    record = tf.train.SequenceExample(
        context=tf.train.Features(feature=context), feature_lists=tf.train.FeatureLists(feature_list=lists)
    )
    return record.SerializeToString(deterministic=True)


def encode_video(name: str, labels: Sequence[int], summary: Mapping[str, np.ndarray]) -> bytes:
    """The video-level record with mean and standard deviation.

    Args:
      name, labels: id and class numbers.
      summary: modality -> `(2, width)`: mean and standard deviation over the frames.
    """
    fields = {"id": _bytes([name.encode()]), "labels": _integers(labels)}
    for modality, (mean, std) in summary.items():
        fields[f"mean_{FILE_NAMES[modality]}"] = _floats(mean)
        fields[f"std_{FILE_NAMES[modality]}"] = _floats(std)
    return tf.train.Example(features=tf.train.Features(feature=fields)).SerializeToString(deterministic=True)


@dataclasses.dataclass(frozen=True)
class Expected:
    """What every record must contain.

    Attributes:
      level: "video", "frame" or "segment".
      widths: modality -> width of its features, for the modalities that are read.
      std: whether a video-level record needs std_rgb and std_audio.
      num_classes: labels must be below it.
      zeros: whether a modality may be missing.
    """

    level: str
    widths: Mapping[str, int]
    std: bool
    num_classes: int
    zeros: bool

    def problem(self, data: bytes) -> str | None:
        """What is wrong with a record, as a sentence that begins with "video 'x' ", or None."""
        try:
            record = Record(data)
        except DecodeError:
            return "video '?' cannot be decoded; leave it out, or give files in YouTube-8M's format."
        fault = next(self._faults(record), None)
        return fault and f"video '{record.id}' {fault}"

    def _faults(self, record: "Record") -> Iterator[str]:
        """What is wrong with a record, as continuations of "video 'x' "; each presumes that there is none before it."""
        if record.level is None:
            yield record.other_form() or (
                "has neither mean_rgb, mean_audio nor frames; give files in YouTube-8M's format."
            )
        if (record.level == "video") != (self.level == "video"):
            read = f"{self.level}-level"
            yield f"is a {record.level}-level record where {read} ones are read; say level '{record.level}'."
        yield from self._faults_of_vectors(record) if self.level == "video" else self._faults_of_frames(record)
        if self.level == "segment":
            yield from self._faults_of_segments(record)
        yield from _out_of_range(record.integers("labels"), self.num_classes)

    def _faults_of_frames(self, record: "Record") -> Iterator[str]:
        lengths = {name: len(record.frames(name)) for name in self.widths}
        lengths = {name: length for name, length in lengths.items() if length or not self.zeros}
        for modality, length in lengths.items():
            if not length:
                yield without(modality)
            sizes = {len(frame) for frame in record.frames(modality)}
            if sizes != {self.widths[modality]}:
                yield other_width(modality, min(sizes), self.widths[modality])
        if not lengths:
            yield "has no frames at all; leave it out."
        if len(set(lengths.values())) > 1:
            counts = " and ".join(f"{length} frames of {modality}" for modality, length in lengths.items())
            yield f"has {counts}; write it again with equally many."

    def _faults_of_vectors(self, record: "Record") -> Iterator[str]:
        for modality, width in self.widths.items():
            fields = [f"{kind}_{FILE_NAMES[modality]}" for kind in (("mean", "std") if self.std else ("mean",))]
            sizes = [len(record.floats(field)) for field in fields]
            if not any(sizes) and self.zeros:
                continue
            if not sizes[0]:
                yield without(modality)
            for field, size in zip(fields, sizes, strict=True):
                if not size:
                    yield (
                        f"has no {field}; store it once with python -m avpipeline.youtube8m std from the frame-level "
                        "files, or read the mean alone (tokens 'mean')."
                    )
                if size != width:
                    yield other_width(modality, size, width)
                if not np.isfinite(record.floats(field)).all():
                    yield f"holds NaN or infinite numbers in {field}; write it again or leave it out."

    def _faults_of_segments(self, record: "Record") -> Iterator[str]:
        starts, labels = (record.integers(field) for field in SEGMENT_FIELDS[:2])
        scores = record.floats(SEGMENT_FIELDS[2])
        if not len(starts) == len(labels) == len(scores):
            yield (
                f"has {len(starts)} segment_start_times, {len(labels)} segment_labels and {len(scores)} "
                "segment_scores; write it again with equally many."
            )
        length = max(len(record.frames(name)) for name in self.widths)
        for start in starts:
            if not 0 <= start < length:
                yield f"has a segment that starts at {start} s and only {length} frames; leave it out."
        yield from _out_of_range(labels, self.num_classes)


class Record:
    """One record, decoded in Python for inspection; DecodeError if it is not of this format."""

    def __init__(self, data: bytes):
        # Field 1 holds features in both kinds: the context of the one, all features of the other.
        sequence = tf.train.SequenceExample.FromString(data)
        self._features = sequence.context.feature
        self._lists = sequence.feature_lists.feature_list
        try:
            for name, kind in _KINDS.items():
                if name in self._features and self._features[name].WhichOneof("kind") not in (None, kind):
                    raise DecodeError(f"{name} is no {kind}")
            for name in FILE_NAMES.values():
                if name in self._lists and not all(each.HasField("bytes_list") for each in self._lists[name].feature):
                    raise DecodeError(f"{name} holds frames that are not bytes")
        except UnicodeDecodeError as error:
            raise DecodeError("a name is no text") from error

    @property
    def id(self) -> str:
        for field in ID_FIELDS:
            if field in self._features and self._features[field].bytes_list.value:
                return self._features[field].bytes_list.value[0].decode(errors="replace")
        return ""

    def other_form(self) -> str | None:
        """Says that a record has another program's form, as a continuation of "video 'x' "; None if it does not."""
        program = next((program for name, program in _OTHER_FORMS.items() if name in self._lists), None)
        return program and (
            f"has its frames in the form of {program}; write the lists rgb and audio of YouTube-8M's format from them."
        )

    @property
    def level(self) -> str | None:
        """ "video" or "frame", None if it is neither."""
        names = FILE_NAMES.values()
        if any(name in self._lists for name in names):
            return "frame"
        return "video" if any(f"mean_{name}" in self._features for name in names) else None

    @property
    def has_segments(self) -> bool:
        return bool(self.integers(SEGMENT_FIELDS[0]))

    def integers(self, field: str) -> list[int]:
        return list(self._features[field].int64_list.value) if field in self._features else []

    @property
    def has_std(self) -> bool:
        """Whether a video-level record has the standard deviation of a modality."""
        return any(f"std_{name}" in self._features for name in FILE_NAMES.values())

    def floats(self, field: str) -> list[float]:
        return list(self._features[field].float_list.value) if field in self._features else []

    def frames(self, modality: str) -> list[bytes]:
        """One string a second, empty for a frame without one."""
        name = FILE_NAMES[modality]
        features = self._lists[name].feature if name in self._lists else ()
        return [feature.bytes_list.value[0] if feature.bytes_list.value else b"" for feature in features]

    def width(self, modality: str) -> int | None:
        """Width of a modality's features, None if the record lacks it."""
        if self.level == "frame":
            frames = self.frames(modality)
            return len(frames[0]) if frames else None
        return len(self.floats(f"mean_{FILE_NAMES[modality]}")) or None


def is_readable(data: bytes) -> bool:
    """Whether TensorFlow's parser can be given a record; others raise errors without a name, or end the process."""
    context = context_of_regular(data, _LISTS)
    try:
        Record(data if context is None else context)
    except DecodeError:
        return False
    # Every Example begins with the tag of its first field.
    return data[:1] == b"\n"


def decoded(shard: str, data: bytes) -> Record:
    """A record of `shard`, decoded; InputError if it is not of this format."""
    try:
        return Record(data)
    except DecodeError as error:
        raise InputError(f"{shard}: holds records of another kind; give files in YouTube-8M's format.") from error


def require_fit(expected: Expected, shard: str, data: bytes) -> None:
    """Raises an InputError that says what is wrong with a record of `shard`, if anything is."""
    problem = expected.problem(data)
    if problem:
        raise InputError(f"{shard}: {problem}")


def without(modality: str) -> str:
    """The end of the sentence about a video that lacks a modality."""
    other = next(name for name in MODALITIES if name != modality)
    field = FILE_NAMES[modality]
    return (
        f"has no {modality} (mean_{field}, or the list {field} of frames); leave it out, read {other} alone "
        f"(modalities '{other}'), or take zeros for what is missing (missing 'zeros')."
    )


def other_width(modality: str, size: int, width: int) -> str:
    return f"has {modality} features of {size} numbers where {width} are expected; do not mix these files."


def _out_of_range(labels: Sequence[int], num_classes: int) -> Iterator[str]:
    for label in labels:
        if not 0 <= label < num_classes:
            yield (
                f"has the label {label} where {num_classes} classes end at {num_classes - 1}; YouTube-8M has 3862 "
                "classes in its 2018 version and 4716 in that of 2017: set the number of classes to match the files."
            )


def _bytes(values: Sequence[bytes]) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _integers(values: Sequence[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value) for value in values]))


def _floats(values: np.ndarray) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=np.asarray(values, np.float32).tolist()))
