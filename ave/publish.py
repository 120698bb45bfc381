"""`python -m ave.publish RUN --to hf://user/name`: a trained model with its card, for others."""

from ave.train import PAPER
from avpipeline.cli import run
from avpipeline.results.publish import publish

main = PAPER.command(publish)

if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.publish"))
