"""`python -m eventlayers.export RUN_OR_WEIGHTS`: a trained network as SavedModel, TFLite or ONNX, each checked."""

from avpipeline.cli import run
from avpipeline.results.export import ExportSettings, export
from eventlayers.train import PAPER


def main(settings: ExportSettings) -> None:
    """Exports a network for use without Keras, and checks that each export computes what the network computes.

    Examples:
      python -m eventlayers.export runs/eventlayers/event_layers-paper --out OUT
      python -m eventlayers.export --weights W.keras --format onnx --out OUT
    """
    export(PAPER, settings)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m eventlayers.export"))
