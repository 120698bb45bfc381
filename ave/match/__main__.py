"""`python -m ave.match`: trains a model for cross-modality localization; prints its results beside the paper's."""

from ave.match.train import PAPER, main
from avpipeline.cli import run

if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.match", defaults=PAPER.defaults))
