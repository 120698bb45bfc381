"""results/README.md: the whole record behind RESULTS.md, written from the files beside it alone.

Every run with its command, commit, seeds and configuration; every row with the spread over seeds and the data; the
papers' accuracies of each class; the largest differences from the authors' implementations.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from avpipeline.results import papers
from avpipeline.results.stored import Result
from avpipeline.training.saved import known_papers

_HEAD = """# The record behind RESULTS.md

Trained with the command given, selected on validation (the last validated weights where the authors' code does not
select), tested once, mean +- standard deviation over the seeds. Nothing was tuned on test clips. Written by
`python -m avpipeline.published` from the files in this folder; a test recomputes every result from its predictions.
"""


def runs_of(results: Iterable[Result]) -> dict[tuple[str, ...], int]:
    """Each run once, as its line in the table of runs without the number -> its number, from 1."""
    made: dict[tuple[str, ...], int] = {}
    for result in results:
        made.setdefault(run_line(result), len(made) + 1)
    return made


def run_line(result: Result) -> tuple[str, ...]:
    """What the table of runs says of the run that a result was read from."""
    content = result.content
    return (
        content["model"],
        ", ".join(map(str, content["seeds"])),
        f"{content['parameters']:,}",
        content["configuration"],
        f"`{content['paper']}/{result.folder.name}/{Path(content['predictions'][0]).parent.parent}`",
        f"`{content['command']}`",
        content["date"][:10],
        (content["commit"] or "unknown")[:12],
    )


def as_markdown(results: Sequence[Result], parity: str | None = None) -> str:
    """The full text of results/README.md, with the section on parity if there is one."""
    runs, sections = runs_of(results), [_HEAD]
    for paper, title in known_papers().items():
        own = [result for result in results if result.content["paper"] == paper]
        if own:
            sections.append(f"## {paper}: {title}\n\n{_rows(own, runs)}")
        sections += [_class_table(paper, table, classes) for table, classes in papers.class_tables(paper).items()]
    lines = [("run", "model", "seeds", "parameters", "configuration", "predictions", "command", "date", "commit")]
    lines += [(str(number), *run) for run, number in runs.items()]
    sections.append(f"## Runs\n\n{papers.markdown(lines)}")
    return "\n".join(filter(None, [*sections, parity]))


def _rows(results: list[Result], runs: Mapping[tuple, int]) -> str:
    lines = [("table", "row", "paper's data", "metric", "paper", "ours", "our data", "run")]
    for result in results:
        content = result.content
        ours = papers.mean_text(tuple(content["ours"]), content["value"])
        published = (content[name] for name in ("table", "row", "dataset", "metric", "value"))
        lines.append((*published, ours, content["our_data"], str(runs[run_line(result)])))
    return papers.markdown(lines)


def _class_table(paper: str, table: str, classes: Mapping[str, Mapping[str, str]]) -> str:
    """A table of the paper's accuracies of each class, which synthetic clips have no counterparts of."""
    models = list(next(iter(classes.values())))
    lines = [("class", *models), *((name, *values.values()) for name, values in classes.items())]
    about = f'The paper\'s accuracy of each class in %; `python -m {paper}.tables --table "{table}"` measures ours.'
    return f"### {paper}, {table}\n\n{about}\n\n{papers.markdown(lines)}"


def parity_section(parity: Mapping[str, Mapping]) -> str:
    """The differences from the authors' implementations, an array a line."""
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
