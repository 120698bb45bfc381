"""From a media file to a network's input: features of every second, as they would be in a record."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np

from attendfusion.models import NUM_FRAMES
from avpipeline import media
from avpipeline.datasets.youtube8m.records import MAX_FRAMES, dequantise, quantise
from avpipeline.datasets.youtube8m.splits import read_vocabulary
from avpipeline.datasets.youtube8m.writing import Description
from avpipeline.errors import InputError
from avpipeline.features.registry import EXTRACTORS, Extractor, extractor_for
from avpipeline.nn.forward import forward_graph
from avpipeline.predict.files import collected_warnings
from avpipeline.predict.segments import features_by_window, stream_notes
from avpipeline.training.familiarity import unlike_training
from avpipeline.training.saved import ModelInfo, load_model

# Seconds decoded at a time.
_WINDOW = 30


@dataclasses.dataclass(frozen=True)
class Labeller:
    """A loaded network and the names of its labels.

    Attributes:
      model, info, weights: the network, its description, its file.
      class_names: in the order of its outputs.
    """

    model: keras.Model
    info: ModelInfo
    weights: Path
    class_names: tuple[str, ...]

    @classmethod
    def load(cls, weights, vocabulary: Path | None = None) -> "Labeller":
        """Loads a .keras file; names come from a vocabulary in YouTube-8M's format if given, else from the file."""
        model, info = load_model(weights, paper="attendfusion")
        names = info.class_names if vocabulary is None else read_vocabulary(vocabulary, len(info.class_names))
        return cls(model, info, Path(weights), names)

    @functools.cached_property
    def _forward(self) -> Callable:
        return forward_graph(self.model)

    def top(self, probabilities: np.ndarray, count: int) -> list[tuple[str, float]]:
        """The most probable labels of a video with their probabilities; lower indices first if equal."""
        best = np.argsort(-probabilities, kind="stable")[:count]
        return [(self.class_names[index], float(probabilities[index])) for index in best]

    def probabilities(self, frames: Mapping[str, np.ndarray]) -> np.ndarray:
        """Probability of each label, `(classes,)`, for the frames of one video as returned by `media_frames`."""
        tokens, modalities = self.info.config["tokens"], self.info.config["modalities"]
        inputs = {name: _tokens(frames[name], tokens)[np.newaxis] for name in modalities}
        if tokens == "frames":
            inputs[NUM_FRAMES] = np.array([len(frames[modalities[0]])], np.int32)
        return self._forward(inputs)[0]


@dataclasses.dataclass(frozen=True)
class MediaFrames:
    """Features of a media file.

    Attributes:
      media: properties of the file.
      frames: modality -> `(seconds, width)`, like the frames of a record; zeros for a missing stream.
      notes: what a reader of the result must know.
    """

    media: media.MediaInfo
    frames: Mapping[str, np.ndarray]
    notes: tuple[str, ...]


def extractors_of(labeller: Labeller, weights_dir=None) -> dict[str, Extractor]:
    """The extractors of the features that a model was trained on.

    Raises:
      InputError: they are YouTube-8M's own features, or weights are missing.
    """
    for info in labeller.info.features.values():
        if info.extractor not in EXTRACTORS:
            raise InputError(
                f"{labeller.weights}: was trained on the features that YouTube-8M's authors published, and no network "
                "here extracts them from a media file; give records (.tfrecord), or train on records of other features "
                "(python -m avpipeline.youtube8m writes them)."
            )
    return {name: extractor_for(info, weights_dir=weights_dir) for name, info in labeller.info.features.items()}


def media_frames(path, labeller: Labeller, extractors: Mapping[str, Extractor]) -> MediaFrames:
    """Features of every second of a media file, at most 300 as in YouTube-8M, scaled and quantised as in a record.

    Raises:
      InputError: not a media file, or it lacks the only stream that the model uses.
    """
    description = Description(labeller.info.features, labeller.info.config["scale"])
    with collected_warnings(path) as damage:
        about = media.probe(path)
        notes = stream_notes(about, extractors, labeller.info.model)
        seconds = about.whole_seconds
        if seconds > MAX_FRAMES:
            notes.append(f"longer than {MAX_FRAMES} s: only the beginning is used, as in YouTube-8M")
            seconds = MAX_FRAMES
        spans = [(start, min(_WINDOW, seconds - start)) for start in range(0, seconds, _WINDOW)]
        windows = list(features_by_window(path, extractors, spans))
    there = {"audio": about.has_audio, "visual": about.has_video}
    frames = {}
    for name, extractor in extractors.items():
        made = description.frames(name, np.concatenate([window[name] for window in windows]))
        read_back = dequantise(quantise(made).astype(np.float32))
        frames[name] = read_back if there[extractor.modality] else np.zeros_like(read_back)
    tokens = {name: _tokens(own, labeller.info.config["tokens"]) for name, own in frames.items()}
    present = [name for name, extractor in extractors.items() if there[extractor.modality]]
    notes += unlike_training(labeller.info.statistics, [tokens], present)
    return MediaFrames(about, frames, (*notes, *damage))


def _tokens(frames: np.ndarray, tokens: str) -> np.ndarray:
    """`(seconds, width)` -> `(tokens, width)`."""
    if tokens == "frames":
        return frames
    both = np.stack([frames.mean(0), frames.std(0)])
    return both if tokens == "mean_std" else both[:1]
