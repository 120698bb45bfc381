"""`python -m mafnet.predict`: classifies whole videos and shows the attention to clips and modalities (Figure 3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tyro

from avpipeline import media
from avpipeline.cli import run
from avpipeline.cli.progress import link
from avpipeline.datasets.rendered import rendered_clips
from avpipeline.predict.documents import Tell, head_json, head_lines, picture_title, result_files
from avpipeline.predict.files import collected_warnings, for_each_file
from avpipeline.predict.segments import Forward, Predictor, features_by_window, stream_notes, unlike_notes
from avpipeline.training.familiarity import region_means
from avpipeline.training.paper import Trained
from avpipeline.training.saved import ModelInfo, load_model

if TYPE_CHECKING:
    import keras

_SHOWN_CLASSES = 5
_FRAME_HEIGHT = 240


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a prediction command."""

    files: tyro.conf.Positional[tuple[Path, ...]]
    """Media files, folders of them, or lists (.txt, one path per line)."""
    weights: Path
    """The model: a .keras file written by python -m mafnet.train or python -m mafnet.convert."""
    out: Path = Path("runs") / "mafnet" / "predict"
    """Folder for the texts, JSON files and pictures."""
    weights_dir: Path | None = None
    """Folder with the feature extractors' weights, searched first."""


@dataclasses.dataclass(frozen=True)
class Prediction:
    """A model's output for one media file.

    Attributes:
      media: properties of the file.
      probabilities: `(classes,)`.
      scores: attention weights `(seconds, modalities)`, normalised within each window; None without attention.
      notes: what a reader of the result must know.
    """

    media: media.MediaInfo
    probabilities: np.ndarray
    scores: np.ndarray | None
    notes: tuple[str, ...]


def main(settings: Settings) -> int:
    """Classifies whole videos: text, JSON, and a picture of the attention to clips and modalities with the frames.

    Examples:
      python -m mafnet.predict video.mp4 --weights W.keras
    """
    from mafnet.models import has_attention

    model, info = load_model(settings.weights, paper="mafnet")
    predictor = _predictor(model, info, settings.weights, settings.weights_dir)

    def one(path: Path, tell: Tell) -> None:
        write_prediction(predict_file(path, predictor), predictor, settings.out, tell)

    status = for_each_file(settings.files, one)
    if not has_attention(model):
        print(f"{info.model} has no attention, so there are no pictures.")
    print(f"Texts, JSON files and pictures are in {link(settings.out)}")
    return status


def draw_example(trained: Trained) -> None:
    """Draws what a trained model attends to in the first test video (Figure 3), with its true class in the title.

    The first one, whether the model is right there or not. A synthetic clip is predicted from its file. The other
    datasets have features but no frames, so there only the attention is drawn.
    """
    from mafnet.pictures import modality_scores

    test, weights, out = trained.experiment.splits.test, trained.weights, trained.settings.folder / "example"
    truth = test.class_names[test.labels[0].argmax()]
    model, info = load_model(weights, paper="mafnet")
    is_rendered = test.dataset == "rendered"
    if is_rendered:
        predictor = _predictor(model, info, weights)
        prediction = predict_file(rendered_clips().paths("test")[0], predictor)
        probabilities = prediction.probabilities
    else:
        inputs = {name: test.inputs[name].read(np.array([0])) for name in info.features}
        probabilities, attention = forward_of(model)(inputs)
    name, predicted = test.ids[0], test.class_names[probabilities.argmax()]
    print(f"Example: {name}, the first test video; it is '{truth}', and '{predicted}' is predicted.", flush=True)
    if is_rendered:
        write_prediction(prediction, predictor, out, truth=truth)
    elif attention:
        title = f"{name}: {predicted}, truth: {truth} - {info.title}"
        modality_scores(out / f"{name}_scores.png", attention["attention"], tuple(inputs), title=title)


def _predictor(model: keras.Model, info: ModelInfo, weights: Path, weights_dir: Path | None = None) -> Predictor:
    """The model with its extractors, in the order of the attention weights."""
    window = next(iter(model.input.values())).shape[1]
    return Predictor.of(forward_of(model), info, weights, window=window, weights_dir=weights_dir)


def forward_of(model: keras.Model) -> Forward:
    """Function that runs the model on one window of features, `(1, clips, ...)` by modality.

    Its results are the probabilities `(classes,)` and, for models with the paper's attention, "attention", the weights
    `(clips, modalities)`.
    """
    from avpipeline.nn.forward import forward_graph
    from mafnet.models import has_attention, with_attention

    attends = has_attention(model)
    shown = forward_graph(with_attention(model) if attends else model)

    def forward(features):
        output = shown(features)
        return (output["video"][0], {"attention": output["attention"][0]}) if attends else (output[0], {})

    return forward


def predict_file(path, predictor: Predictor) -> Prediction:
    """Classifies the video in a media file of n seconds (rounded, at least 1).

    The features of a file shorter than the model's window are zero padded, as in the paper. A longer file is cut into
    windows, the last one padded, whose probabilities are averaged with their seconds as weights.

    Raises:
      InputError: not a media file, or it lacks the only stream that the model uses.
    """
    with collected_warnings(path) as damage:
        about = media.probe(path)
        notes = stream_notes(about, predictor.extractors, predictor.info.model)
        seconds = about.whole_seconds
        starts = range(0, seconds, predictor.window)
        lengths = [min(predictor.window, seconds - start) for start in starts]
        windows, means = [], []
        for features in features_by_window(path, predictor.extractors, [*zip(starts, lengths, strict=True)]):
            missing = predictor.window - len(next(iter(features.values())))
            padded = {name: np.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1)) for name, x in features.items()}
            windows.append(predictor.forward({name: x[np.newaxis] for name, x in padded.items()}))
            means.append(region_means(features))
    notes += unlike_notes(about, predictor, means, seconds)
    probabilities = np.average([probabilities for probabilities, _ in windows], axis=0, weights=lengths)
    scores = None
    if windows[0][1]:
        own = [maps["attention"][:length] for (_, maps), length in zip(windows, lengths, strict=True)]
        scores = np.concatenate(own)
    if seconds > predictor.window:
        notes.append(
            f"longer than the model's {predictor.window} s: predicted in {len(windows)} consecutive windows whose "
            "probabilities are averaged; attention is normalised within a window"
        )
    elif seconds < predictor.window:
        note = f"shorter than the model's {predictor.window} s: its features are zero padded"
        if scores is not None:
            weights = windows[0][1]["attention"]
            padding = weights[seconds:].sum() / weights.sum()
            note += f", and {100 * padding:.0f} % of the attention is on the padding"
        notes.append(note)
    return Prediction(about, probabilities, scores, (*notes, *damage))


def write_prediction(
    prediction: Prediction, predictor: Predictor, out, tell: Tell | None = None, *, truth: str | None = None
) -> str:
    """Writes STEM.json and STEM.txt with the same content, and STEM_scores.png for each window; returns the text.

    Args:
      truth: the video's true class where it is known, for the title of the pictures.
    """
    out, source = Path(out), prediction.media.path
    document = as_json(prediction, predictor)
    text = as_text(document)
    with result_files(out / source.stem, document, text, tell, source=source):
        if prediction.scores is not None:
            said = f": {document['label']} ({document['probability']:.2f})" + (f", truth: {truth}" if truth else "")
            _write_pictures(prediction, predictor, said, out / f"{source.stem}_scores.png")
    return text


def as_json(prediction: Prediction, predictor: Predictor) -> dict:
    """The whole result as JSON values; times in seconds."""
    info = predictor.info
    best = int(prediction.probabilities.argmax())
    document = {
        **head_json(prediction.media, prediction.notes, info, predictor.weights),
        "label": info.class_names[best],
        "probability": round(float(prediction.probabilities[best]), 4),
        "probabilities": [round(float(value), 6) for value in prediction.probabilities],
        "class_names": list(info.class_names),
    }
    if prediction.scores is not None:
        document["scores"] = [
            {
                "start": second,
                "end": second + 1,
                **{name: round(float(value), 6) for name, value in zip(predictor.extractors, row, strict=True)},
            }
            for second, row in enumerate(prediction.scores)
        ]
    return document


def as_text(document: Mapping) -> str:
    """The same result as text, with the most probable classes only."""
    lines = [*head_lines(document), "", "probability  class"]
    order = np.argsort(document["probabilities"], kind="stable")[::-1][:_SHOWN_CLASSES]
    lines += [f"{document['probabilities'][index]:<11.4f}  {document['class_names'][index]}" for index in order]
    if "scores" in document:
        names = [name for name in document["scores"][0] if name not in ("start", "end")]
        lines += ["", "  ".join(["seconds", *(f"{name:<7}" for name in names)]).rstrip()]
        for clip in document["scores"]:
            span = f"{clip['start']}-{clip['end']}"
            lines.append("  ".join([f"{span:<7}", *(f"{clip[name]:<7.4f}" for name in names)]).rstrip())
    return "\n".join(lines) + "\n"


def _write_pictures(prediction: Prediction, predictor: Predictor, said: str, path: Path) -> None:
    """Figure 3 for one file, one picture for each window, numbered from the second on."""
    from mafnet.pictures import modality_scores

    about = prediction.media
    title = picture_title(predictor.info, about, said)
    for number, start in enumerate(range(0, len(prediction.scores), predictor.window), start=1):
        scores = prediction.scores[start : start + predictor.window]
        span = {"start": start, "seconds": len(scores)}
        size = about.size_at(_FRAME_HEIGHT) if about.has_video else None
        modality_scores(
            path if number == 1 else path.with_stem(f"{path.stem}_{number}"),
            scores,
            tuple(predictor.extractors),
            frames=media.read_frames(about.path, frame_rate=1, size=size, **span),
            waveform=media.read_waveform(about.path, **span),
            sample_rate=media.SAMPLE_RATE,
            start=start,
            title=title,
        )


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m mafnet.predict"))
