"""RESULTS.md and results/README.md: the papers' results beside ours, written from result files alone.

A folder of results holds

    results/PAPER/DATASET-PRESET/...     rows measured by a paper's tables command, see `avpipeline.results.stored`
    results/real_clips/result.json       results on real recordings, in their own section
    results/parity.json                  largest differences from the authors' implementations, from the golden tests

Every number comes from there, dates and commits included, so the same folder gives the same bytes.
"""

import dataclasses
from pathlib import Path

from avpipeline.cli import run
from avpipeline.errors import InputError
from avpipeline.files import atomic_path, read_record, reading
from avpipeline.results import order, page, real_clips, record
from avpipeline.results.stored import add, read_results


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where results are read from and written to."""

    add: tuple[Path, ...] = ()
    """Folders of tables commands to copy into the results first; list all of them after one --add."""
    results: Path = Path("results")
    """Folder of result files; its README.md and order.png are written too."""
    out: Path = Path("RESULTS.md")
    """The file to write."""


def _read_parity(path: Path) -> dict:
    """The largest differences from the authors' code; InputError where the tests did not write them like this."""
    parity = read_record(path, "run the parity tests again")
    with reading(path, "is not what the parity tests write", "run them again"):
        record.parity_section(parity)
    return parity


def texts(folder: Path) -> tuple[str, str]:
    """RESULTS.md and results/README.md, as they follow from a folder of results."""
    parity = folder / "parity.json"
    known = _read_parity(parity) if parity.exists() else None
    results = read_results(folder)
    real = real_clips.section(folder / "real_clips")
    front = page.as_markdown(results, order.orders(results), filter(None, [real]))
    return front, record.as_markdown(results, known)


def main(settings: Settings) -> None:
    """Writes RESULTS.md, every result of the papers beside ours, and the record behind it, from the result files."""
    for folder in settings.add:
        print(f"{folder} is now in {add(folder, settings.results)}")
    if not settings.results.is_dir():
        raise InputError(f"{settings.results}: is not a folder of results; name one with --results or add runs.")
    for path, text in zip((settings.out, settings.results / "README.md"), texts(settings.results), strict=True):
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    results = read_results(settings.results)
    if shown := order.orders(results):
        order.draw(settings.results / Path(page.PICTURE).name, shown)
    print(f"{settings.out} holds {len(results)} of our results beside the papers'")


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avpipeline.published"))
