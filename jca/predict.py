"""`python -m jca.predict`: labels every second of media files and shows where the model looked.

`STEM_timeline.png` is the paper's Figure 3: the waveform, the frames, the frames with the attention laid over, and
the predicted label of every second.
"""

import dataclasses
from pathlib import Path

import tyro

from ave import predict
from avpipeline.cli import run
from avpipeline.training.saved import load_model


@dataclasses.dataclass(frozen=True)
class Settings(predict.Settings):
    """Settings of a prediction command."""

    files: tyro.conf.Positional[tuple[Path, ...]]
    """Media files, folders of them, or lists (.txt, one path a line)."""
    weights: Path
    """The model: a .keras file written by python -m jca.train or python -m jca.convert."""
    out: Path = Path("runs") / "jca" / "predict"
    """Folder for the texts, JSON files, pictures and videos."""
    figure: bool = False
    """Also write attention_figure.png: a row of frames with attention for each file."""


def main(settings: Settings) -> int:
    """Labels every second of media files: text, JSON, waveform with frames, attention and labels, overlay video."""
    model, info = load_model(settings.weights, paper="jca")
    return predict.label(settings, model, info)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m jca.predict"))
