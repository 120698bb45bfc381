"""`python -m attendfusion.export RUN_OR_WEIGHTS`: a trained network as SavedModel, TFLite or ONNX, each checked."""

from attendfusion.train import PAPER
from avpipeline.cli import run
from avpipeline.results.export import ExportSettings, export


def main(settings: ExportSettings) -> None:
    """Exports a network for use without Keras, and checks that each export computes what the network computes.

    Examples:
      python -m attendfusion.export runs/attendfusion/attend_fusion-paper --out OUT
      python -m attendfusion.export --weights W.keras --format onnx --out OUT
    """
    export(PAPER, settings)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m attendfusion.export"))
