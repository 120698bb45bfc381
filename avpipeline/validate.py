"""`python -m avpipeline.validate`: whether a folder holds a dataset: what is there, what is missing, what is wrong."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import tyro

from avpipeline.cli import run
from avpipeline.datasets.checks.ave import check_ave
from avpipeline.datasets.checks.findings import Finding, reported
from avpipeline.datasets.checks.videos import (
    check_csv,
    check_kinetics400,
    check_kinetics_sounds,
    check_llp,
    check_ucf51,
    check_vggsound,
    registered_checks,
)
from avpipeline.datasets.checks.youtube8m import check_youtube8m

# Dataset -> function of (folder, values=) that yields findings.
CHECKS: dict[str, Callable[..., Iterator[Finding]]] = {
    "ave": check_ave,
    "ucf51": check_ucf51,
    "kinetics_sounds": check_kinetics_sounds,
    "kinetics400": check_kinetics400,
    "vggsound": check_vggsound,
    "llp": check_llp,
    "youtube8m": check_youtube8m,
    "csv": check_csv,
}


@dataclasses.dataclass(frozen=True)
class Settings:
    dataset: "tyro.conf.Positional[Literal[(*CHECKS, *registered_checks())]]"
    """The dataset that the folder should hold."""
    folder: tyro.conf.Positional[Path]
    """Folder with the files; not all of them need to be there."""
    values: bool = True
    """Read every feature file in full to find NaN and infinite values; otherwise only shapes are checked."""


def main(settings: Settings) -> int:
    """Checks a dataset's files. Exit status 0 when nothing is wrong (files may be missing), else 2.

    Examples:
      python -m avpipeline.validate ave DIR
    """
    print(f"{settings.dataset}: {settings.folder}")
    check = {**CHECKS, **registered_checks()}[settings.dataset]
    return reported(check(settings.folder, values=settings.values))


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avpipeline.validate"))
