"""How every command of the project starts, fails and ends, and the ranges of its settings."""

from avpipeline.cli.ranges import (
    Checked,
    Count,
    Dropout,
    MaybeCount,
    MaybeShare,
    MaybeUnits,
    Natural,
    Penalty,
    Positive,
    Rate,
    Seed,
    Share,
    Units,
    check_ranges,
)
from avpipeline.cli.running import chosen, run, sentence_of

__all__ = [
    "Checked",
    "Count",
    "Dropout",
    "MaybeCount",
    "MaybeShare",
    "MaybeUnits",
    "Natural",
    "Penalty",
    "Positive",
    "Rate",
    "Seed",
    "Share",
    "Units",
    "check_ranges",
    "chosen",
    "run",
    "sentence_of",
]
