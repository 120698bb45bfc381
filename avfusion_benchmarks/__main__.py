"""`python -m avfusion_benchmarks`: speed and memory of everything on this machine, as Markdown tables and JSON."""

import dataclasses
import fnmatch
import os
import platform
import statistics
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from avfusion_benchmarks.page import page, tables
from avfusion_benchmarks.rows import ROWS, Row, in_own_process
from avpipeline.cli import Count, Positive, run
from avpipeline.errors import InputError
from avpipeline.files import read_record, write_json, write_text

QUICK_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the benchmark."""

    rows: tuple[str, ...] = ()
    """Names of the rows to measure, where * matches any text, e.g. "train/ave/*" "*/av_att". [default: all]"""
    seconds: Positive = 5.0
    """Duration of each measurement."""
    quick: bool = False
    """One second each, for a first impression."""
    list: bool = False
    """Print the names of the rows and exit."""
    repeats: Count = 1
    """How often each row is measured, each time in a new process; the median is shown, with the range."""
    page: Path | None = None
    """Markdown page to write, such as docs/performance.md, with these rows and those that --out already held."""
    out: Path | None = None
    """JSON file for the results. [default: beside the page and named as it, else
    runs/avfusion_benchmarks/avfusion_benchmarks.json]"""

    @property
    def record(self) -> Path:
        beside = self.page and self.page.with_suffix(".json")
        return self.out or beside or Path("runs") / "avfusion_benchmarks" / "avfusion_benchmarks.json"


def main(settings: Settings) -> None:
    """Measures speed and peak memory of networks, extraction and input pipelines, each in its own process."""
    rows = _chosen(settings.rows)
    if settings.list:
        print("\n".join(row.name for row in rows))
        return
    facts = machine()
    print(f"{facts['processor']}, {facts['cores']} cores, load {facts['load']:.1f}; TensorFlow {facts['tensorflow']}")
    results, ranges, loads = _earlier(settings.record) if settings.page else ({}, {}, {})
    for number, row in enumerate(rows, 1):
        print(f"[{number}/{len(rows)}] {row.name}", flush=True)
        loads[row.name] = os.getloadavg()[0]
        seconds = QUICK_SECONDS if settings.quick else settings.seconds
        measured = [in_own_process(row, seconds) for _ in range(settings.repeats)]
        columns = {column: [each[column] for each in measured] for column in measured[0]}
        results[row.name] = {column: statistics.median(values) for column, values in columns.items()}
        ranges[row.name] = {column: [min(values), max(values)] for column, values in columns.items()}
        # After every row, so that results are kept if a later row fails.
        write_json(settings.record, {"machine": facts, "rows": results, "ranges": ranges, "loads": loads})
    print(f"\n{tables(rows, results, ranges)}\n\nResults are in {settings.record}")
    if settings.page:
        words = f"--repeats {settings.repeats} --seconds {settings.seconds:g} --page {settings.page}"
        text = page(facts, f"python -m avfusion_benchmarks {words}", ROWS, results, ranges, loads)
        write_text(settings.page, text)
        print(f"The page is {settings.page}")


def _earlier(path: Path) -> tuple[dict, dict, dict]:
    """Rows, ranges and loads that an earlier call left in its file; none where there is no file."""
    if not path.exists():
        return {}, {}, {}
    found = read_record(path, "remove it")
    return found.get("rows", {}), found.get("ranges", {}), found.get("loads", {})


def _chosen(patterns: Sequence[str]) -> list[Row]:
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(row.name, pattern) for row in ROWS):
            raise InputError(f"--rows {pattern}: there is no such row; --list shows the names of all.")
    return [row for row in ROWS if not patterns or any(fnmatch.fnmatchcase(row.name, each) for each in patterns)]


def machine() -> dict[str, str | int | float]:
    """What the results were measured on; the load says how much else was running."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "tensorflow": metadata.version("tensorflow"),
        "keras": metadata.version("keras"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avfusion_benchmarks"))
