"""`python -m mafnet.compare RUN RUN ...`: finished runs side by side, a paired test over seeds, curves."""

from avpipeline.cli import run
from avpipeline.results.compare import compare
from mafnet.train import PAPER

main = PAPER.command(compare)

if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m mafnet.compare"))
