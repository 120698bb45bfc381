"""`python -m mafnet.export RUN_OR_WEIGHTS`: a trained network as SavedModel, TFLite or ONNX, each checked."""

from avpipeline.cli import run
from avpipeline.results.export import ExportSettings, export
from mafnet.train import PAPER


def main(settings: ExportSettings) -> None:
    """Exports a network for use without Keras, and checks that each export computes what the network computes.

    Examples:
      python -m mafnet.export runs/mafnet/mafnet-code --out OUT
      python -m mafnet.export --weights W.keras --format onnx --out OUT
    """
    export(PAPER, settings)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m mafnet.export"))
