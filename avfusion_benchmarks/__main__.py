"""`python -m avfusion_benchmarks`: speed and memory of everything on this machine, as Markdown tables and JSON."""

import concurrent.futures
import dataclasses
import fnmatch
import json
import multiprocessing
import os
import platform
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from importlib import metadata
from pathlib import Path

from avfusion_benchmarks.rows import ROWS, Row, measure
from avpipeline.cli import Positive, run
from avpipeline.errors import InputError
from avpipeline.files import atomic_path

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
    out: Path = Path("runs") / "avfusion_benchmarks" / "avfusion_benchmarks.json"
    """JSON file for the results."""


def main(settings: Settings) -> None:
    """Measures speed and peak memory of networks, extraction and input pipelines, each in its own process."""
    rows = _chosen(settings.rows)
    if settings.list:
        print("\n".join(row.name for row in rows))
        return
    facts = machine()
    print(f"{facts['processor']}, {facts['cores']} cores, load {facts['load']:.1f}; TensorFlow {facts['tensorflow']}")
    results = {}
    for number, row in enumerate(rows, 1):
        print(f"[{number}/{len(rows)}] {row.name}", flush=True)
        results[row.name] = in_own_process(row, QUICK_SECONDS if settings.quick else settings.seconds)
        # After every row, so that results are kept if a later row fails.
        with atomic_path(settings.out) as temporary:
            temporary.write_text(json.dumps({"machine": facts, "rows": results}, indent=2) + "\n")
    print(f"\n{tables(rows, results)}\n\nResults are in {settings.out}")


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


def in_own_process(row: Row, seconds: float) -> dict[str, float]:
    """Measures a row in a fresh process.

    Raises:
      InputError: the process was killed, as the system does when memory runs out.
    """
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(measure, row, seconds).result()
        except BrokenProcessPool as error:
            raise InputError(
                f"{row.name}: its process was killed, probably for lack of memory; choose other --rows."
            ) from error


def tables(rows: Sequence[Row], results: dict[str, dict[str, float]]) -> str:
    """The results as Markdown, one table per heading; rows of a table may have different columns."""
    texts = []
    for table in dict.fromkeys(row.table for row in rows):
        names = [row.name for row in rows if row.table == table]
        columns = list(dict.fromkeys(column for name in names for column in results[name]))
        lines = [f"## {table}", "", _line(["", *columns]), _line(["---", *("---:" for _ in columns)])]
        lines += [_line([name, *(_number(results[name].get(column)) for column in columns)]) for name in names]
        texts.append("\n".join(lines))
    return "\n\n".join(texts)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    """Three significant digits, or all digits before the point."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avfusion_benchmarks"))
