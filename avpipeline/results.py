"""RESULTS.md: the papers' figures beside ours, written from result files alone.

A folder of results holds, for each model that was trained with care, what its run left that is small:

    results/PAPER/MODEL-PRESET-DATASET/result.json
    results/PAPER/MODEL-PRESET-DATASET/seed-0/predictions.npz
    results/parity.json                  largest differences to the authors' implementations, from the golden tests

Every figure of RESULTS.md comes from there, dates and commits too, so the same folder gives the same bytes. Smoke
runs never enter, and a run enters only when its figures are those of its stored predictions.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from avpipeline import metrics, published
from avpipeline.errors import InputError
from avpipeline.files import atomic_folder, atomic_path

PAPERS = {
    "ave": "Audio-Visual Event Localization in Unconstrained Videos (ECCV 2018)",
    "mafnet": "MAFnet: multi-level attention fusion network",
    "jca": "Recursive fusion by joint co-attention",
    "attendfusion": "Attend-Fusion: efficient audio-visual fusion",
    "eventlayers": "Event-specific audio-visual fusion layers (WACV 2023)",
}
# The name of a score in result.json -> how it is computed from stored labels and predictions.
SCORES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "segment_accuracy": metrics.segment_accuracy,
    # Of videos it is the same share.
    "video_accuracy": metrics.segment_accuracy,
}


@dataclasses.dataclass(frozen=True)
class Result:
    """One finished run in a folder of results.

    Attributes:
      folder: where it lies.
      content: of its result.json.
    """

    folder: Path
    content: Mapping

    @property
    def scores(self) -> tuple[float, ...]:
        """The test figure of each seed."""
        return tuple(seed["test"] for seed in self.content["seeds"])

    def recomputed(self) -> tuple[float, ...]:
        """The same figures from the stored predictions."""
        score = SCORES[self.content["metric"]]
        values = []
        for seed in self.content["seeds"]:
            with np.load(self.folder / f"seed-{seed['seed']}" / "predictions.npz", allow_pickle=False) as file:
                values.append(score(file["labels"], file["predictions"]))
        return tuple(values)


def read_result(folder) -> Result:
    """The finished run in a folder.

    Raises:
      InputError: no finished run, or one of a measure that is not known here.
    """
    path = Path(folder) / "result.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        missing = {"paper", "model", "preset", "dataset", "metric", "seeds", "reproduces", "smoke"} - content.keys()
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: is no result of a finished run; train to the end first.") from error
    if missing:
        raise InputError(f"{path}: lacks {', '.join(sorted(missing))}; train again with this version.")
    if content["metric"] not in SCORES:
        raise InputError(f"{path}: measures '{content['metric']}'; known are {', '.join(SCORES)}.")
    return Result(Path(folder), content)


def read_results(folder) -> list[Result]:
    """Every run in a folder of results, by path."""
    return [read_result(path.parent) for path in sorted(Path(folder).glob("*/*/result.json"))]


def add(run, results) -> Path:
    """Takes a finished run's small files over into a folder of results; returns their place there.

    Raises:
      InputError: no finished run, a smoke run, or figures that are not those of the stored predictions.
    """
    result = read_result(run)
    content = result.content
    if content["smoke"]:
        raise InputError(f"{run}: is a smoke run, trained for fewer epochs than configured; train it to the end.")
    if not np.allclose(result.recomputed(), result.scores, rtol=0, atol=1e-6):
        raise InputError(f"{run}: its figures are not those of its predictions; train it again.")
    name = f"{content['model']}-{content['preset']}-{content['dataset']}"
    place = Path(results) / content["paper"] / name
    shutil.rmtree(place, ignore_errors=True)
    with atomic_folder(place) as temporary:
        shutil.copyfile(Path(run) / "result.json", temporary / "result.json")
        for seed in content["seeds"]:
            source = Path(f"seed-{seed['seed']}") / "predictions.npz"
            (temporary / source).parent.mkdir()
            shutil.copyfile(Path(run) / source, temporary / source)
    return place


def as_markdown(results: Iterable[Result], parity: Mapping[str, Mapping] | None = None) -> str:
    """The whole of RESULTS.md."""
    runs: list[Result] = []
    sections = []
    for paper, title in PAPERS.items():
        own = [result for result in results if result.content["paper"] == paper]
        sections.append(f"## {paper}: {title}\n")
        for table in dict.fromkeys(figure.table for figure in published.rows(paper)):
            sections.append(f"### {table}\n\n{_table(published.rows(paper, table), own, runs)}")
    made = [("run", "scores of the seeds", "command", "date", "commit", "configuration")]
    made += [_made(number, result) for number, result in enumerate(runs, start=1)]
    return "\n".join(
        [
            _HEAD,
            *sections,
            f"## How ours were made\n\n{published.markdown(made)}",
            *([_parity(parity)] if parity else []),
        ]
    )


_HEAD = """# Results

The papers' figures, and ours where we could measure: trained with the command named, selected on validation, tested
once, mean +- standard deviation over the seeds. The rendered test bed is made-up clips: no figure from it says anything
about a figure on a real dataset, it shows that the systems train and in which order they come. Nothing was tuned on
test clips.

Written by `python -m avpipeline.published` from the result files in `results/`; every figure is recomputed from the
stored predictions by a test.
"""


def _table(figures: Iterable[published.Figure], results: list[Result], runs: list[Result]) -> str:
    """One table of a paper; every run that it shows is appended to `runs`, once."""
    lines = [("row", "paper's data", "metric", "paper", "ours", "our data", "run")]
    for figure in figures:
        place = [figure.table, figure.row]
        found = [result for result in results if place in result.content["reproduces"]]
        head = (figure.row, figure.dataset, figure.metric, figure.value)
        if not any(result.content["dataset"] != "rendered" for result in found):
            lines.append((*head, f"not run: needs {figure.dataset}", "", ""))
        for result in found:
            if result not in runs:
                runs.append(result)
            lines.append((*head, _ours(result, figure), _data(result), f"[{runs.index(result) + 1}]"))
    return published.markdown(lines)


def _ours(result: Result, figure: published.Figure) -> str:
    scale = 100 if "%" in figure.metric else 1
    return published.mean_text(tuple(scale * score for score in result.scores), figure.value)


def _data(result: Result) -> str:
    content = result.content
    data = "rendered test bed" if content["dataset"] == "rendered" else content["dataset"]
    return f"{data}, {content['clips']['test']} clips"


def _made(number: int, result: Result) -> tuple[str, ...]:
    content = result.content
    scores = ", ".join(f"{score:.4f}" for score in result.scores)
    commit = (content["commit"] or "unknown")[:12]
    return f"[{number}]", scores, f"`{content['command']}`", content["date"][:10], commit, content["configuration"]


def _parity(parity: Mapping[str, Mapping]) -> str:
    lines = [("system", "compared", "largest difference", "allowed")]
    for name, measured in sorted(parity.items()):
        system, _, array = name.partition(" ")
        lines.append((system, array, f"{measured['difference']:.1e}", f"{measured['allowed']:.0e}"))
    return (
        "## Agreement with the authors' implementations\n\nLargest difference to what the authors' own code gives "
        "for the same inputs and weights, measured by the golden tests\n(`AV_REFERENCE_DIR=... pytest -m golden`).\n\n"
        f"{published.markdown(lines)}"
    )


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where results lie and go."""

    add: tuple[Path, ...] = ()
    """Folders of finished runs to take over into the results first."""
    results: Path = Path("results")
    """Folder of result files."""
    out: Path = Path("RESULTS.md")
    """The file to write."""


def main(settings: Settings) -> None:
    """Writes RESULTS.md: every figure of the papers beside ours, from the result files."""
    for run in settings.add:
        print(f"{run} is now in {add(run, settings.results)}")
    if not settings.results.is_dir():
        raise InputError(f"{settings.results}: is no folder of results; name it with --results or add runs.")
    parity = settings.results / "parity.json"
    known = json.loads(parity.read_text(encoding="utf-8")) if parity.exists() else None
    results = read_results(settings.results)
    with atomic_path(settings.out) as temporary:
        temporary.write_text(as_markdown(results, known), encoding="utf-8")
    print(f"{settings.out} holds {len(results)} of our runs beside the papers' figures")
