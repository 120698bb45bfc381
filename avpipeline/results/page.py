"""RESULTS.md: the papers' results beside ours, one table a paper and one line a row.

A paper's table may have a row's results on several datasets, or several metrics side by side; so do our lines, in the
same order. What was not run stays blank.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from avpipeline.errors import InputError
from avpipeline.files import read_record, reading, write_text
from avpipeline.results import order, papers, real_clips, record
from avpipeline.results.order import Order
from avpipeline.results.papers import Published
from avpipeline.results.record import run_line, runs_of
from avpipeline.results.stored import Result, read_results
from avpipeline.training.saved import known_papers

RECORD, PICTURE = "results/README.md", "results/order.png"
_HEAD = f"""# Results

What the five papers print, and what our models reach: on the papers' data where we could run them, and on synthetic
clips, which stand in for every dataset. **A score on synthetic clips says nothing about the score on a paper's data**;
it shows that a model trains, and how models rank. Ours are means +- standard deviations over the seeds; blank is what
was not run. The number of a run leads to its command, commit, seeds and predictions in [{RECORD}]({RECORD}).
"""
_BLANK = "-"


def write_pages(folder: Path, out: Path) -> int:
    """Writes RESULTS.md to `out`, README.md and a picture to the folder of results; returns the number of results.

    Raises:
      InputError: there is no such folder, or a file in it is not what a command wrote.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder of results; name one with --results or add runs.")
    results = read_results(folder)
    ranked = order.orders(results)
    # A file that cannot be used is found before anything is written.
    for path, text in zip((out, folder / "README.md"), texts(folder, results, ranked), strict=True):
        write_text(path, text)
    if ranked:
        order.draw(folder / Path(PICTURE).name, ranked)
    return len(results)


def texts(folder: Path, results: Sequence[Result], ranked: Sequence[Order]) -> tuple[str, str]:
    """RESULTS.md and results/README.md, as they follow from a folder of results, its rows and how these rank."""
    path, parity = folder / "parity.json", None
    if path.exists():
        with reading(path, "is not what the parity tests write", "run them again"):
            parity = record.parity_section(read_record(path, "run the parity tests again"))
    front = as_markdown(results, ranked, real_clips.section(folder / "real_clips"))
    return front, record.as_markdown(results, parity)


def as_markdown(results: Sequence[Result], orders: Sequence[Order] = (), further: str | None = None) -> str:
    """The full text of RESULTS.md.

    Args:
      orders: how ours rank the rows of the papers' tables.
      further: a section for the end.
    """
    runs, sections = runs_of(results), [_HEAD]
    for paper, title in known_papers().items():
        lines: list[tuple[str, ...]] = [("row", "paper", "ours, paper's data", "ours, synthetic clips", "run")]
        for table in dict.fromkeys(published.table for published in papers.rows(paper)):
            lines += _table(papers.rows(paper, table), results, runs)
        sections.append(f"## {paper}: {title}\n\n{papers.markdown(lines)}")
        for table in papers.class_tables(paper):
            sections.append(f"{table}, the accuracy of each class, is in [{RECORD}]({RECORD}).\n")
    if orders:
        sections.append(_orders(orders))
    sections.append(_needs())
    return "\n".join(filter(None, [*sections, further]))


def _table(rows: list[Published], results: list[Result], runs: Mapping[tuple, int]) -> list[tuple[str, ...]]:
    """A heading line, and a line for each row of one table of a paper."""
    parts = [part for whole in rows for part in whole.parts]
    of_rows: dict[str, dict[tuple, Published]] = {}
    for part in parts:
        of_rows.setdefault(part.row, {})[part.dataset, part.metric] = part
    columns = list(dict.fromkeys((part.dataset, part.metric) for part in parts))
    shared = any(len(of_row) > 1 for of_row in of_rows.values()) or len(columns) == 1
    heading = _heading(rows[0], columns if shared else [])
    lines = [(heading, "", "", "", "")]
    for row, of_row in of_rows.items():
        places = columns if shared else list(of_row)
        name = row if shared else f"{row} ({', '.join(places[0])})"
        printed = " / ".join(of_row[place].value if place in of_row else _BLANK for place in places)
        own = {place: [found for found in results if found.is_of(part)] for place, part in of_row.items()}
        real, rendered = (_ours(own, places, is_rendered=made_up) for made_up in (False, True))
        numbers = dict.fromkeys(runs[run_line(one)] for found in own.values() for one in found)
        links = ", ".join(f"[{number}]({RECORD}#runs)" for number in numbers)
        lines.append((name, printed, real, rendered, links))
    return lines


def _heading(published: Published, columns: list[tuple[str, str]]) -> str:
    """The table, with the datasets and metrics of its columns."""
    about = [" / ".join(dict.fromkeys(names)) for names in zip(*columns, strict=True)]
    about += ["the paper quotes these"] * published.is_quoted
    name = published.table.partition(" (external")[0]
    return f"**{name}**" + (f" ({'; '.join(about)})" if about else "")


def _ours(found: Mapping[tuple, list[Result]], columns: list[tuple], *, is_rendered: bool) -> str:
    """Our results on one kind of clips, by column; one where all columns have the same, as on synthetic clips."""
    found = {place: [one for one in ones if one.is_rendered is is_rendered] for place, ones in found.items()}
    texts = []
    for place in columns:
        cells = [papers.mean_text(tuple(one.content["ours"]), one.content["value"]) for one in found.get(place, ())]
        texts.append(", ".join(cell.partition(" (")[0] for cell in cells) or _BLANK)
    there = [text for text in texts if text != _BLANK]
    if not there:
        return ""
    # Compared as measured: the texts have as many digits as the paper's results, which differ between datasets.
    measured = {tuple(one.content["ours"]) for ones in found.values() for one in ones}
    is_one = len(there) == len(found) and len(measured) == 1 and len({metric for _, metric in columns}) == 1
    return there[0] if is_one else " / ".join(texts)


def _orders(orders: Sequence[Order]) -> str:
    lines = [("paper", "table", "rows", "rank correlation")]
    lines += [(order.paper, order.table, str(len(order.rows)), f"{order.correlation:+.2f}") for order in orders]
    return f"{_ORDERS}\n![The rows by the papers' results, and by ours]({PICTURE})\n\n{papers.markdown(lines)}"


_ORDERS = """## Do ours rank as the paper's?

Spearman's rank correlation between the paper's results and ours on synthetic clips, for tables with at least four rows
run: +1 is the same order, and chance gives 0. Synthetic clips have other difficulties than real ones, and few of them
make a test split, so that small differences in a paper need not show.
"""


def _needs() -> str:
    """Which tables need which dataset."""
    rows = [published for paper in known_papers() for published in papers.rows(paper) if not published.is_quoted]
    lines = []
    for dataset in dict.fromkeys(published.dataset for published in rows):
        needed = []
        for paper in known_papers():
            own = [published for published in rows if published.paper == paper]
            tables = dict.fromkeys(published.table for published in own if published.dataset == dataset)
            if tables:
                everything = all(published.dataset == dataset for published in own)
                needed.append(f"all of {paper}" if everything else f"{paper} {', '.join(tables)}")
        lines.append(f"- {dataset}: {'; '.join(needed)}")
    about = "Where each comes from, its size and how to check it: [docs/datasets.md](docs/datasets.md)."
    return f"## What needs which dataset\n\n{about}\n\n" + "\n".join(lines) + "\n"
