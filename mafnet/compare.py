"""`python -m mafnet.compare RUN RUN ...`: finished runs side by side, a paired test over seeds, curves."""

from avpipeline.cli import run
from avpipeline.results.compare import CompareSettings, compare


def main(settings: CompareSettings) -> None:
    """Compares runs of this paper on the same data: mean and deviation over seeds, a paired t-test, settings, curves.

    Examples:
      python -m mafnet.compare runs/mafnet/mafnet-code runs/mafnet/mine
    """
    compare("mafnet", settings)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m mafnet.compare"))
