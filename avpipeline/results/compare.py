"""Runs side by side: means over seeds, a paired test over common seeds, settings that differ, curves."""

from __future__ import annotations

import dataclasses
import statistics
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tyro

from avpipeline.cli.progress import link
from avpipeline.errors import InputError
from avpipeline.files import make_folder, read_predictions, write_json, write_text
from avpipeline.results import papers
from avpipeline.results.finished import Run, flat, names_of, read_run
from avpipeline.training.paper import Paper

# Two-sided tests and intervals are at this level.
_LEVEL = 0.05


@dataclasses.dataclass(frozen=True)
class CompareSettings:
    """Settings of a compare command."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of finished runs, two at least; the others are tested against the first."""
    out: Path | None = None
    """Folder for comparison.md, comparison.json and comparison.png. [default: runs/PAPER/compare]"""


class Paired(NamedTuple):
    """A paired t-test of two runs over their common seeds.

    Attributes:
      seeds: the common seeds.
      difference: mean of the second run's scores minus the first's.
      low, high: its 95 % confidence interval; None where it is undefined.
      p: two-sided; None where it is undefined.
    """

    seeds: tuple[int, ...]
    difference: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None


def compare(paper: Paper, settings: CompareSettings) -> None:
    """Compares runs of this paper on the same data: mean and deviation over seeds, a paired t-test, settings, curves.

    Examples:
      python -m PAPER.compare RUN runs/PAPER/mine
    """
    runs = read_runs(paper.name, settings.runs)
    names = names_of(settings.runs)
    tests = {name: paired(runs[0], run) for name, run in zip(names[1:], runs[1:], strict=True)}
    different = differences(runs)
    text = as_markdown(names, runs, tests, different)
    print(text)
    out = make_folder(settings.out or Path("runs") / paper.name / "compare")
    write_text(out / "comparison.md", text)
    rows = {}
    for name, run in zip(names, runs, strict=True):
        scores = run.scores.values()
        spread = {"mean": statistics.fmean(scores), "std": statistics.stdev(scores) if len(scores) > 1 else None}
        rows[name] = {"folder": str(run.folder), "scores": run.scores, **spread}
    found = {name: test._asdict() for name, test in tests.items()}
    write_json(out / "comparison.json", {"runs": rows, "paired_t_test": found, "different_settings": different})
    _draw(out / "comparison.png", names, runs)
    print(f"The comparison and its curves are in {link(out)}")


def read_runs(paper: str, folders: Sequence[Path]) -> list[Run]:
    """The runs in the folders.

    Raises:
      InputError: fewer than two runs, one twice, not a finished run of this paper, or runs on different data.
    """
    if len(folders) < 2:
        raise InputError(f"runs: name two folders of runs at least; {len(folders)} given.")
    runs: list[Run] = []
    for folder in folders:
        if any(folder.resolve() == other.folder.resolve() for other in runs):
            raise InputError(f"{folder}: is named twice; name each run once.")
        runs.append(read_run(folder, paper))
    for run in runs[1:]:
        if difference := _other_data(runs[0], run):
            raise InputError(
                f"{run.folder}: was not measured on the data of {runs[0].folder} ({difference}); compare runs on the "
                "same data."
            )
    return runs


def _other_data(first: Run, other: Run) -> str | None:
    """How the data or the metric of two runs differ, in words; None where they do not."""
    for name in ("dataset", "metric", "clips"):
        mine, theirs = first.result.get(name), other.result.get(name)
        if mine != theirs:
            return f"{name} {theirs}, there {mine}"
    mine, theirs = (
        # The clips that the first seed was tested on, with their labels.
        read_predictions(run.folder / f"seed-{min(run.scores)}" / "predictions.npz", "ids", "labels")
        for run in (first, other)
    )
    if not np.array_equal(mine["ids"], theirs["ids"]):
        return "other test clips"
    return None if np.array_equal(mine["labels"], theirs["labels"]) else "other labels of the test clips"


def paired(first: Run, other: Run) -> Paired:
    """The paired t-test of two runs' test scores, in percentage points."""
    from scipy.stats import ttest_rel

    seeds = tuple(sorted({*first.scores} & {*other.scores}))
    pairs = [(other.scores[seed], first.scores[seed]) for seed in seeds]
    mean = statistics.fmean(a - b for a, b in pairs) if pairs else None
    # Differences that are all the same have no deviation to compare their mean with.
    if len({round(a - b, 9) for a, b in pairs}) < 2:
        return Paired(seeds, mean)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        test = ttest_rel(*zip(*pairs, strict=True))
    low, high = test.confidence_interval(1 - _LEVEL)
    return Paired(seeds, mean, float(low), float(high), float(test.pvalue))


def differences(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Setting in which the runs differ (or the code that trained them) -> its value in each run, "-" for none."""
    made = []
    for run in runs:
        code = {"commit": str(run.result.get("commit"))[:12], "selected_on": run.result.get("selected_on", "-")}
        made.append({**flat(run.result["settings"]), **flat({**code, "versions": run.result.get("versions", {})})})
    names = dict.fromkeys(name for each in made for name in each)
    values = {name: [each.get(name, "-") for each in made] for name in names}
    return {name: row for name, row in values.items() if len({*row}) > 1}


def as_markdown(
    names: Sequence[str], runs: Sequence[Run], tests: dict[str, Paired], different: dict[str, list[str]]
) -> str:
    """The whole comparison as text."""
    result = runs[0].result
    clips = result.get("clips", {}).get("test", "?")
    table = [("run", "model", "preset", f"test {runs[0].metric} %", "validation %", "parameters", "epochs", "note")]
    for name, run in zip(names, runs, strict=True):
        own, seeds = run.result, run.result["seeds"]
        table.append((
            name,
            own["model"],
            own["preset"],
            papers.mean_text(tuple(run.scores.values()), "0.00"),
            f"{100 * statistics.fmean(seed['val'] for seed in seeds):.2f}",
            f"{seeds[0]['parameters']:,}",
            str(own["settings"].get("training", {}).get("epochs", "?")),
            "smoke" if own.get("smoke") else "",
        ))  # fmt: skip
    lines = [("setting", *names), *((name, *values) for name, values in different.items())]
    settings = papers.markdown(lines) if different else "No setting differs.\n"
    sections = [
        f"# {len(runs)} runs of {result['paper']}\n\nOn {result['dataset']}, {clips} clips in the test split; mean +- "
        f"sample standard deviation over the seeds.\n\n{papers.markdown(table)}",
        _tests_section(names[0], tests),
        f"## What differs\n\n{settings}",
    ]
    return "\n".join(sections)


def _tests_section(first: str, tests: dict[str, Paired]) -> str:
    table = [(f"against {first}", "common seeds", "difference", "95 % interval", "p")]
    table += [(name, *_cells(test)) for name, test in tests.items()]
    counts = sorted({len(test.seeds) for test in tests.values() if test.p is not None})
    told = " ".join(_reach(count) for count in counts)
    many = " The p of several comparisons are not corrected for their number." if len(tests) > 1 else ""
    return (
        f"## Paired t-test over common seeds\n\n{papers.markdown(table)}\n"
        "Two-sided, on the differences of test scores in percentage points, seed by seed; it takes them as normally "
        f"distributed. {told}{' ' if told else ''}It knows the spread over seeds alone: all were tested on the same "
        f"clips, and other clips may order the runs otherwise.{many}\n"
    )


def _cells(test: Paired) -> tuple[str, ...]:
    seeds = ", ".join(map(str, test.seeds)) or "none"
    if test.difference is None:
        return seeds, "-", "-", "no common seeds: train the same ones"
    difference = f"{test.difference:+.2f}"
    if test.p is not None:
        return seeds, difference, f"{test.low:+.2f} to {test.high:+.2f}", f"{test.p:.3f}"
    only = len(test.seeds) == 1
    return seeds, difference, "-", "one seed: no test" if only else "every seed differs by the same: no test"


def _reach(seeds: int) -> str:
    """What a test over this many seeds can and cannot show."""
    from scipy.stats import t

    needed = float(t.ppf(1 - _LEVEL / 2, seeds - 1)) / seeds**0.5
    return (
        f"With {seeds} seeds p falls below {_LEVEL} only where the mean difference is more than {needed:.2f} times the "
        "standard deviation of the differences: a small or unsteady gain cannot be shown, and a larger p does not "
        "show that two runs are equal."
    )


def _draw(path: Path, names: Sequence[str], runs: Sequence[Run]) -> None:
    from avpipeline.plots import charts

    histories = {name: [run.history(seed) for seed in run.scores] for name, run in zip(names, runs, strict=True)}
    charts.runs_together(path, histories, ("loss", f"val_{runs[0].result['metric']}"))
