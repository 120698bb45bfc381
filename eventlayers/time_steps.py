"""Features at every time step (tenth of a second) of 10 s clips, from frozen backbones: the event layers' fast mode.

`time_step_backbones` builds the networks, `time_step_inputs` the inputs of a Split, computed once and cached, and
`time_steps_of` the features of one file with the maps.
"""

import concurrent.futures
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from avpipeline.cli.progress import ProgressBar
from avpipeline.datasets.base import Source
from avpipeline.errors import InputError
from avpipeline.features import mc3
from avpipeline.features.info import FeatureInfo
from avpipeline.features.weights import fill_seeded, find_weights, search_folders, weights_hash
from avpipeline.media import SAMPLE_RATE
from avpipeline.nn.forward import forward_graph
from eventlayers import small_backbones
from eventlayers.audio_network import CHANNELS, build_audio_network
from eventlayers.clips import (
    SECONDS,
    TIME_STEPS,
    FrameFormat,
    StoredRows,
    onset_inputs,
    onsets_of,
    read_clip_frames,
    read_clip_sound,
    read_windows_of,
    rows_folder,
    store_array,
)
from eventlayers.sound import EventLogMel

Name = Literal["published", "small"]
# Name of a backbone's features, by set and modality.
_EXTRACTORS = {
    "published": {"visual": "mc3_18", "audio": "event_audio_network"},
    "small": {"visual": "small_event_visual", "audio": "small_event_audio"},
}
_VARIANT = "moments"
# Names under which weights are recorded in stored features.
_RANDOM, _GIVEN = "none", "trained"
# Clips decoded ahead of the networks; 4.4 MB each.
_READY_CLIPS = 4


@dataclasses.dataclass(frozen=True)
class TimeStepBackbones:
    """Two frozen networks and the format of the frames that they take.

    Attributes:
      frames: format of the frames.
      visual: RGB frames from 0 to 255 `(batch, 100, size, size, 3)` -> "features" z^V `(batch, 100, 512)` and "maps",
        the last activation `(batch, 100, height, width, 512)` that z^V is the mean of.
      audio: waveform `(batch, 160000)` -> z^A `(batch, 100, 512)`.
      features: modality -> description of its features z.
    """

    frames: FrameFormat
    visual: keras.Model
    audio: keras.Model
    features: Mapping[str, FeatureInfo]

    @functools.cached_property
    def see(self) -> Callable:
        """The visual network as one graph, without the maps (10 MB a clip of 112x112)."""
        return forward_graph(keras.Model(self.visual.input, {"features": self.visual.output["features"]}))

    @functools.cached_property
    def see_with_maps(self) -> Callable:
        """The visual network as one graph."""
        return forward_graph(self.visual)

    @functools.cached_property
    def hear(self) -> Callable:
        """The audio network as one graph."""
        return forward_graph(self.audio)


def time_step_backbones(
    name: Name = "published", visual_weights="default", audio_weights=None, *, weights_dir=None
) -> TimeStepBackbones:
    """Builds a pair of backbones.

    Args:
      name: "published", MC3-18 and the paper's audio network, or "small", the small seeded networks.
      visual_weights: weights of MC3-18: "default" (Kinetics-400, downloaded if not found), "none" (seeded random), a
        torchvision checkpoint, or a trained network: a model from normalised frames to "features" and "maps". For the
        small backbones only a trained network has an effect.
      audio_weights: None (seeded random: the paper trains its audio network on the target data, and no weights are
        published) or a trained network: a model from log-mel spectrograms to z^A.
      weights_dir: folder that is searched first for the default weights.

    Raises:
      InputError: weights are missing, damaged or of another network.
    """
    visual_network, visual_label = _visual(name, visual_weights, weights_dir)
    audio_network, audio_label = _audio(name, audio_weights)
    frames = FrameFormat() if name == "published" else FrameFormat(small_backbones.FRAME_SIZE, None)

    clip = keras.Input((TIME_STEPS, frames.size, frames.size, 3), name="visual")
    scaled = mc3.frame_scaling()(clip) if name == "published" else clip
    visual = keras.Model(clip, visual_network(scaled), name="visual")
    waveform = keras.Input((SECONDS * SAMPLE_RATE,), name="audio")
    audio = keras.Model(waveform, audio_network(EventLogMel()(waveform)), name="audio")
    labels = {"visual": (visual_label, visual_network), "audio": (audio_label, audio_network)}
    features = {
        modality: FeatureInfo(_EXTRACTORS[name][modality], _VARIANT, label, weights_hash(network), (CHANNELS,))
        for modality, (label, network) in labels.items()
    }
    return TimeStepBackbones(frames, visual, audio, features)


def time_step_backbones_for(features: Mapping[str, FeatureInfo], *, weights_dir=None) -> TimeStepBackbones:
    """The backbones that made exactly these features, of one modality or both.

    Raises:
      InputError: no backbones make such features, or their weights are not found.
    """
    name = _set_of(features)
    if any(info.weights == _GIVEN for info in features.values()):
        raise InputError(
            f"{name} backbones: were trained networks, which are only in the model that they were trained in; "
            "predict with that model."
        )
    weights = features["visual"].weights if "visual" in features else "none"
    backbones = time_step_backbones(name, _findable(weights, weights_dir), weights_dir=weights_dir)
    for modality, info in features.items():
        difference = info.difference(backbones.features[modality])
        if difference:
            raise InputError(
                f"{info.label}: the weights '{info.weights}' found here are not those that made the features "
                f"({difference}); put the right file into the folder of weights."
            )
    return backbones


def time_step_inputs(
    paths: Sequence,
    backbones: TimeStepBackbones,
    *,
    starts: Sequence[float] | None = None,
    onset_method: str = "librosa",
) -> dict[str, Source]:
    """The inputs of a Split: `visual` and `audio` `(100, 512)`, zeros for a stream that a file lacks; and the onsets.

    Features that are not cached yet are computed now, a clip at a time. `onsets`, `onset_mask` and the other arguments
    are as in `eventlayers.clips.clip_inputs`.

    Raises:
      InputError: a file is missing or is no media file.
    """
    paths, starts = list(map(Path, paths)), [0.0] * len(paths) if starts is None else list(starts)
    rows = {modality: _stored(modality, paths, starts, backbones) for modality in ("visual", "audio")}
    _make_missing(rows, backbones)
    return {**rows, **onset_inputs(paths, starts, onset_method)}


def time_steps_of(
    path, backbones: TimeStepBackbones, *, start: float = 0.0, onset_method: str = "librosa"
) -> dict[str, np.ndarray]:
    """One file's `visual`, `audio` `(100, 512)`, `maps` `(100, height, width, 512)`, `onsets` and `onset_mask`.

    The features of a stream that the file lacks are zeros; `onset_method` as for `eventlayers.clips.clip_inputs`.
    """
    (streams,) = read_streams(path, backbones, starts=[start], onset_method=onset_method)
    return of_streams(streams, backbones)


@dataclasses.dataclass(frozen=True)
class Streams:
    """A decoded clip; None for a stream that its file lacks, and `{}` for onsets that are not needed."""

    frames: np.ndarray | None
    sound: np.ndarray | None
    onsets: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, path, start: float, frames: FrameFormat) -> "Streams":
        return cls(read_clip_frames(path, start, frames), read_clip_sound(path, start))

    def seen(self, backbones: TimeStepBackbones, *, maps: bool = False) -> dict[str, np.ndarray]:
        names = {"features": "visual", "maps": "maps"} if maps else {"features": "visual"}
        if self.frames is None:
            shapes = {name: backbones.visual.output[name].shape[1:] for name in names}
            return {names[name]: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        seen = (backbones.see_with_maps if maps else backbones.see)(self.frames[np.newaxis])
        return {names[name]: array[0] for name, array in seen.items()}

    def heard(self, backbones: TimeStepBackbones) -> dict[str, np.ndarray]:
        if self.sound is None:
            return {"audio": np.zeros(backbones.audio.output.shape[1:], np.float32)}
        return {"audio": backbones.hear(self.sound[np.newaxis])[0]}


def read_streams(
    path, backbones: TimeStepBackbones, *, starts: Sequence[float], onset_method: str = "librosa"
) -> Iterator[Streams]:
    """The decoded frames, sound and onsets of the ten seconds from each of `starts`, one after the other."""
    for frames, sound in read_windows_of(path, backbones.frames, starts):
        steps, mask = onsets_of(sound, onset_method)
        yield Streams(frames, sound, {"onsets": steps, "onset_mask": mask})


def of_streams(streams: Streams, backbones: TimeStepBackbones) -> dict[str, np.ndarray]:
    """The result of `time_steps_of` for streams that have been read."""
    return {**streams.seen(backbones, maps=True), **streams.heard(backbones), **streams.onsets}


def _stored(modality: str, paths, starts, backbones: TimeStepBackbones) -> StoredRows:
    kind = {"rows": f"moments-{modality}", "features": backbones.features[modality].to_json()}
    if modality == "visual":
        kind |= {"frames": dataclasses.asdict(backbones.frames)}

    def make(row: int) -> np.ndarray:
        streams = Streams.read(paths[row], starts[row], backbones.frames)
        return (streams.seen(backbones) if modality == "visual" else streams.heard(backbones))[modality]

    return StoredRows(paths, starts, (TIME_STEPS, CHANNELS), np.float32, rows_folder(kind), make)


def _make_missing(stored: Mapping[str, StoredRows], backbones: TimeStepBackbones) -> None:
    """Computes the rows that are not cached, a clip at a time, while the next ones are decoded."""
    source = stored["visual"]
    missing = [row for row in range(len(source)) if not all(rows.place(row).exists() for rows in stored.values())]
    if not missing:
        return

    def decode(row: int) -> Streams:
        return Streams.read(source.paths[row], source.starts[row], backbones.frames)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(decode, row) for row in missing[:_READY_CLIPS]]
        for index, row in enumerate(ProgressBar(missing, desc="features of time steps", unit="clip")):
            if index + _READY_CLIPS < len(missing):
                waiting.append(pool.submit(decode, missing[index + _READY_CLIPS]))
            streams = waiting.pop(0).result()
            made = streams.seen(backbones) | streams.heard(backbones)
            for modality, rows in stored.items():
                store_array(rows.place(row), made[modality])


def _findable(weights: str, weights_dir):
    """The argument of `time_step_backbones` for the name under which MC3-18's weights are recorded."""
    if weights in (_RANDOM, mc3.PRETRAINED):
        return {_RANDOM: "none", mc3.PRETRAINED: "default"}[weights]
    path = find_weights([weights], weights_dir)
    if path is None:
        folders = ", ".join(map(str, search_folders(weights_dir)))
        raise InputError(f"{weights}: MC3-18's weight file of these features is not in {folders}; put it there.")
    return path


def _set_of(features: Mapping[str, FeatureInfo]) -> Name:
    for name, extractors in _EXTRACTORS.items():
        if all(info.extractor == extractors.get(modality) for modality, info in features.items()):
            return name
    labels = " and ".join(info.label for info in features.values())
    raise InputError(f"{labels}: no backbones of the event layers make these features; take those of {__name__}.")


def _visual(name: Name, weights, weights_dir) -> tuple[keras.Model, str]:
    if isinstance(weights, keras.Model):
        return weights, _GIVEN
    if name == "small":
        return small_backbones.build_small_event_visual(), _RANDOM
    if weights == "none":
        network = mc3.build_mc3_18()
        fill_seeded(network, 0)
    else:
        network = mc3.build_mc3_18(weights, weights_dir=weights_dir)
    return network, mc3.weights_label("mc3_18", weights)


def _audio(name: Name, weights) -> tuple[keras.Model, str]:
    if isinstance(weights, keras.Model):
        return weights, _GIVEN
    if name == "small":
        return small_backbones.build_small_event_audio(), _RANDOM
    network = build_audio_network()
    fill_seeded(network, 0)
    return network, _RANDOM
