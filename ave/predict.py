"""`python -m ave.predict`: labels every second of media files and shows where the model looked."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import tyro

from ave.match.weights import require_labeller
from ave.models import has_attention, is_weak, with_attention
from avpipeline.cli import run
from avpipeline.predict.segments import Forward, Predictor, predict_files
from avpipeline.training.saved import ModelInfo, load_model


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a prediction command."""

    files: tyro.conf.Positional[tuple[Path, ...]]
    """Media files, folders of them, or lists (.txt, one path a line)."""
    weights: Path
    """The model: a .keras file written by python -m ave.train or python -m ave.convert."""
    out: Path = Path("runs") / "ave" / "predict"
    """Folder for the texts, JSON files, pictures and videos."""
    figure: bool = False
    """Also write attention_figure.png: a row of frames with attention for each file (the paper's Figure 5)."""
    weights_dir: Path | None = None
    """Folder with the feature extractors' weights, looked into first."""


def main(settings: Settings) -> int:
    """Labels every second of media files: text, JSON, a timeline, and the attention over the frames with sound."""
    model, info = load_model(settings.weights, paper="ave")
    require_labeller(settings.weights, info, "python -m ave.match.predict")
    return label(settings, model, info)


def label(settings: Settings, model: keras.Model, info: ModelInfo) -> int:
    """Labels the files that `settings` name with a model that labels segments; returns the exit status."""
    window = next(iter(model.input.values())).shape[1]
    predictor = Predictor.of(forward_of(model), info, settings.weights, window=window, weights_dir=settings.weights_dir)
    status = predict_files(settings.files, predictor, settings.out, figure=settings.figure)
    if not has_attention(model):
        print(f"{info.model} has no attention, so there are no attention pictures.")
    print(f"Texts, JSON files, pictures and videos are in {settings.out}")
    return status


def forward_of(model: keras.Model) -> Forward:
    """The model on one window: probabilities `(seconds, classes)` and attention maps or None."""
    attends = has_attention(model)
    shown = with_attention(model) if attends else model

    def forward(features):
        output = shown(features, training=False)
        segments = output["segments"] if isinstance(output, dict) else output
        maps = output["attention"].numpy()[0] if attends else None
        return probabilities(model, segments.numpy())[0], maps

    return forward


def probabilities(model: keras.Model, segments: np.ndarray) -> np.ndarray:
    """A model's output for segments as probabilities: a weak model gives scores, of which it is the softmax."""
    return keras.ops.convert_to_numpy(keras.ops.softmax(segments)) if is_weak(model) else segments


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.predict"))
