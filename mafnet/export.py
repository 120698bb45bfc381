"""`python -m mafnet.export RUN_OR_WEIGHTS`: a trained network as SavedModel, TFLite or ONNX, each checked."""

from avpipeline.cli import run
from avpipeline.results.export import export
from mafnet.train import PAPER

main = PAPER.command(export)

if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m mafnet.export"))
