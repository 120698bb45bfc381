"""`python -m jca.predict`: labels every second of media files and shows what the model attended to.

`STEM_timeline.png` is the paper's Figure 3: the waveform, the frames, the frames with the attention overlaid, and the
predicted label of every second.
"""

import dataclasses
from pathlib import Path

from avpipeline.cli import run
from avpipeline.predict.labelling import LabelSettings, label, segment_example
from avpipeline.training.paper import Trained
from avpipeline.training.saved import load_model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(LabelSettings):
    """Settings of a prediction command."""

    out: Path = Path("runs") / "jca" / "predict"


def main(settings: Settings) -> int:
    """Labels every second of media files: text, JSON, a timeline, and the video with the attention overlaid.

    Examples:
      python -m jca.predict video.mp4 --weights W.keras
    """
    from ave.models import forward_of, has_attention

    model, info = load_model(settings.weights, paper="jca")
    return label(settings, forward_of(model), model, info, attends=has_attention(model))


def draw_example(trained: Trained) -> None:
    """Draws a trained model's predictions for a test video; see `segment_example`."""
    from ave.models import forward_of, probabilities

    segment_example(trained, forward_of, probabilities)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m jca.predict"))
