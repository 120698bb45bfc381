"""`python -m attendfusion.export RUN_OR_WEIGHTS`: a trained network as SavedModel, TFLite or ONNX, each checked."""

from attendfusion.train import PAPER
from avpipeline.cli import run
from avpipeline.results.export import export

main = PAPER.command(export)

if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m attendfusion.export"))
