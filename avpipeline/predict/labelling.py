"""What the predict commands of the segment classifiers share: settings, labelling, the example after training."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tyro

from avpipeline import media, plots
from avpipeline.cli.progress import link
from avpipeline.datasets.rendered import rendered_clips
from avpipeline.files import make_folder, read_predictions
from avpipeline.predict.documents import Tell
from avpipeline.predict.files import for_each_file
from avpipeline.predict.segments import (
    Forward,
    Prediction,
    Predictor,
    Scale,
    labels_of,
    predict_file,
    write_prediction,
)
from avpipeline.training.paper import Trained
from avpipeline.training.saved import ModelInfo, load_model

if TYPE_CHECKING:
    import keras

_FIGURE_COLUMNS, _FIGURE_HEIGHT = 5, 240


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelSettings:
    """Settings of a prediction command."""

    files: tyro.conf.Positional[tuple[Path, ...]]
    """Media files, folders of them, or lists (.txt, one path per line)."""
    weights: Path
    """The model: a .keras file written by the paper's train or convert command."""
    out: Path
    """Folder for the texts, JSON files, pictures and videos."""
    figure: bool = False
    """Also write attention_figure.png: a row of frames with attention for each file (AVE's Figure 5)."""
    scale: Scale = "clip"
    """What the colours of attention are scaled by: the range of each second's map, or that of the whole file, so that
    seconds can be compared."""
    weights_dir: Path | None = None
    """Folder with the feature extractors' weights, searched first."""


def label(settings: LabelSettings, forward: Forward, model: keras.Model, info: ModelInfo, *, attends: bool) -> int:
    """Labels the files that `settings` name with a segment classifier; returns the exit status."""
    predictor = Predictor.of(
        forward, info, settings.weights, window=_window(model), weights_dir=settings.weights_dir, scale=settings.scale
    )
    rows = []

    def one(path: Path, tell: Tell) -> None:
        prediction = predict_file(path, predictor)
        write_prediction(prediction, predictor, settings.out, tell)
        if settings.figure and prediction.attention is not None:
            rows.append(_figure_row(prediction, info))

    status = for_each_file(settings.files, one)
    if rows:
        path = make_folder(settings.out) / "attention_figure.png"
        plots.attention_figure(path, rows, class_names=info.class_names, title=info.title)
    if not attends:
        print(f"{info.model} has no attention, so there are no pictures of attention.")
    print(f"Texts, JSON files, pictures and videos are in {link(settings.out)}")
    return status


def _figure_row(prediction: Prediction, info: ModelInfo) -> plots.AttentionRow:
    """A few small frames of a file, evenly spread, with attention and labels."""
    about = prediction.media
    length = len(prediction.attention)
    seconds = np.unique(np.linspace(0, length - 1, _FIGURE_COLUMNS).round().astype(int))
    frames = media.read_frames(about.path, frame_rate=1, size=about.size_at(_FIGURE_HEIGHT), seconds=length)
    labels = labels_of(prediction, info)
    shown = [labels[second] for second in seconds]
    return plots.AttentionRow(about.path.stem, frames[seconds], prediction.attention[seconds], shown)


def segment_example(trained: Trained, forward_of, probabilities, scale: Scale = "clip") -> None:
    """Draws a trained model's predictions beside the truth, and says how many seconds are right.

    The example is the first test video that has both an event and background, whether the model is right there or not.
    A synthetic clip is predicted from its file: timeline, attention over the frames, video with sound. AVE's files
    hold features but no frames, so there is only the timeline.

    Args:
      forward_of: model -> `predict.segments.Forward`.
      probabilities: model and its stored output -> probabilities.
      scale: of the colours of attention, as in `LabelSettings`.
    """
    test, weights, out = trained.experiment.splits.test, trained.weights, trained.settings.folder / "example"
    background = test.labels.shape[-1] - 1
    classes = test.labels.argmax(-1)
    mixed = [video for video, seconds in enumerate(classes) if background in seconds and len(set(seconds)) > 1]
    video = mixed[0] if mixed else 0
    model, info = load_model(weights)
    prediction = None
    if test.dataset == "rendered":
        predictor = Predictor.of(forward_of(model), info, weights, window=_window(model), scale=scale)
        prediction = predict_file(rendered_clips().paths("test")[video], predictor)
        predicted = prediction.probabilities
    else:
        stored = read_predictions(weights.with_name("predictions.npz"), "predictions")
        predicted = probabilities(model, stored["predictions"][video])
    name, truth = test.ids[video], classes[video]
    print(
        f"Example: {name}, the first test video with both an event and background; "
        f"{(predicted.argmax(1) == truth).sum()} of its {len(truth)} seconds are labelled right.",
        flush=True,
    )
    if prediction:
        write_prediction(prediction, predictor, out, truth=truth)
    else:
        path, title = out / f"{name}_timeline.png", f"{name} - {info.title}"
        plots.timeline(path, predicted, info.class_names, truth=truth, title=title)


def _window(model: keras.Model) -> int:
    """Number of segments in the model's input."""
    return next(iter(model.input.values())).shape[1]
