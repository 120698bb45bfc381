"""Checks whether a folder holds a dataset: what is there, what is missing, what is wrong.

python -m avpipeline.validate ave DIR
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import tyro

from avpipeline.cli import run
from avpipeline.datasets.checks.ave import check_ave
from avpipeline.datasets.checks.findings import Finding
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
    """The dataset that the files should be of."""
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
    findings = []
    check = {**CHECKS, **registered_checks()}[settings.dataset]
    for finding in check(settings.folder, values=settings.values):
        print(f"  {finding.kind:<8}{finding.about}: {finding.text}", flush=True)
        findings.append(finding)
    print(verdict(findings))
    return 2 if any(finding.kind == "wrong" for finding in findings) else 0


def verdict(findings: Sequence[Finding]) -> str:
    """A one-line summary."""
    about = {
        kind: list(dict.fromkeys(finding.about for finding in findings if finding.kind == kind))
        for kind in ("wrong", "missing", "note")
    }
    if about["wrong"]:
        return f"Not usable as it is; wrong: {', '.join(about['wrong'])}."
    notes = sum(finding.kind == "note" for finding in findings)
    noted = f" ({notes} notes)" if notes else ""
    if about["missing"]:
        return f"Nothing is wrong{noted}; missing: {', '.join(about['missing'])}."
    return f"Complete and usable{noted}."


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avpipeline.validate"))
