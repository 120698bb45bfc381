"""`python -m ave.predict`: labels every second of media files and shows what the model attended to."""

import dataclasses
from pathlib import Path

from ave.match.weights import require_labeller
from avpipeline.cli import run
from avpipeline.predict.labelling import LabelSettings, label, segment_example
from avpipeline.predict.segments import Scale
from avpipeline.training.paper import Trained
from avpipeline.training.saved import load_model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(LabelSettings):
    """Settings of a prediction command."""

    out: Path = Path("runs") / "ave" / "predict"
    scale: Scale = "second"
    """What the colours of attention are scaled by: the range of each second's map, as in the authors' pictures, or that
    of the whole file, so that seconds can be compared."""


def main(settings: Settings) -> int:
    """Labels every second of media files: text, JSON, a timeline, and the video with the attention overlaid; attention
    over sound (Figure 1 of the supplement) is laid over the log-mel patch of each second.

    Examples:
      python -m ave.predict video.mp4 --weights W.keras
      python -m ave.predict VIDEOS --weights W.keras --figure --out OUT
    """
    from ave.models import forward_of, has_attention

    model, info = load_model(settings.weights, paper="ave")
    require_labeller(settings.weights, info, "python -m ave.match.predict")
    return label(settings, forward_of(model), model, info, attends=has_attention(model))


def draw_example(trained: Trained) -> None:
    """Draws a trained model's predictions for a test video; see `segment_example`."""
    from ave.models import forward_of, probabilities

    segment_example(trained, forward_of, probabilities, scale="second")


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.predict"))
