"""RESULTS.md and results/README.md: the papers' results beside ours, written from result files alone.

Every number comes from the folder that `avpipeline.results.stored` describes, dates and commits included, so the same
folder gives the same bytes.
"""

import dataclasses
from pathlib import Path

from avpipeline.cli import run
from avpipeline.results.page import write_pages
from avpipeline.results.stored import add


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where results are read from and written to."""

    add: tuple[Path, ...] = ()
    """Folders of tables commands to copy into the results first; list all of them after one --add."""
    results: Path = Path("results")
    """Folder of result files; its README.md and order.png are written too."""
    out: Path = Path("RESULTS.md")
    """The file to write."""


def main(settings: Settings) -> None:
    """Writes RESULTS.md, every result of the papers beside ours, and the record behind it, from the result files.

    Examples:
      python -m avpipeline.published
    """
    for folder in settings.add:
        print(f"{folder} is now in {add(folder, settings.results)}")
    count = write_pages(settings.results, settings.out)
    print(f"{settings.out} holds {count} of our results beside the papers'")


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avpipeline.published"))
