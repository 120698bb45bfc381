"""`python -m ave.compare RUN RUN ...`: finished runs side by side, a paired test over seeds, curves."""

from ave.train import PAPER
from avpipeline.cli import run
from avpipeline.results.compare import compare

main = PAPER.command(compare)

if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.compare"))
