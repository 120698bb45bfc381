"""RESULTS.md: the papers' figures beside ours, written from result files alone.

A folder of results holds what a paper's tables command leaves that is small, for rows trained in full:

    results/PAPER/DATASET-PRESET/result.json                         our figures and how they were made
    results/PAPER/DATASET-PRESET/MODEL/seed-0/predictions.npz        what they are computed from
    results/parity.json                  largest differences to the authors' implementations, from the golden tests

Every figure of RESULTS.md comes from there, dates and commits too, so the same folder gives the same bytes. Smoke
runs never enter.
"""

import dataclasses
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from avpipeline.cli import run
from avpipeline.errors import InputError
from avpipeline.files import atomic_folder, atomic_path
from avpipeline.results import papers

PAPERS = {
    "ave": "Audio-Visual Event Localization in Unconstrained Videos (ECCV 2018)",
    "mafnet": "MAFnet: multi-level attention fusion network",
    "jca": "Recursive fusion by joint co-attention",
    "attendfusion": "Attend-Fusion: efficient audio-visual fusion",
    "eventlayers": "Event-specific audio-visual fusion layers (WACV 2023)",
}
# Golden file -> whose implementation it was recorded from.
_SYSTEMS = {
    "av_att.npz": "ave: A+V-att",
    "av_att_weak.npz": "ave: W-A+V-att",
    "dmrn.npz": "ave: DMRN",
    "avdln.npz": "ave: AVDLN",
    "mafnet.npz": "mafnet: MAFnet",
    "jca.npz": "jca: JCA",
    "mc3_18.npz": "eventlayers: MC3-18 (torchvision)",
    "vggish_logmel.npz": "all: VGGish's log-mel",
    "youtube8m_metrics.npz": "attendfusion: the challenge's metrics",
}
_NEEDED = {
    *("paper", "table", "row", "dataset", "metric"),
    *("ours", "our_data", "our_dataset", "seeds", "parameters", "predictions", "smoke"),
    *("model", "preset", "configuration", "command", "date", "commit"),
}


@dataclasses.dataclass(frozen=True)
class Result:
    """One measured row in a folder of results.

    Attributes:
      folder: of the result.json that it stands in.
      content: what it says there.
    """

    folder: Path
    content: Mapping

    @property
    def predictions(self) -> tuple[Path, ...]:
        """The files that its figure is computed from, those of a seed together."""
        return tuple(self.folder / name for name in self.content["predictions"])

    def is_of(self, figure: papers.Published) -> bool:
        """Whether it is our measurement of one of the paper's figures."""
        names = ("paper", "table", "row", "dataset", "metric")
        return all(self.content[name] == getattr(figure, name) for name in names)

    @property
    def is_rendered(self) -> bool:
        """Whether it was measured on the made-up clips, which stand in for every dataset."""
        return self.content["our_dataset"].startswith("rendered")


def read_result(folder) -> list[Result]:
    """The rows that a tables command measured in a folder.

    Raises:
      InputError: it holds none, or the file is not of this form.
    """
    path = Path(folder) / "result.json"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        missing = set().union(*(_NEEDED - row.keys() for row in rows))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is no result of a tables command; run one of python -m PAPER.tables.") from error
    if missing:
        raise InputError(f"{path}: lacks {', '.join(sorted(missing))}; run the tables command again.")
    for row in rows:
        if any(Path(name).is_absolute() or ".." in Path(name).parts for name in row["predictions"]):
            raise InputError(f"{path}: has predictions outside of its folder ({row['row']}); run the command again.")
    return [Result(Path(folder), row) for row in rows]


def read_results(folder) -> list[Result]:
    """Every row in a folder of results, by path."""
    paths = sorted(Path(folder).glob("*/*/result.json"))
    return [result for path in paths for result in read_result(path.parent)]


def add(run, results) -> Path:
    """Takes the rows of a tables command's folder over into a folder of results; returns their place there.

    Rows of smoke runs stay behind.

    Raises:
      InputError: no result, rows of several papers, nothing but smoke runs, or predictions that are missing.
    """
    rows = [result for result in read_result(run) if not result.content["smoke"]]
    if not rows:
        raise InputError(f"{run}: has smoke runs only, trained for fewer epochs than configured; leave out --epochs.")
    papers, datasets = ({result.content[name] for result in rows} for name in ("paper", "our_dataset"))
    if len(papers) > 1:
        raise InputError(f"{run}: holds rows of {', '.join(sorted(papers))}; give each paper's tables a folder.")
    for path in (path for result in rows for path in result.predictions):
        if not path.is_file():
            raise InputError(f"{path}: is missing; run the tables command again.")
    place = Path(results) / papers.pop() / f"{min(datasets)}-{rows[0].content['preset']}"
    with atomic_folder(place) as temporary:
        text = json.dumps({"rows": [result.content for result in rows]}, indent=2)
        (temporary / "result.json").write_text(text + "\n", encoding="utf-8")
        for name in {name for result in rows for name in result.content["predictions"]}:
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(run) / name, temporary / name)
        # Only now that all is copied.
        shutil.rmtree(place, ignore_errors=True)
    return place


def as_markdown(results: Iterable[Result], parity: Mapping[str, Mapping] | None = None) -> str:
    """The whole of RESULTS.md."""
    results = list(results)
    runs: list[tuple] = []
    sections = []
    for paper, title in PAPERS.items():
        sections.append(f"## {paper}: {title}\n")
        for table in dict.fromkeys(figure.table for figure in papers.rows(paper)):
            sections.append(f"### {table}\n\n{_table(papers.rows(paper, table), results, runs)}")
    made = [("run", "model", "seeds", "parameters", "configuration", "predictions", "command", "date", "commit"), *runs]
    numbered = [(f"[{number}]" if number else line[0], *line[1:]) for number, line in enumerate(made)]
    sections.append(f"## How ours were made\n\n{papers.markdown(numbered)}")
    if parity:
        sections.append(_parity(parity))
    return "\n".join([_HEAD, *sections])


_HEAD = """# Results

The papers' figures, and ours where we could measure: trained with the command named, selected on validation, tested
once, mean +- standard deviation over the seeds. The rendered test bed is made-up clips: no figure from it says anything
about a figure on a real dataset, it shows that the systems train and in which order they come. Nothing was tuned on
test clips.

Written by `python -m avpipeline.published` from the result files in `results/`; every figure is recomputed from the
stored predictions by a test.
"""


def _table(figures: Iterable[papers.Published], results: list[Result], runs: list[tuple]) -> str:
    """One table of a paper; every run that it shows is appended to `runs`, once."""
    lines = [("row", "paper's data", "metric", "paper", "ours", "our data", "run")]
    for figure in (part for whole in figures for part in whole.parts):
        found = [result for result in results if result.is_of(figure)]
        # A figure on made-up clips does not take the place of one on the paper's data.
        head = (figure.row, figure.dataset, figure.metric, figure.value)
        if all(result.is_rendered for result in found):
            lines.append((*head, _why_not(figure), "", ""))
        for result in found:
            made = _made(result)
            if made not in runs:
                runs.append(made)
            ours = papers.mean_text(tuple(result.content["ours"]), figure.value)
            lines.append((*head, ours, result.content["our_data"], f"[{runs.index(made) + 1}]"))
    return papers.markdown(lines)


def _why_not(figure: papers.Published) -> str:
    """Why there is no figure of ours on the paper's data."""
    if figure.is_quoted:
        return "not run: the paper quotes it"
    if figure.metric == "params M":
        return f"`python -m {figure.paper}.tables --params`"
    return f"not run: needs {figure.dataset}"


def _made(result: Result) -> tuple[str, ...]:
    """A run's line in the table of runs, whose first cell becomes its number."""
    content = result.content
    return (
        "",
        content["model"],
        ", ".join(map(str, content["seeds"])),
        f"{content['parameters']:,}",
        content["configuration"],
        f"`{content['paper']}/{result.folder.name}/{Path(content['predictions'][0]).parent.parent}`",
        f"`{content['command']}`",
        content["date"][:10],
        (content["commit"] or "unknown")[:12],
    )


def _parity(parity: Mapping[str, Mapping]) -> str:
    lines = [("system", "golden file", "compared", "largest difference", "allowed")]
    for name, measured in sorted(parity.items()):
        file, _, array = name.partition(" ")
        difference, allowed = f"{measured['difference']:.1e}", f"{measured['allowed']:.0e}"
        lines.append((_SYSTEMS.get(file, ""), file, array, difference, allowed))
    return (
        "## Agreement with the authors' implementations\n\nLargest difference to what the authors' own code gives "
        "for the same inputs and weights, measured by the golden tests\n(`AV_REFERENCE_DIR=... pytest -m golden "
        f"--parity results/parity.json`).\n\n{papers.markdown(lines)}"
    )


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where results lie and go."""

    add: tuple[Path, ...] = ()
    """Folders of tables commands to take over into the results first, all of them behind one --add."""
    results: Path = Path("results")
    """Folder of result files."""
    out: Path = Path("RESULTS.md")
    """The file to write."""


def main(settings: Settings) -> None:
    """Writes RESULTS.md: every figure of the papers beside ours, from the result files."""
    for folder in settings.add:
        print(f"{folder} is now in {add(folder, settings.results)}")
    if not settings.results.is_dir():
        raise InputError(f"{settings.results}: is no folder of results; name it with --results or add runs.")
    parity = settings.results / "parity.json"
    known = json.loads(parity.read_text(encoding="utf-8")) if parity.exists() else None
    results = read_results(settings.results)
    with atomic_path(settings.out) as temporary:
        temporary.write_text(as_markdown(results, known), encoding="utf-8")
    print(f"{settings.out} holds {len(results)} of our figures beside the papers'")


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avpipeline.published"))
