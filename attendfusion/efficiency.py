"""`python -m attendfusion.efficiency`: cost and accuracy of each network: a table, and a plot of accuracy against size.

The rows are measured one after the other, each in a process of its own, so that none benefits from another's warm-up or
suffers from another's memory use.
"""

import concurrent.futures
import dataclasses
import multiprocessing
import os
from collections.abc import Mapping
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from attendfusion.config import MODELS, ROWS
from attendfusion.train import PAPER
from avpipeline.cli import Positive, run
from avpipeline.cli.progress import link
from avpipeline.errors import InputError
from avpipeline.files import make_folder, read_record, reading, write_csv, write_text
from avpipeline.results import papers
from avpipeline.training.saved import load_model

PUBLISHED_SIZES = "published sizes, random weights"


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of an efficiency command."""

    rows: tuple[str, ...] = ()
    """Which rows of the paper's tables, by the names printed. [default: all]"""
    runs: Path | None = None
    """Folder of finished runs (python -m attendfusion.tables), whose trained networks are measured, with their GAP and
    F1. [default: every network at its published size, untrained]"""
    seconds: Positive = 2.0
    """How long to time each network for."""
    out: Path = Path("runs") / "attendfusion" / "efficiency"
    """Folder of the table and the picture."""


def main(settings: Settings) -> None:
    """Measures parameters, operations and CPU latency of each network; with GAP and F1 of trained networks.

    Examples:
      python -m attendfusion.efficiency
    """
    import pandas as pd

    from attendfusion.pictures import accuracy_against_parameters

    lines = []
    for model, result in _chosen(settings).items():
        line = _line(model, result, settings.seconds)
        lines.append(line)
        cost = f"{line['parameters']:>12,} parameters {line['operations'] / 1e6:>10,.1f} MFLOP"
        print(f"{line['row']:<40} {cost} {line['milliseconds']:>9.2f} ms", flush=True)
    table = pd.DataFrame(lines)
    out = make_folder(settings.out)
    write_csv(out / "efficiency.csv", table)
    text = as_markdown(lines)
    write_text(out / "efficiency.md", text)
    accuracy_against_parameters(out / "efficiency.png", panels(lines), title="Accuracy against size")
    print(f"\n{text}\nThe table and the picture are in {link(out)}")


def measure(what: str, seconds: float) -> dict:
    """Number of parameters, and floating-point operations and CPU time for one video.

    Args:
      what: one of `attendfusion.MODELS`, at its published size, or a .keras file.
      seconds: how long to time for.
    """
    import tensorflow as tf

    from attendfusion.models import build_model
    from avpipeline.training.cost import operations, seconds_per_call

    tf.config.set_visible_devices([], "GPU")
    model = build_model(what) if what in MODELS else load_model(what, paper="attendfusion")[0]
    inputs = {name: tf.constant(value) for name, value in PAPER.example_inputs(model, videos=1).items()}
    forward = tf.function(lambda: model(inputs, training=False), jit_compile=False)
    return {
        "parameters": model.count_params(),
        "operations": operations(forward),
        "milliseconds": 1e3 * seconds_per_call(forward, seconds),
        "threads": tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count(),
    }


def _chosen(settings: Settings) -> dict[str, Path | None]:
    """Model -> the result.json of its run, or None for its published size; in the paper's order."""
    names = {row: model for (_, row), model in ROWS.items()}
    for row in settings.rows:
        if row not in names:
            raise InputError(f"row '{row}': is in no table; the rows are {', '.join(names)}.")
    models = [model for row, model in names.items() if not settings.rows or row in settings.rows]
    if settings.runs is None:
        return dict.fromkeys(models)
    results = {path: _read(path) for path in sorted(settings.runs.glob("*/result.json"))}
    found = {}
    for model in models:
        own = [path for path, result in results.items() if result.get("model") == model]
        if len(own) > 1:
            several = ", ".join(path.parent.name for path in own)
            raise InputError(f"{settings.runs}: has several runs of {model} ({several}); move all but one away.")
        if own:
            found[model] = own[0]
    if not found:
        raise InputError(f"{settings.runs}: has no finished run of these rows; train them with attendfusion.tables.")
    return found


def _read(path: Path) -> dict:
    """The result.json of a run; InputError if it lacks a value that is needed here."""
    again = "train this network again"
    with reading(path, "is no result of attendfusion.train", again):
        result = read_record(path, again)
        if "model" in result:
            _scores(result)
    return result


def _line(model: str, path: Path | None, seconds: float) -> dict:
    """A row of the table; `path` is the result.json of the trained network, None for the published size."""
    table, row = PAPER.rows_of(model)[0]
    gap, f1, _ = papers.lookup("attendfusion", table, row).parts
    line = {"table": table, "row": row, "model": model, "paper_gap": float(gap.value), "paper_f1": float(f1.value)}
    what, scores = model, {"gap": None, "f1": None, "size": PUBLISHED_SIZES, "configuration": None}
    if path is not None:
        result = _read(path)
        what, scores = str(path.with_name(f"seed-{result['seeds'][0]['seed']}") / "best.keras"), _scores(result)
    return {**line, **_measured_apart(what, seconds), **scores}


def _measured_apart(what: str, seconds: float) -> dict:
    """`measure` in a process of its own."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        try:
            return process.submit(measure, what, seconds).result()
        except BrokenProcessPool as error:
            raise InputError(f"{what}: its process was killed, most likely for lack of memory; free some.") from error


def _scores(result: Mapping) -> dict:
    """GAP and F1 in percent, averaged over the seeds, and the dataset and size of the trained network."""
    seeds = [seed["figures"] for seed in result["seeds"]]
    gap, f1 = (100 * sum(seed[name] for seed in seeds) / len(seeds) for name in ("gap", "f1"))
    settings = result["settings"]
    size = f"{settings['dataset']}, width {settings['network']['width']}, {settings['training']['epochs']} epochs"
    return {"gap": gap, "f1": f1, "size": size, "configuration": result["configuration"]}


def as_markdown(lines: list[Mapping]) -> str:
    """The table: cost for one video at batch size 1, beside our accuracy and the paper's."""
    threads = lines[0]["threads"]
    table = [
        ("row", "parameters", "MFLOP a video", "ms a video", "GAP %", "F1 %", "trained", "paper GAP %", "paper F1 %")
    ]
    for line in lines:
        cost = (f"{line['parameters']:,}", f"{line['operations'] / 1e6:,.1f}", f"{line['milliseconds']:.2f}")
        ours = ("", "") if line["gap"] is None else (f"{line['gap']:.2f}", f"{line['f1']:.2f}")
        papers_own = (f"{line['paper_gap']:.2f}", f"{line['paper_f1']:.2f}")
        table.append((line["row"], *cost, *ours, line["size"], *papers_own))
    note = f"One video at a time on {threads} CPU thread{'s' * (threads > 1)}. The paper's results are on YouTube-8M."
    return f"{papers.markdown(table)}\n{note}\n"


def panels(lines: list[Mapping]) -> dict[str, dict[str, tuple[float, float]]]:
    """Points of the picture: the paper's results at the published sizes, and ours if the networks were trained."""
    printed = {}
    for line in lines:
        *_, size = papers.lookup("attendfusion", line["table"], line["row"]).parts
        printed[line["row"]] = (1e6 * float(size.value), line["paper_gap"])
    ours: dict[str, dict] = {}
    for line in lines:
        if line["gap"] is not None:
            ours.setdefault(f"ours: {line['size']}", {})[line["row"]] = (line["parameters"], line["gap"])
    return {"the paper: YouTube-8M": printed, **ours}


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m attendfusion.efficiency"))
