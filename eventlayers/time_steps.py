"""Features at every time step (tenth of a second) of 10 s clips, from frozen backbones: the event layers' fast mode.

`time_step_backbones` builds the networks, `time_step_inputs` the inputs of a Split, computed once and cached.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Literal

import keras
import numpy as np

from avpipeline.cli.progress import ProgressBar
from avpipeline.datasets.base import Source
from avpipeline.errors import InputError
from avpipeline.features import mc3
from avpipeline.features.info import FeatureInfo
from avpipeline.features.weights import fill_seeded, find_weights, search_folders, weights_hash
from avpipeline.media import SAMPLE_RATE, Clip
from avpipeline.media.ahead import in_order
from avpipeline.nn.forward import forward_graph
from eventlayers import small_backbones
from eventlayers.audio_network import CHANNELS, build_audio_network
from eventlayers.clips import FRAME_FORMATS, TIME_STEPS, FrameFormat, Rows, onset_inputs, read_stream, rows_folder
from eventlayers.config import SECONDS
from eventlayers.sound import EventLogMel

Name = Literal["published", "small"]
# Name of a backbone's features, by set and modality.
_EXTRACTORS = {
    "published": {"visual": "mc3_18", "audio": "event_audio_network"},
    "small": {"visual": "small_event_visual", "audio": "small_event_audio"},
}
_VARIANT = "moments"
_RANDOM, _GIVEN = "none", "trained"
# Clips decoded ahead of the networks; 4.4 MB each.
_READY_CLIPS = 4


@dataclasses.dataclass(frozen=True)
class TimeStepBackbones:
    """Two frozen networks and the format of the frames that they take.

    Attributes:
      frames: format of the frames.
      networks: "visual", from RGB frames from 0 to 255 `(batch, 100, size, size, 3)` to "visual", z^V
        `(batch, 100, 512)`, and "maps", the last activation `(batch, 100, height, width, 512)` that z^V is the mean of;
        "audio", from waveforms `(batch, 160000)` to "audio", z^A `(batch, 100, 512)`.
      features: modality -> description of its features z.
    """

    frames: FrameFormat
    networks: Mapping[str, keras.Model]
    features: Mapping[str, FeatureInfo]

    @functools.cached_property
    def _graphs(self) -> dict:
        """(modality, with maps) -> graph."""
        visual, audio = self.networks["visual"], self.networks["audio"]
        alone = keras.Model(visual.input, {"visual": visual.output["visual"]})
        graphs = {("visual", True): visual, ("visual", False): alone, ("audio", True): audio, ("audio", False): audio}
        return {key: forward_graph(network) for key, network in graphs.items()}

    def of_clip(
        self, clip: Clip, modalities: Sequence[str] = ("visual", "audio"), maps: bool = True
    ) -> dict[str, np.ndarray]:
        """The networks' outputs for a clip, `(100, ...)` each; zeros for a stream that its file lacks.

        Args:
          maps: whether the visual network's maps are among them, 10 MB at the published size.
        """
        streams = {"visual": (clip.has_video, clip.frames), "audio": (clip.has_audio, clip.waveform)}
        found = {}
        for modality in modalities:
            is_there, stream = streams[modality]
            if is_there:
                found |= {name: array[0] for name, array in self._graphs[modality, maps](stream[np.newaxis]).items()}
            else:
                outputs = self.networks[modality].output.items()
                found |= {name: np.zeros(output.shape[1:], np.float32) for name, output in outputs}
        return found


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
    given = {"visual": _visual(name, visual_weights, weights_dir), "audio": _audio(name, audio_weights)}
    frames = FRAME_FORMATS[name]
    clip = keras.Input(frames.shape, name="visual")
    seen = given["visual"][0](mc3.frame_scaling()(clip) if name == "published" else clip)
    waveform = keras.Input((SECONDS * SAMPLE_RATE,), name="audio")
    networks = {
        "visual": keras.Model(clip, {"visual": seen["features"], "maps": seen["maps"]}, name="visual"),
        "audio": keras.Model(waveform, {"audio": given["audio"][0](EventLogMel()(waveform))}, name="audio"),
    }
    features = {
        modality: FeatureInfo(_EXTRACTORS[name][modality], _VARIANT, label, weights_hash(network), (CHANNELS,))
        for modality, (network, label) in given.items()
    }
    return TimeStepBackbones(frames, networks, features)


def time_step_backbones_for(features: Mapping[str, FeatureInfo], *, weights_dir=None) -> TimeStepBackbones:
    """The backbones that made exactly these features, of one modality or both.

    Raises:
      InputError: no backbones make such features, or their weights are not found.
    """
    names = [
        name
        for name, own in _EXTRACTORS.items()
        if all(own.get(modality) == info.extractor for modality, info in features.items())
    ]
    if not names:
        labels = " and ".join(info.label for info in features.values())
        raise InputError(f"{labels}: no backbones of the event layers make these features; take those of {__name__}.")
    if any(info.weights == _GIVEN for info in features.values()):
        raise InputError(
            f"{names[0]} backbones: were trained networks, which are only in the model that they were trained in; "
            "predict with that model."
        )
    # The argument of `time_step_backbones` for the name under which MC3-18's weights are recorded.
    weights = features["visual"].weights if "visual" in features else _RANDOM
    given = {_RANDOM: "none", mc3.PRETRAINED: "default"}.get(weights) or find_weights([weights], weights_dir)
    if given is None:
        folders = ", ".join(map(str, search_folders(weights_dir)))
        raise InputError(f"{weights}: MC3-18's weight file of these features is not in {folders}; put it there.")
    backbones = time_step_backbones(names[0], given, weights_dir=weights_dir)
    for modality, info in features.items():
        difference = info.difference(backbones.features[modality])
        if difference:
            raise InputError(
                f"{info.label}: the weights '{info.weights}' found here are not those that made the features "
                f"({difference}); put the right file into the folder of weights."
            )
    return backbones


def time_step_inputs(
    paths: Sequence, backbones: TimeStepBackbones, *, onset_method: str = "librosa"
) -> dict[str, Source]:
    """The inputs of a Split: `visual` and `audio` `(100, 512)`, zeros for a stream that a file lacks; and the onsets.

    Features that are not cached yet are computed now, a clip at a time. The arguments and the onsets are as in
    `eventlayers.clips.clip_inputs`.

    Raises:
      InputError: a file is missing or is no media file.
    """
    rows = {}
    for modality, info in backbones.features.items():
        kind = {"rows": f"moments-{modality}", "features": info.to_json()}
        if modality == "visual":
            kind["frames"] = dataclasses.asdict(backbones.frames)
        make = functools.partial(_made, backbones, modality)
        rows[modality] = Rows(paths, (TIME_STEPS, CHANNELS), np.float32, make, rows_folder(kind))
    _make_missing(rows, backbones)
    return {**rows, **onset_inputs(paths, onset_method)}


def _made(backbones: TimeStepBackbones, modality: str, path) -> np.ndarray:
    return backbones.of_clip(read_stream(modality, path, backbones.frames), [modality], maps=False)[modality]


def _make_missing(stored: Mapping[str, Rows], backbones: TimeStepBackbones) -> None:
    """Computes the rows that are not cached, a clip at a time, while the next ones are decoded."""
    paths = stored["visual"].paths
    missing = [path for path in paths if not all(rows.place(path).exists() for rows in stored.values())]
    if not missing:
        return

    def decode(path) -> dict[str, Clip]:
        return {modality: read_stream(modality, path, backbones.frames) for modality in stored}

    bar = ProgressBar(missing, desc="features of time steps", unit="clip")
    for path, streams in zip(bar, in_order(decode, missing, threads=2, ready=_READY_CLIPS), strict=True):
        for modality, clip in streams.items():
            stored[modality].store(path, backbones.of_clip(clip, [modality], maps=False)[modality])


def _visual(name: Name, weights, weights_dir) -> tuple[keras.Model, str]:
    """The network, and the name under which its weights are recorded in stored features; so `_audio`."""
    if isinstance(weights, keras.Model):
        return weights, _GIVEN
    if name == "small":
        return small_backbones.build_small_event_visual(), _RANDOM
    network = mc3.build_mc3_18(None if weights == "none" else weights, weights_dir=weights_dir)
    if weights == "none":
        fill_seeded(network, 0)
    return network, mc3.weights_label("mc3_18", weights)


def _audio(name: Name, network: keras.Model | None) -> tuple[keras.Model, str]:
    if network is not None:
        return network, _GIVEN
    if name == "small":
        return small_backbones.build_small_event_audio(), _RANDOM
    network = build_audio_network()
    fill_seeded(network, 0)
    return network, _RANDOM
