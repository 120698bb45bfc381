"""`python -m eventlayers.publish RUN --to hf://user/name`: a trained model with its card, for others."""

from avpipeline.cli import run
from avpipeline.results.publish import publish
from eventlayers.train import PAPER

main = PAPER.command(publish)

if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m eventlayers.publish"))
