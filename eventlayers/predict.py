"""`python -m eventlayers.predict`: labels the events in media files and shows which time steps the layers pool."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tyro

from avpipeline import media, plots
from avpipeline.cli import run
from avpipeline.cli.progress import ProgressBar, link
from avpipeline.errors import InputError
from avpipeline.media.ahead import ahead
from avpipeline.predict.documents import Tell, head_json, head_lines, picture_title, result_files, synthetic_warning
from avpipeline.predict.files import collected_warnings, for_each_file, in_windows
from avpipeline.predict.segments import missing_stream_notes
from avpipeline.training.familiarity import region_means, unlike_training
from avpipeline.training.paper import Trained
from avpipeline.training.saved import ModelInfo, load_model
from eventlayers.config import SECONDS, ModelConfig, saved_config
from eventlayers.data import backbones_of, videos_of
from eventlayers.voting import vote
from eventlayers.windows import Window

DEFAULT_WEIGHTS = Path("runs") / "eventlayers" / "event_layers-paper" / "seed-0" / "best.keras"
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


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A loaded model with its description.

    Attributes:
      read: file and starts -> the ten seconds that begin at each, decoded (`eventlayers.clips.read_clips`).
      look: runs the model and its backbones on them: z^V, z^A and maps at every time step, as far as the model has the
        streams, the arrays of the onsets, and "scores", O `(heads, classes)`.
      info, config, weights: its description, its configuration and its file.
    """

    read: Callable[[Path, Sequence[float]], Iterator]
    look: Callable[[object], dict[str, np.ndarray]]
    info: ModelInfo
    config: ModelConfig
    weights: Path

    @classmethod
    def of(cls, weights, from_backbones=None, weights_dir=None) -> Predictor:
        """Loads a model, with the backbones that it names; InputError if weights are missing or not the same."""
        import keras

        from avpipeline.nn.forward import forward_graph
        from eventlayers.clips import FRAME_FORMATS, read_clips
        from eventlayers.models import with_time_steps

        weights = Path(weights)
        if weights == DEFAULT_WEIGHTS and not weights.is_file():
            raise InputError(
                f"{weights}: there is no trained model yet; run python -m eventlayers.train in this folder, which "
                "takes a few minutes, or give --weights."
            )
        model, info = load_model(weights, paper="eventlayers")
        config = saved_config(info.config)
        if config.inputs == "clips":
            backbones, frames = None, FRAME_FORMATS[config.backbones]
            network = with_time_steps(model)
        else:
            backbones = backbones_of(info.features, from_backbones, weights_dir)
            frames, network = backbones.frames, keras.Model(model.input, {"scores": model.output})
        forward = forward_graph(network)

        def look(read) -> dict[str, np.ndarray]:
            clip, onsets = read
            clips = {"visual": clip.frames, "audio": clip.waveform}
            found = {**(backbones.of_clip(clip, config.modalities) if backbones else clips), **onsets}
            outputs = forward({name: found[name][np.newaxis] for name in model.input})
            return found | {name: array[0] for name, array in outputs.items()}

        def read(path, starts: Sequence[float]) -> Iterator:
            return ahead(read_clips(path, frames, config.onsets, starts))

        return cls(read, look, info, config, weights)


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
            windows.append(Window.of(found, predictor.config, start, seconds))
            # Each second's mean over its time steps.
            known = {name: found[name] for name in modalities if name in predictor.info.statistics}
            means.append(
                region_means({name: z.reshape(SECONDS, -1, z.shape[-1])[:seconds] for name, z in known.items()})
            )
    there = {"audio": about.has_audio, "visual": about.has_video}
    notes += unlike_training(predictor.info.statistics, means, [name for name in modalities if there[name]])
    if length < SECONDS:
        notes.append(f"shorter than the model's {SECONDS} s: padded with silence and black frames")
    if len(windows) > 1:
        notes.append(f"longer than the model's {SECONDS} s: every {SECONDS} s are predicted separately")
    return Prediction(about, tuple(windows), (*notes, *damage))


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
        "label": _label(window, predictor.info),
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
    labels = [_label(window, info) for window in prediction.windows]
    has_localization = prediction.windows[0].localization is not None and about.has_video
    for number, (window, label) in enumerate(zip(prediction.windows, labels, strict=True), start=1):
        kinds = ("labels", "moments", "localization")
        numbered = f"_{number}" if number > 1 else ""
        paths = {kind: stem.with_name(f"{stem.name}_{kind}{numbered}.png") for kind in kinds}
        clip = film(about, window.start, window.seconds)
        given = [info.class_names[index] for index in window.scores.argmax(-1)]
        predicted = dict(zip(predictor.config.heads, given, strict=True))
        example = pictures.Example(stem.name, clip.frames[::2], clip.waveform, predicted, tuple(truth))
        pictures.multi_labels(paths["labels"], example, title=title)
        if "instant" in predictor.config.heads:
            pictures.sampled_time_steps(paths["moments"], window, clip, title=title)
        if has_localization:
            # Figure 5: the mean of each second's maps, laid over its frame.
            plots.attention_frames(
                paths["localization"],
                media.read_frames(about.path, frame_rate=1, size=None, start=window.start, seconds=window.seconds),
                window.localization.reshape(window.seconds, -1, *window.localization.shape[1:]).mean(1),
                [label] * window.seconds,
                class_names=info.class_names,
                start=window.start,
                scale_label="localization response V . z",
                title=title,
            )
    if has_localization:
        maps = [window.localization for window in prediction.windows]
        write_overlay(
            stem.with_name(f"{stem.name}_localization.mp4"),
            about,
            np.concatenate(maps),
            np.repeat(labels, list(map(len, maps))),
            maps_a_second=predictor.config.num_moments / SECONDS,
            warning=synthetic_warning(info, about),
        )


def _label(window: Window, info: ModelInfo) -> str:
    return info.class_names[int(vote(window.scores[np.newaxis])[0])]


def film(about: media.MediaInfo, start: int, seconds: int) -> media.Clip:
    """The sound of a stretch of a file and one small frame a second; silence or black frames for a missing stream."""
    size = about.size_at(_FILM_HEIGHT) if about.has_video else (_FILM_HEIGHT, _FILM_HEIGHT * 4 // 3)
    return media.read_clip(about.path, start=start, seconds=seconds, frame_rate=1, size=size)


def draw_example(trained: Trained) -> None:
    """Draws the trained model's predictions for the first test video, right or wrong, with its true labels."""
    settings = trained.settings
    test = videos_of(settings.dataset, "test", settings.data, settings.clips)
    predictor = Predictor.of(trained.weights, settings.from_backbones)
    truth = [name for name, label in zip(test.class_names, test.labels[0], strict=True) if label]
    print(f"Example: {test.ids[0]}, the first test video, which is {' and '.join(truth)}:")
    write_file(test.paths[0], predictor, settings.folder / "example", ProgressBar.write, truth=truth)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m eventlayers.predict"))
