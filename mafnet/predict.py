"""`python -m mafnet.predict`: classifies whole videos and shows the attention to clips and modalities (Figure 3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tyro

from avpipeline import media
from avpipeline.cli import run
from avpipeline.cli.progress import link
from avpipeline.datasets.base import Split
from avpipeline.datasets.rendered import rendered_clips
from avpipeline.predict.documents import Tell, head_json, head_lines, picture_title, result_files
from avpipeline.predict.files import collected_warnings, for_each_file
from avpipeline.predict.segments import features_by_window, stream_notes, unlike_notes
from avpipeline.training.familiarity import region_means
from avpipeline.training.paper import Trained
from avpipeline.training.saved import ModelInfo, load_model

if TYPE_CHECKING:
    import keras

    from avpipeline.features.registry import Extractor

_SHOWN_CLASSES = 5
_FRAME_HEIGHT = 240

# Features of one window, `(1, clips, ...)` by modality -> probabilities `(classes,)` and, for models with the
# paper's attention, the attention weights `(clips, modalities)`, else None.
Forward = Callable[[Mapping[str, np.ndarray]], tuple[np.ndarray, np.ndarray | None]]


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
class Predictor:
    """A loaded model with its feature extractors.

    Attributes:
      forward: the model.
      info: its description.
      weights: its file.
      modalities: its inputs, in the order of the attention weights.
      window: one-second clips in its input.
      attends: whether it has the paper's attention.
      extractors: modality -> the extractor of the features it was trained on.
    """

    forward: Forward
    info: ModelInfo
    weights: Path
    modalities: tuple[str, ...]
    window: int
    attends: bool
    extractors: Mapping[str, Extractor]


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
    predictor = load_predictor(settings.weights, weights_dir=settings.weights_dir)

    def one(path: Path, tell: Tell) -> None:
        write_prediction(predict_file(path, predictor), predictor, settings.out, tell)

    status = for_each_file(settings.files, one)
    if not predictor.attends:
        print(f"{predictor.info.model} has no attention, so there are no pictures.")
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
    if test.dataset == "rendered":
        predictor = load_predictor(weights)
        prediction = predict_file(rendered_clips().paths("test")[0], predictor)
        _tell_example(test, truth, prediction.probabilities)
        write_prediction(prediction, predictor, out, truth=truth)
        return
    model, info = load_model(weights, paper="mafnet")
    inputs = {name: test.inputs[name].read(np.array([0])) for name in model.input}
    probabilities, scores = forward_of(model)(inputs)
    _tell_example(test, truth, probabilities)
    if scores is None:
        return
    name = test.ids[0]
    title = f"{name}: {info.class_names[probabilities.argmax()]}, truth: {truth} - {info.title}"
    modality_scores(out / f"{name}_scores.png", scores, tuple(inputs), title=title)


def _tell_example(test: Split, truth: str, probabilities: np.ndarray) -> None:
    """Which test video the example is, by which rule, and its true class beside the predicted one."""
    predicted = test.class_names[probabilities.argmax()]
    said = f"Example: {test.ids[0]}, the first test video; it is '{truth}', and '{predicted}' is predicted."
    print(said, flush=True)


def load_predictor(weights: Path, *, weights_dir: Path | None = None) -> Predictor:
    """A model with its extractors; InputError if its file or their weights are missing or not the same."""
    from avpipeline.features.registry import extractor_for
    from mafnet.models import has_attention

    model, info = load_model(weights, paper="mafnet")
    return Predictor(
        forward=forward_of(model),
        info=info,
        weights=Path(weights),
        modalities=tuple(model.input),
        window=next(iter(model.input.values())).shape[1],
        attends=has_attention(model),
        extractors={name: extractor_for(feature, weights_dir=weights_dir) for name, feature in info.features.items()},
    )


def forward_of(model: keras.Model) -> Forward:
    """Function that runs the model on one window; see `Forward`."""
    from avpipeline.nn.forward import forward_graph
    from mafnet.models import has_attention, with_attention

    attends = has_attention(model)
    shown = forward_graph(with_attention(model) if attends else model)

    def forward(features):
        output = shown(features)
        return (output["video"][0], output["attention"][0]) if attends else (output[0], None)

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
            windows.append(_forward_padded(predictor, features))
            means.append(region_means(features))
    notes += unlike_notes(about, predictor, means, seconds)
    probabilities = np.average([probabilities for probabilities, _ in windows], axis=0, weights=lengths)
    scores = None
    if windows[0][1] is not None:
        scores = np.concatenate([own[:length] for (_, own), length in zip(windows, lengths, strict=True)])
    if seconds > predictor.window:
        notes.append(
            f"longer than the model's {predictor.window} s: predicted in {len(windows)} consecutive windows whose "
            "probabilities are averaged; attention is normalised within a window"
        )
    elif seconds < predictor.window:
        note = f"shorter than the model's {predictor.window} s: its features are zero padded"
        if scores is not None:
            padding = windows[0][1][seconds:].sum() / windows[0][1].sum()
            note += f", and {100 * padding:.0f} % of the attention is on the padding"
        notes.append(note)
    return Prediction(about, probabilities, scores, (*notes, *damage))


def _forward_padded(predictor: Predictor, features: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
    missing = predictor.window - len(next(iter(features.values())))
    padded = {name: np.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1)) for name, x in features.items()}
    return predictor.forward({name: feature[np.newaxis] for name, feature in padded.items()})


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
                **{name: round(float(value), 6) for name, value in zip(predictor.modalities, row, strict=True)},
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

    about, info = prediction.media, predictor.info
    title = picture_title(info, about, said)
    for number, start in enumerate(range(0, len(prediction.scores), predictor.window), start=1):
        scores = prediction.scores[start : start + predictor.window]
        modality_scores(
            path if number == 1 else path.with_stem(f"{path.stem}_{number}"),
            scores,
            predictor.modalities,
            frames=_frames(about, start, len(scores)) if about.has_video else None,
            waveform=media.read_waveform(about.path, start=start, seconds=len(scores)) if about.has_audio else None,
            sample_rate=media.SAMPLE_RATE,
            start=start,
            title=title,
        )


def _frames(about: media.MediaInfo, start: int, seconds: int) -> np.ndarray:
    return media.read_frames(about.path, frame_rate=1, size=about.size_at(_FRAME_HEIGHT), start=start, seconds=seconds)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m mafnet.predict"))
