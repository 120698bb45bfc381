"""`python -m eventlayers.predict`: labels the events in media files and shows which time steps the layers pool."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tyro

from avpipeline import media, plots
from avpipeline.cli import run
from avpipeline.cli.progress import ProgressBar, link
from avpipeline.errors import InputError
from avpipeline.predict.documents import Tell, head_json, head_lines, picture_title, result_files, synthetic_warning
from avpipeline.predict.files import collected_warnings, for_each_file, in_windows
from avpipeline.predict.segments import missing_stream_notes
from avpipeline.training.familiarity import region_means, unlike_training
from avpipeline.training.paper import Trained
from avpipeline.training.saved import ModelInfo, load_model
from eventlayers.config import ModelConfig, saved_config
from eventlayers.data import backbones_of, videos_of
from eventlayers.voting import vote

if TYPE_CHECKING:
    import keras

    from eventlayers import pictures

DEFAULT_WEIGHTS = Path("runs") / "eventlayers" / "event_layers-paper" / "seed-0" / "best.keras"
SECONDS = 10
_FILM_HEIGHT = 120


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a prediction command."""

    files: tyro.conf.Positional[tuple[Path, ...]]
    """Media files, folders of them, or lists (.txt, one path per line)."""
    weights: Path = DEFAULT_WEIGHTS
    """The model: a .keras file written by python -m eventlayers.train; the default is the file that this command
    writes without options."""
    out: Path = Path("runs") / "eventlayers" / "predict"
    """Folder for the texts, JSON files, pictures and videos."""
    from_backbones: Path | None = None
    """The value of --from-backbones that the model was trained with, if any."""
    weights_dir: Path | None = None
    """Folder with MC3-18's weights, searched first."""


# What was read from ten seconds of a file -> the output of model and backbones: the arrays of
# `eventlayers.time_steps.time_steps_of` for the model's streams, and "scores", O `(heads, classes)`.
Look = Callable[[object], dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A loaded model with its description.

    Attributes:
      read: file and starts -> the ten seconds that begin at each, decoded.
      look: runs the model on them.
      info: its description.
      config: its configuration.
      weights: its file.
    """

    read: Callable[[Path, Sequence[float]], Iterator]
    look: Look
    info: ModelInfo
    config: ModelConfig
    weights: Path

    @classmethod
    def of(cls, weights, from_backbones=None, weights_dir=None) -> Predictor:
        """Loads a model, with the backbones that it names; InputError if weights are missing or not the same."""
        from avpipeline.nn.forward import forward_graph
        from eventlayers.time_steps import of_streams, read_streams

        weights = Path(weights)
        if weights == DEFAULT_WEIGHTS and not weights.is_file():
            raise InputError(
                f"{weights}: there is no trained model yet; run python -m eventlayers.train in this folder, which "
                "takes a few minutes, or give --weights."
            )
        model, info = load_model(weights, paper="eventlayers")
        config = saved_config(info.config)
        if config.inputs == "clips":
            return cls(*_clips(model, config), info, config, weights)
        backbones = backbones_of(info.features, from_backbones, weights_dir)
        heads = forward_graph(model)

        def look(streams) -> dict[str, np.ndarray]:
            found = of_streams(streams, backbones)
            return {**found, "scores": heads({name: found[name][np.newaxis] for name in model.input})[0]}

        read = functools.partial(read_streams, backbones=backbones, onset_method=config.onsets)
        return cls(read, look, info, config, weights)


def _clips(model: keras.Model, config: ModelConfig) -> tuple[Callable, Look]:
    """`Predictor.read` and `Predictor.look` for a model on clips."""
    from avpipeline.nn.forward import forward_graph
    from eventlayers.clips import FRAME_FORMATS, clips_of
    from eventlayers.models import ONSET_MASK, ONSETS, with_time_steps

    seen = forward_graph(with_time_steps(model))

    def look(clip) -> dict[str, np.ndarray]:
        found = seen({name: clip[name][np.newaxis] for name in model.input})
        steps = {name: array[0] for name, array in found.items()}
        return {**steps, ONSETS: clip[ONSETS], ONSET_MASK: clip[ONSET_MASK]}

    return functools.partial(clips_of, frames=FRAME_FORMATS[config.backbones], onset_method=config.onsets), look


@dataclasses.dataclass(frozen=True)
class Window:
    """A model's output for ten seconds of a file.

    Attributes:
      start, seconds: position and length; shorter at the end of a file.
      scores: O, `(heads, classes)`.
      correspondence: S, one value per time step; None for a model with one stream.
      chosen: layer -> the time steps that it pools; empty for a model with one stream.
      onsets: time steps at which a sound begins.
      localization: alpha, `(time steps, height, width)`; None for a model with one stream.
    """

    start: float
    seconds: float
    scores: np.ndarray
    correspondence: np.ndarray | None
    chosen: dict[str, np.ndarray]
    onsets: np.ndarray
    localization: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class Prediction:
    """A model's output for a file: consecutive windows, and notes that a reader must know."""

    media: media.MediaInfo
    windows: tuple[Window, ...]
    notes: tuple[str, ...]


def main(settings: Settings) -> int:
    """Labels the events in media files: vote, all labels, the time steps that each layer pools, the sound source.

    Examples:
      python -m eventlayers.predict video.mp4
    """
    predictor = Predictor.of(settings.weights, settings.from_backbones, settings.weights_dir)
    status = for_each_file(settings.files, lambda path, tell: write_file(path, predictor, settings.out, tell))
    if len(predictor.config.modalities) == 1:
        print(f"{predictor.info.model} has one stream: there are no time steps and no sound source to show.")
    print(f"Texts, JSON files, pictures and videos are in {link(settings.out)}")
    return status


def write_file(path, predictor: Predictor, out, tell: Tell | None = None, *, truth: Sequence[str] = ()) -> str:
    """Predicts a media file and writes everything that shows it; returns the text.

    `STEM.json` and `STEM.txt` have the same content; `STEM_labels.png` is Figure 4; for a model with both streams there
    are also `STEM_moments.png` (Figure 3), `STEM_localization.png` and `STEM_localization.mp4` (Figure 5). Pictures
    are numbered from the second ten seconds on. `truth`, the true labels where known, is shown in `STEM_labels.png`.
    """
    prediction = predict_file(path, predictor)
    source = prediction.media.path
    stem = Path(out) / source.stem
    document = as_json(prediction, predictor)
    text = as_text(document)
    with result_files(stem, document, text, tell, source=source):
        _write_pictures(prediction, predictor, stem, truth)
    return text


def predict_file(path, predictor: Predictor) -> Prediction:
    """A model's output for a media file, separately for each ten seconds.

    The last window is padded with silence and black frames, like shorter clips in training. A missing stream is
    replaced by silence or black frames, with a note.

    Raises:
      InputError: not a media file, or it lacks the only stream that the model uses.
    """
    path = Path(path)
    with collected_warnings(path) as damage:
        about = media.probe(path)
        modalities = {modality: modality for modality in predictor.config.modalities}
        notes = missing_stream_notes(about, modalities, predictor.info.model)
        length = about.whole_seconds
        starts = range(0, length, SECONDS)
        clips = in_windows(predictor.read(path, starts=starts), len(starts))
        windows, means = [], []
        for start, clip in zip(starts, clips, strict=True):
            found, seconds = predictor.look(clip), min(SECONDS, length - start)
            windows.append(_window(found, predictor.config, start, seconds))
            means.append(_means(found, [name for name in modalities if name in predictor.info.statistics], seconds))
    there = {"audio": about.has_audio, "visual": about.has_video}
    notes += unlike_training(predictor.info.statistics, means, [name for name in modalities if there[name]])
    if length < SECONDS:
        notes.append(f"shorter than the model's {SECONDS} s: padded with silence and black frames")
    if len(windows) > 1:
        notes.append(f"longer than the model's {SECONDS} s: every {SECONDS} s are predicted separately")
    return Prediction(about, tuple(windows), (*notes, *damage))


def _means(found: Mapping[str, np.ndarray], names: Iterable[str], seconds: int) -> dict[str, np.ndarray]:
    """Each second's mean over its time steps, `(seconds, channels)`."""
    return region_means({name: found[name].reshape(SECONDS, -1, found[name].shape[-1])[:seconds] for name in names})


def _window(found: Mapping[str, np.ndarray], config: ModelConfig, start: int, seconds: int) -> Window:
    """A model's output for a window, without the time steps beyond the end of the file."""
    from eventlayers.layers import InstantEventLayer, correspondence, sound_localization
    from eventlayers.models import ONSET_MASK, ONSETS

    count = config.num_moments
    own = round(count * seconds / SECONDS)
    onsets = np.unique(found[ONSETS][found[ONSET_MASK] > 0].astype(int))
    window = Window(start, seconds, found["scores"], None, {}, onsets[onsets < own], None)
    if len(config.modalities) == 1:
        return window
    both = found["visual"][np.newaxis], found["audio"][np.newaxis]
    everything = np.arange(count)
    chosen = {
        "continuous": everything,
        "instant": np.sort(np.asarray(InstantEventLayer(config.top_k, config.instant).time_steps(*both))[0]),
        "onset": onsets if len(onsets) else everything,
    }
    return dataclasses.replace(
        window,
        correspondence=np.asarray(correspondence(*both, config.instant))[0, :own],
        chosen={layer: steps[steps < own] for layer, steps in chosen.items()},
        localization=sound_localization(found["maps"], found["audio"])[:own],
    )


def as_json(prediction: Prediction, predictor: Predictor) -> dict:
    """The whole result as JSON values; times in seconds."""
    info = predictor.info
    return {
        **head_json(prediction.media, prediction.notes, info, predictor.weights),
        "windows": [_window_json(window, predictor) for window in prediction.windows],
        "class_names": list(info.class_names),
    }


def _window_json(window: Window, predictor: Predictor) -> dict:
    from scipy.special import softmax

    names, heads = predictor.info.class_names, predictor.config.heads
    probabilities = softmax(window.scores.astype(np.float64), axis=-1)
    given = [names[index] for index in window.scores.argmax(-1)]
    step = SECONDS / predictor.config.num_moments

    def times(steps: np.ndarray) -> list[float]:
        return [round(window.start + float(index) * step, 3) for index in steps]

    return {
        "start": window.start,
        "end": window.start + window.seconds,
        "label": names[int(vote(window.scores[np.newaxis])[0])],
        # By number of heads, in the order of the heads if equal.
        "labels": sorted(dict.fromkeys(given), key=lambda label: -given.count(label)),
        "heads": [
            {
                "head": head,
                "label": label,
                "probability": round(float(values.max()), 4),
                "probabilities": [round(float(value), 6) for value in values],
            }
            for head, label, values in zip(heads, given, probabilities, strict=True)
        ],
        "instants": times(window.chosen["instant"]) if "instant" in heads else [],
        "onsets": times(window.onsets),
    }


def as_text(document: Mapping) -> str:
    """The result of `as_json`, `document`, as text, without the probabilities of the other classes."""
    lines = head_lines(document)
    for window in document["windows"]:
        lines += ["", f"{window['start']}-{window['end']} s: {window['label']}"]
        if len(window["labels"]) > 1:
            lines.append(f"  all labels: {'; '.join(window['labels'])}")
        for head in window["heads"]:
            lines.append(f"  {head['head']:<10}  {head['probability']:.4f}  {head['label']}")
        if window["instants"]:
            lines.append(f"  instants: {', '.join(f'{second:.1f}' for second in window['instants'])} s")
        lines.append(f"  onsets: {len(window['onsets'])}")
    return "\n".join(lines) + "\n"


def _write_pictures(prediction: Prediction, predictor: Predictor, stem: Path, truth: Sequence[str]) -> None:
    from avpipeline.plots.overlays import write_overlay
    from eventlayers import pictures

    about, info = prediction.media, predictor.info
    title = picture_title(info, about)
    for number, window in enumerate(prediction.windows, start=1):
        numbered = f"_{number}" if number > 1 else ""

        def named(kind: str, numbered=numbered) -> Path:
            return stem.with_name(f"{stem.name}_{kind}{numbered}.png")

        pictures.multi_labels(named("labels"), [example_of(window, about, predictor, truth)], title=title)
        if "instant" in predictor.config.heads:
            steps = pictures.PooledTimeSteps(
                frames=film(about, window.start, window.seconds),
                waveform=_sound(about, window),
                correspondence=window.correspondence,
                chosen=window.chosen,
                onsets=window.onsets,
                start=window.start,
                seconds=window.seconds,
            )
            pictures.sampled_time_steps(named("moments"), steps, title=title)
        if window.localization is not None and about.has_video:
            _write_localization(named("localization"), window, about, predictor, title)
    if about.has_video and prediction.windows[0].localization is not None:
        maps = np.concatenate([window.localization for window in prediction.windows])
        labels = [label for window in prediction.windows for label in [_label(window, info)] * len(window.localization)]
        rate = predictor.config.num_moments / SECONDS
        write_overlay(
            stem.with_name(f"{stem.name}_localization.mp4"),
            about,
            maps,
            labels,
            maps_a_second=rate,
            warning=synthetic_warning(info, about),
        )


def _write_localization(path: Path, window: Window, about: media.MediaInfo, predictor: Predictor, title: str) -> None:
    """Figure 5: the mean of each second's maps, laid over its frame."""
    seconds = int(window.seconds)
    maps = window.localization.reshape(seconds, -1, *window.localization.shape[1:]).mean(1)
    frames = media.read_frames(about.path, frame_rate=1, size=None, start=window.start, seconds=seconds)
    plots.attention_frames(
        path,
        frames,
        maps,
        [_label(window, predictor.info)] * seconds,
        class_names=predictor.info.class_names,
        start=int(window.start),
        scale_label="localization response V . z",
        title=title,
    )


def _label(window: Window, info: ModelInfo) -> str:
    return info.class_names[int(vote(window.scores[np.newaxis])[0])]


def example_of(window: Window, about: media.MediaInfo, predictor: Predictor, truth=()) -> pictures.Example:
    """A window as Figures 4 and 6 show it."""
    from eventlayers import pictures

    given = [predictor.info.class_names[index] for index in window.scores.argmax(-1)]
    return pictures.Example(
        name=about.path.stem,
        frames=film(about, window.start, window.seconds)[::2],
        waveform=_sound(about, window),
        predicted=dict(zip(predictor.config.heads, given, strict=True)),
        truth=tuple(truth),
    )


def film(about: media.MediaInfo, start: float, seconds: float) -> np.ndarray:
    """One small frame per second; black if the file has no video stream."""
    if not about.has_video:
        return np.zeros((int(seconds), _FILM_HEIGHT, _FILM_HEIGHT * 4 // 3, 3), np.uint8)
    size = about.size_at(_FILM_HEIGHT)
    return media.read_frames(about.path, frame_rate=1, size=size, start=start, seconds=int(seconds))


def _sound(about: media.MediaInfo, window: Window) -> np.ndarray:
    waveform = media.read_waveform(about.path, start=window.start, seconds=window.seconds)
    return np.zeros(int(window.seconds * media.SAMPLE_RATE), np.float32) if waveform is None else waveform


def draw_example(trained: Trained) -> None:
    """Draws the trained model's predictions for the first test video, right or wrong, with its true labels."""
    settings = trained.settings
    test = videos_of(settings.source, "test")
    predictor = Predictor.of(trained.weights, settings.from_backbones)
    truth = [name for name, label in zip(test.class_names, test.labels[0], strict=True) if label]
    print(f"Example: {test.ids[0]}, the first test video, which is {' and '.join(truth)}:")
    write_file(test.paths[0], predictor, settings.folder / "example", ProgressBar.write, truth=truth)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m eventlayers.predict"))
