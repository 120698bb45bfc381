"""RESULTS.md: the papers' results beside ours, written from result files alone.

A folder of results holds the small files that a paper's tables command writes, for rows trained in full:

    results/PAPER/DATASET-PRESET/result.json                         our results and how they were obtained
    results/PAPER/DATASET-PRESET/MODEL/seed-0/predictions.npz        the predictions that they are computed from
    results/real_clips/result.json                                   results on real recordings, in their own section
    results/parity.json                  largest differences from the authors' implementations, from the golden tests

Every number in RESULTS.md comes from there, dates and commits included, so the same folder gives the same bytes.
Smoke runs are never included.
"""

import dataclasses
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from avpipeline.cli import run
from avpipeline.errors import InputError
from avpipeline.files import atomic_folder, atomic_path, read_record, reading
from avpipeline.results import papers, real_clips
from avpipeline.training.saved import known_papers

_NEEDED = {
    *("paper", "table", "row", "dataset", "metric"),
    *("ours", "our_data", "our_dataset", "seeds", "parameters", "predictions", "smoke"),
    *("model", "preset", "configuration", "command", "date", "commit"),
}


@dataclasses.dataclass(frozen=True)
class Result:
    """One measured row in a folder of results.

    Attributes:
      folder: of the result.json that the row is in.
      content: the row's entry there.
    """

    folder: Path
    content: Mapping

    @property
    def predictions(self) -> tuple[Path, ...]:
        """The files that the result is computed from, grouped by seed."""
        return tuple(self.folder / name for name in self.content["predictions"])

    def is_of(self, published: papers.Published) -> bool:
        """Whether this is our counterpart of one of the paper's results."""
        names = ("paper", "table", "row", "dataset", "metric")
        return all(self.content[name] == getattr(published, name) for name in names)

    @property
    def is_rendered(self) -> bool:
        """Whether it was measured on the synthetic clips, which stand in for every dataset."""
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
    """Copies the rows in a tables command's folder into a folder of results; returns where they are there.

    Rows of smoke runs, of other data than the paper's and of other settings than the preset's are left out.

    Raises:
      InputError: no results, rows of several papers, nothing but rows that are left out, or missing predictions.
    """
    found = read_result(run)
    rows = [result for result in found if not result.content["smoke"] and not result.content.get("unlike")]
    reasons = [reason for result in found if not result.content["smoke"] for reason in result.content.get("unlike", ())]
    if not rows and reasons:
        raise InputError(f"{run}: has no result of a row of the paper ({'; '.join(dict.fromkeys(reasons))}).")
    if not rows:
        raise InputError(
            f"{run}: has smoke runs only, trained for fewer epochs than configured; run python -m PAPER.tables again "
            "and leave out --epochs."
        )
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
        # Only once everything has been copied.
        shutil.rmtree(place, ignore_errors=True)
    return place


def as_markdown(
    results: Iterable[Result], parity: Mapping[str, Mapping] | None = None, real_clips: str | None = None
) -> str:
    """The full text of RESULTS.md."""
    results = list(results)
    runs: list[tuple] = []
    sections = []
    for paper, title in known_papers().items():
        sections.append(f"## {paper}: {title}\n")
        for table in dict.fromkeys(published.table for published in papers.rows(paper)):
            sections.append(f"### {table}\n\n{_table(papers.rows(paper, table), results, runs)}")
        sections += [_class_table(paper, table, classes) for table, classes in papers.class_tables(paper).items()]
    made = [("run", "model", "seeds", "parameters", "configuration", "predictions", "command", "date", "commit"), *runs]
    numbered = [(f"[{number}]" if number else line[0], *line[1:]) for number, line in enumerate(made)]
    sections.append(f"## How our results were obtained\n\n{papers.markdown(numbered)}")
    if real_clips:
        sections.append(real_clips)
    if parity:
        sections.append(_parity(parity))
    return "\n".join([_HEAD, *sections])


_HEAD = """# Results

The papers' results, and ours where we could run the experiment: trained with the command given, selected on validation
(the last validated weights where the authors' code does not select), tested once, mean +- standard deviation over the
seeds. "Rendered test bed" means synthetic clips: a score on them says nothing about the score on a real dataset; it
shows that the models train, and how they rank. Nothing was tuned on test clips.

Written by `python -m avpipeline.published` from the result files in `results/`; a test recomputes every one of our
results from the stored predictions.
"""


def _table(rows: Iterable[papers.Published], results: list[Result], runs: list[tuple]) -> str:
    """One table of a paper; every run that it shows is appended to `runs`, once."""
    lines = [("row", "paper's data", "metric", "paper", "ours", "our data", "run")]
    for published in (part for whole in rows for part in whole.parts):
        found = [result for result in results if result.is_of(published)]
        # A score on synthetic clips does not take the place of one on the paper's data.
        head = (published.row, published.dataset, published.metric, published.value)
        if all(result.is_rendered for result in found):
            lines.append((*head, _why_not(published), "", ""))
        for result in found:
            made = _made(result)
            if made not in runs:
                runs.append(made)
            ours = papers.mean_text(tuple(result.content["ours"]), published.value)
            lines.append((*head, ours, result.content["our_data"], f"[{runs.index(made) + 1}]"))
    return papers.markdown(lines)


def _class_table(paper: str, table: str, classes: Mapping[str, Mapping[str, str]]) -> str:
    """A table of the paper's accuracies of each class, which synthetic clips have no counterparts of."""
    models = list(next(iter(classes.values())))
    lines = [("class", *models), *((name, *values.values()) for name, values in classes.items())]
    about = f'The paper\'s accuracy of each class in %; `python -m {paper}.tables --table "{table}"` measures ours.'
    return f"### {table}\n\n{about}\n\n{papers.markdown(lines)}"


def _why_not(published: papers.Published) -> str:
    """Why there is no result of ours on the paper's data."""
    if published.is_quoted:
        return "not run: the paper quotes it"
    if published.metric == "params M":
        return f"`python -m {published.paper}.tables --params`"
    return f"not run: needs {published.dataset}"


def _made(result: Result) -> tuple[str, ...]:
    """A run's line in the table of runs; its number goes into the first cell."""
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
        lines.append((measured["system"], file, array, difference, allowed))
    return (
        "## Agreement with the authors' implementations\n\nLargest difference from the output of the authors' own code "
        "for the same inputs and weights, measured by the golden tests\n(`AV_REFERENCE_DIR=... pytest -m golden "
        f"--parity results/parity.json`).\n\n{papers.markdown(lines)}"
    )


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where results are read from and written to."""

    add: tuple[Path, ...] = ()
    """Folders of tables commands to copy into the results first; list all of them after one --add."""
    results: Path = Path("results")
    """Folder of result files."""
    out: Path = Path("RESULTS.md")
    """The file to write."""


def _read_parity(path: Path) -> dict:
    """The largest differences from the authors' code; InputError where the tests did not write them like this."""
    parity = read_record(path, "run the parity tests again")
    with reading(path, "is not what the parity tests write", "run them again"):
        _parity(parity)
    return parity


def main(settings: Settings) -> None:
    """Writes RESULTS.md: every result of the papers beside ours, from the result files."""
    for folder in settings.add:
        print(f"{folder} is now in {add(folder, settings.results)}")
    if not settings.results.is_dir():
        raise InputError(f"{settings.results}: is not a folder of results; name one with --results or add runs.")
    parity = settings.results / "parity.json"
    known = _read_parity(parity) if parity.exists() else None
    results = read_results(settings.results)
    real = real_clips.section(settings.results / "real_clips")
    with atomic_path(settings.out) as temporary:
        temporary.write_text(as_markdown(results, known, real), encoding="utf-8")
    print(f"{settings.out} holds {len(results)} of our results beside the papers'")


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avpipeline.published"))
