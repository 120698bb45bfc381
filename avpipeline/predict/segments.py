"""From a media file to labels over time: windows, prediction, and the files that show the result.

For segment classifiers, which label every second of a clip. A paper's `predict.py` supplies the model; reading and
writing are the same for all. `features_by_window` and the notes serve video classifiers too.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from avpipeline import media, plots
from avpipeline.errors import InputError
from avpipeline.predict.documents import Tell, head_json, head_lines, picture_title, result_files, synthetic_warning
from avpipeline.predict.files import STREAMS, collected_warnings, in_windows
from avpipeline.training.familiarity import region_means, unlike_training
from avpipeline.training.saved import ModelInfo

if TYPE_CHECKING:
    from avpipeline.features.registry import Extractor

# Features of one window, `(1, seconds, ...)` by modality -> probabilities `(seconds, classes)` and the attention maps
# that the model has: "attention" `(seconds, rows, columns)` over frames, "audio_attention" `(seconds, times,
# frequencies)` over log-mel patches.
Forward = Callable[[Mapping[str, np.ndarray]], tuple[np.ndarray, Mapping[str, np.ndarray]]]

# What the colours of attention are scaled by: the range of each second's map, or that of all maps of a file.
Scale = Literal["second", "clip"]

_TIMELINE_FRAMES, _TIMELINE_HEIGHT = 20, 160
_PATCH_SCALE = 4  # pixels for each bin of a log-mel patch


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A loaded model with its feature extractors.

    Attributes:
      forward: the model.
      info: its description.
      weights: its file.
      extractors: modality -> the extractor of the features it was trained on.
      window: seconds in the model's input.
      scale: of the colours in pictures of attention.
    """

    forward: Forward
    info: ModelInfo
    weights: Path
    extractors: Mapping[str, Extractor]
    window: int
    scale: Scale = "clip"

    @classmethod
    def of(
        cls, forward: Forward, info: ModelInfo, weights, *, window: int, weights_dir=None, scale: Scale = "clip"
    ) -> Predictor:
        """A predictor with the extractors in `info`; InputError if their weights are missing or not the same."""
        from avpipeline.features.registry import extractor_for

        extractors = {
            modality: extractor_for(feature, weights_dir=weights_dir) for modality, feature in info.features.items()
        }
        return cls(forward, info, Path(weights), extractors, window, scale)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Labels over time of one media file.

    Attributes:
      media: properties of the file.
      probabilities: `(seconds, classes)`.
      attention: `(seconds, rows, columns)`, weights or, with the scale "second", 0..1 in each map's own range; None if
        the model has none or the file has no video stream.
      notes: what a reader of the result must know.
      audio_attention: `(seconds, times, frequencies)` over log-mel patches, likewise; None without a sound stream.
    """

    media: media.MediaInfo
    probabilities: np.ndarray
    attention: np.ndarray | None
    notes: tuple[str, ...]
    audio_attention: np.ndarray | None = None


def predict_file(path, predictor: Predictor) -> Prediction:
    """Labels every second of a media file.

    A file of n seconds (rounded, at least 1) is cut into consecutive windows of the model's length, which are predicted
    separately. The last one is padded with silence and black frames; only the file's own seconds are returned. A
    missing stream gives features of zeros and a note.

    Raises:
      InputError: not a media file, or it lacks the only stream that the model uses.
    """
    from avpipeline.plots.overlays import in_own_range

    with collected_warnings(path) as damage:
        about = media.probe(path)
        notes = stream_notes(about, predictor.extractors, predictor.info.model)
        seconds = about.whole_seconds
        windows, means = [], []
        spans = [(start, predictor.window) for start in range(0, seconds, predictor.window)]
        for features in features_by_window(path, predictor.extractors, spans):
            windows.append(predictor.forward({name: own[np.newaxis] for name, own in features.items()}))
            means.append(region_means(features))
    named, scored = len(predictor.info.class_names), windows[0][0].shape[-1]
    if named != scored:
        raise InputError(f"{predictor.weights}: names {named} classes and scores {scored}; train it again.")
    notes += unlike_notes(about, predictor, means, seconds)
    probabilities = np.concatenate([probabilities for probabilities, _ in windows])[:seconds]
    maps = {name: np.concatenate([maps[name] for _, maps in windows])[:seconds] for name in windows[0][1]}
    if predictor.scale == "second":
        maps = {name: in_own_range(weights) for name, weights in maps.items()}
    if seconds < predictor.window:
        notes.append(
            f"shorter than the model's {predictor.window} s: padded for the model, only its own seconds are labelled"
        )
    if seconds > predictor.window:
        notes.append(f"longer than the model's {predictor.window} s: predicted in {len(spans)} consecutive windows")
    seen = maps.get("attention") if about.has_video else None
    heard = maps.get("audio_attention") if about.has_audio else None
    return Prediction(about, probabilities, seen, (*notes, *damage), heard)


def write_prediction(
    prediction: Prediction, predictor: Predictor, out, tell: Tell | None = None, *, truth: Sequence[int] | None = None
) -> str:
    """Writes everything that shows the prediction for one file; returns the text.

    That is `STEM.json` and `STEM.txt` with the same content, `STEM_timeline.png`, and for models with attention
    `STEM_attention.png`, one for each window, and `STEM_attention.mp4`, the clip with the maps overlaid; for models
    with attention over sound `STEM_audio_attention.png`, the log-mel patch of each second with its map.

    Args:
      tell: prints the text, before the pictures are drawn.
      truth: class index of each second where it is known, drawn above the prediction in the timeline.
    """
    from avpipeline.plots.overlays import write_overlay

    out, about = Path(out), prediction.media
    stem = about.path.stem
    document = as_json(prediction, predictor)
    text = as_text(document)
    with result_files(out / stem, document, text, tell, source=about.path):
        _write_timeline(prediction, predictor.info, out / f"{stem}_timeline.png", truth)
        if prediction.attention is not None:
            frames = functools.partial(media.read_frames, about.path, frame_rate=1, size=None)
            path = out / f"{stem}_attention.png"
            _write_attention_pictures(prediction, predictor, path, prediction.attention, frames)
            labels = labels_of(prediction, predictor.info)
            path, warning = out / f"{stem}_attention.mp4", synthetic_warning(predictor.info, about)
            write_overlay(path, about, prediction.attention, labels, warning=warning)
        if prediction.audio_attention is not None:
            # As the patches are drawn: time from left to right, high pitch at the top.
            maps = prediction.audio_attention.transpose(0, 2, 1)[:, ::-1]
            path, patches = out / f"{stem}_audio_attention.png", functools.partial(_patches, about.path)
            _write_attention_pictures(prediction, predictor, path, maps, patches)
    return text


def labels_of(prediction: Prediction, info: ModelInfo) -> list[str]:
    """The most probable class of each second."""
    return [info.class_names[index] for index in prediction.probabilities.argmax(1)]


def as_json(prediction: Prediction, predictor: Predictor) -> dict:
    """The whole result as JSON values; times in seconds."""
    info = predictor.info
    labels = labels_of(prediction, info)
    best = prediction.probabilities.max(1)
    return {
        **head_json(prediction.media, prediction.notes, info, predictor.weights),
        "events": [
            {"start": start, "end": end, "label": label, "probability": round(float(best[start:end].mean()), 4)}
            for start, end, label in plots.stretches(labels)
            if label != plots.BACKGROUND
        ],
        "segments": [
            {
                "start": second,
                "end": second + 1,
                "label": label,
                "probability": round(float(best[second]), 4),
                "probabilities": [round(float(value), 6) for value in prediction.probabilities[second]],
            }
            for second, label in enumerate(labels)
        ],
        "class_names": list(info.class_names),
    }


def as_text(document: Mapping) -> str:
    """The result of `as_json`, `document`, as text, without the probabilities of the other classes."""
    lines = [*head_lines(document), "", "seconds  probability  class"]
    for segment in document["segments"]:
        span = f"{segment['start']}-{segment['end']}"
        lines.append(f"{span:<7}  {segment['probability']:<11.4f}  {segment['label']}")
    lines += ["", "events:" if document["events"] else "events: none"]
    for event in document["events"]:
        lines.append(f"  {event['start']}-{event['end']} s  {event['label']} ({event['probability']:.4f})")
    return "\n".join(lines) + "\n"


def unlike_notes(about: media.MediaInfo, predictor, windows: Sequence[Mapping], seconds: int) -> list[str]:
    """Notes on the modalities in which a file's own `seconds` are far from training; `windows` have `region_means`."""
    there = {"audio": about.has_audio, "visual": about.has_video}
    present = [name for name, extractor in predictor.extractors.items() if there[extractor.modality]]
    last = seconds - predictor.window * (len(windows) - 1)
    own = [*windows[:-1], {name: values[:last] for name, values in windows[-1].items()}]
    return unlike_training(predictor.info.statistics, own, present)


def features_by_window(
    path, extractors: Mapping[str, Extractor], windows: Sequence[tuple[int, int]]
) -> Iterator[dict[str, np.ndarray]]:
    """Features of consecutive windows of a file, `(seconds, ...)` by modality; the next ones are decoded meanwhile.

    Beyond the file's end they are those of silence and black frames; a missing stream has zeros. The extractors for
    frames must agree in the frames that they take.

    Args:
      windows: first second and number of seconds of each.
    """
    from avpipeline.features.registry import clip_features, clip_format

    clips = media.read_windows(path, windows, **clip_format(extractors.values()))
    for clip in in_windows(clips, len(windows)):
        yield clip_features(extractors, clip)


def stream_notes(about: media.MediaInfo, extractors: Mapping[str, Extractor], model: str) -> list[str]:
    """Like `missing_stream_notes`, for a model that uses the features of these extractors."""
    return missing_stream_notes(about, {name: extractor.modality for name, extractor in extractors.items()}, model)


def missing_stream_notes(about: media.MediaInfo, modalities: Mapping[str, str], model: str) -> list[str]:
    """Notes on missing streams; InputError if the file has none of the streams that the model uses.

    Args:
      modalities: input of the model -> "audio" or "visual", the stream that it comes from.
    """
    there = {"audio": about.has_audio, "visual": about.has_video}
    missing = [name for name, modality in modalities.items() if not there[modality]]
    if len(missing) == len(modalities):
        needed = dict.fromkeys(STREAMS[modality] for modality in modalities.values())
        raise InputError(
            f"{about.path}: has no {' and '.join(needed)}, which is all that the model '{model}' uses; choose another "
            "model."
        )
    return [
        f"the file has no {STREAMS[modalities[name]]}: the {name} features given to '{model}' are zeros, so its "
        "predictions are unreliable"
        for name in missing
    ]


def _write_timeline(prediction: Prediction, info: ModelInfo, path: Path, truth: Sequence[int] | None) -> None:
    """The timeline, with frames and attention maps if the model has attention."""
    about, seconds, frames, attention = prediction.media, len(prediction.probabilities), None, prediction.attention
    if attention is not None:
        # One frame per second with its map; for a long file fewer, each from the middle of an equal share of the time.
        count = max(1, seconds // -(-seconds // _TIMELINE_FRAMES))
        share = seconds / count
        size = about.size_at(_TIMELINE_HEIGHT)
        frames = media.read_frames(about.path, frame_rate=1 / share, size=size, seconds=seconds)
        attention = attention[((np.arange(count) + 0.5) * share).astype(int)]
    plots.timeline(
        path,
        prediction.probabilities,
        info.class_names,
        truth=truth,
        waveform=media.read_waveform(about.path, seconds=seconds),
        frames=frames,
        attention=attention,
        title=picture_title(info, about),
    )


def _write_attention_pictures(
    prediction: Prediction, predictor: Predictor, path: Path, maps: np.ndarray, images: Callable
) -> None:
    """One picture for each window, numbered from the second on.

    Args:
      maps: attention, `(seconds, rows, columns)`.
      images: what it is laid over, a function of `start` and `seconds`, one image a second.
    """
    info, labels = predictor.info, labels_of(prediction, predictor.info)
    for number, start in enumerate(range(0, len(labels), predictor.window), start=1):
        here = slice(start, start + predictor.window)
        plots.attention_frames(
            path if number == 1 else path.with_stem(f"{path.stem}_{number}"),
            images(start=start, seconds=len(labels[here])),
            maps[here],
            labels[here],
            class_names=info.class_names,
            start=start,
            scale_label="attention in each second's own range" if predictor.scale == "second" else None,
            title=picture_title(info, prediction.media),
        )


def _patches(path: Path, start: int, seconds: int) -> np.ndarray:
    """Each second's log-mel patch in grey, `(seconds, height, width, 3)`: time to the right, high pitch at the top."""
    from avpipeline.features.logmel import LogMel, split_seconds

    patches = LogMel()(split_seconds(media.read_waveform(path, start=start, seconds=seconds))).numpy()
    grey = 255 * (patches - patches.min()) / max(np.ptp(patches), 1e-12)
    upright = grey.astype(np.uint8).transpose(0, 2, 1)[:, ::-1, :, np.newaxis]
    return upright.repeat(_PATCH_SCALE, 1).repeat(_PATCH_SCALE, 2).repeat(3, 3)
