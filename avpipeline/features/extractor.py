"""Wraps a Keras network as a feature extractor: seconds of audio or frames in, one feature per second out."""

import dataclasses
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import keras
import numpy as np

from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.media import SAMPLE_RATE, Clip
from avpipeline.nn.backends import TENSORFLOW, require_tensorflow

if TENSORFLOW:
    import tensorflow as tf

# Frames, or seconds of audio, in one batch. The activations of VGG-19's first layers take 26 MB per frame.
_FRAMES_AT_ONCE = 16
_SECONDS_AT_ONCE = 16
# Batches whose results are not fetched yet: a GPU gets the next batch before the results of the last one are fetched.
_IN_FLIGHT = 2


@dataclasses.dataclass(frozen=True)
class Network:
    """The network of an extractor, with its preprocessing.

    Attributes:
      model: from the output of `prepare` to features `(batch, *shape)`.
      prepare: from waveforms `(batch, 16000)` or RGB frames `(batch, height, width, 3)`, float32 from 0 to 255, to the
        model's input.
      frame_rate: frames per second; None for audio.
      frame_size: (height, width); None for audio.
      whole_second: whether the model takes all frames of a second, `(batch, frame_rate, height, width, 3)`.
      resize: a function from an RGB frame of the video's own size, uint8, to one of `frame_size`; None resizes
        bilinearly.
      by_second: whether each second of sound is resampled on its own.
    """

    model: keras.Model
    prepare: Callable
    frame_rate: int | None = None
    frame_size: tuple[int, int] | None = None
    whole_second: bool = False
    resize: Callable[[np.ndarray], np.ndarray] | None = None
    by_second: bool = False


class Extractor:
    """Wraps a Keras network as a feature extractor: one feature for each second of one modality.

    Call it with audio `(segments, 16000)`, float32 in [-1, 1], or frames `(segments, frame_rate, height, width, 3)`,
    uint8 RGB; it returns `(segments, *info.shape)` float32, for frames the mean over each segment's frames. Long inputs
    are processed in batches.

    Attributes:
      info: identity of the feature.
      modality: "audio" or "visual".
      network: the network and its preprocessing.
      frame_rate, frame_size: of the frames it takes; None for audio.
    """

    def __init__(self, info: FeatureInfo, modality: str, network: Network):
        require_tensorflow("features are extracted")
        self.info = info
        self.modality = modality  # "audio" or "visual"
        self.network = network
        # Of the frames that it takes; None for audio.
        self.frame_rate, self.frame_size = network.frame_rate, network.frame_size
        if modality == "audio":
            self.input_shape, dtype, self._at_once = (SAMPLE_RATE,), tf.float32, _SECONDS_AT_ONCE
        else:
            self.input_shape = (self.frame_rate, *self.frame_size, 3)
            dtype, self._at_once = tf.uint8, max(1, _FRAMES_AT_ONCE // self.frame_rate)
        signature = [tf.TensorSpec((None, *self.input_shape), dtype)]
        # One signature for any number of segments, so that the last, smaller batch does not retrace.
        self._run = tf.function(self._forward, input_signature=signature, jit_compile=False)

    @property
    def clip_format(self) -> dict:
        """The arguments of `media.read_clip` for the sound or the frames that it takes."""
        if self.modality == "audio":
            return {"by_second": self.network.by_second}
        return {"frame_rate": self.frame_rate, "size": self.frame_size, "transform": self.network.resize}

    def compile(self) -> None:
        """Traces the graph now, so that the first call is not slower than the others."""
        self._run.get_concrete_function()

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        if batch.shape[1:] != self.input_shape:
            raise ValueError(f"{self.info.label} takes (segments, {self.input_shape}), not {batch.shape}")
        starts = range(0, len(batch), self._at_once)
        results = list(_fetched(self._run(batch[start : start + self._at_once]) for start in starts))
        return np.concatenate(results) if results else np.zeros((0, *self.info.shape), np.float32)

    def _forward(self, batch):
        if self.modality == "audio" or self.network.whole_second:
            return self.network.model(self.network.prepare(tf.cast(batch, tf.float32)), training=False)
        frames = tf.cast(tf.reshape(batch, (-1, *self.frame_size, 3)), tf.float32)
        maps = self.network.model(self.network.prepare(frames), training=False)
        return tf.reduce_mean(tf.reshape(maps, (-1, self.frame_rate, *self.info.shape)), axis=1)


def _fetched(outputs: Iterable) -> Iterator[np.ndarray]:
    """Outputs of a graph as arrays, in order, each fetched once the next one is under way."""
    waiting: deque = deque()
    for output in outputs:
        waiting.append(output)
        if len(waiting) == _IN_FLIGHT:
            yield waiting.popleft().numpy()
    yield from (output.numpy() for output in waiting)


def clip_format(extractors: Collection[Extractor]) -> dict:
    """The arguments of `media.read_clip` for a clip that all these extractors take; streams of none are not read."""
    modalities = {extractor.modality for extractor in extractors}
    formats = {name: value for extractor in extractors for name, value in extractor.clip_format.items()}
    return {"audio": "audio" in modalities, "video": "visual" in modalities, **formats}


def clip_features(extractors: Mapping[str, Extractor], clip: Clip) -> dict[str, np.ndarray]:
    """Features of every second of a clip: modality -> `(seconds, *shape)` float32, zeros for a missing stream.

    Raises:
      InputError: the clip was not read with the frame size and rate that an extractor takes, or is shorter than one
        second.
    """
    return {modality: _of_clip(extractor, clip) for modality, extractor in extractors.items()}


def _of_clip(extractor: Extractor, clip: Clip) -> np.ndarray:
    seconds = int(clip.seconds)
    if seconds < 1:
        raise InputError(f"{clip.path}: only {clip.seconds} s were read, but a feature needs a whole second.")
    if not (clip.has_audio if extractor.modality == "audio" else clip.has_video):
        return np.zeros((seconds, *extractor.info.shape), np.float32)
    stream = clip.waveform if extractor.modality == "audio" else clip.frames
    rate, *size = (len(stream) / clip.seconds, *stream.shape[1:])
    needed = extractor.input_shape
    if (rate, *size) != needed:
        raise InputError(
            f"{clip.path}: was read as {(rate, *size)} per second, but {extractor.info.label} takes {needed}; "
            "read it with the extractor's frame_rate and frame_size."
        )
    return extractor(stream[: seconds * needed[0]].reshape(seconds, *needed))
