"""`python -m ave.tables`: trains the rows of the paper's tables and prints ours beside the paper's figures."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pandas as pd
import tensorflow as tf

from ave import train
from ave.config import PRESETS
from ave.rows import ROWS, SHARED
from avpipeline import published, runs
from avpipeline.cli import run
from avpipeline.errors import InputError
from avpipeline.files import atomic_path, make_folder

TABLES = tuple(dict.fromkeys(table for table, _ in ROWS))
# The authors started DMRN from a trained A+V-att; the row's run starts from the run of this model, seed by seed.
STARTS_FROM = {"dmrn": "av_att", "dmrfe": "av_att"}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a tables command."""

    table: Literal[(*TABLES, "all")] = "all"
    """Which table of the paper."""
    rows: tuple[str, ...] = ()
    """Which of its rows, by the names printed. [default: all]"""
    preset: Literal[PRESETS] = "code"
    """What the authors' code does, or what the paper says where they differ."""
    dataset: Literal["rendered", "ave"] | None = None
    """What to train and measure on. [default: "ave" with --data, else "rendered"]"""
    data: Path | None = None
    """Folder with the dataset's official files."""
    noisy: bool = True
    """Weak models: the background videos without an event are joined to the training videos."""
    seeds: int = 1
    """How many seeds to train for each row, counted up from --seed."""
    seed: int = 0
    """The first seed."""
    epochs: int | None = None
    """Epochs of every row instead of its own number; a row trained for fewer is marked "smoke"."""
    out: Path | None = None
    """Folder of the tables and all runs; the same command goes on where it was cut off.
    [default: runs/ave/tables/DATASET-PRESET]"""

    @property
    def chosen_dataset(self) -> str:
        return self.dataset or ("ave" if self.data else "rendered")

    @property
    def folder(self) -> Path:
        return self.out or Path("runs") / "ave" / "tables" / f"{self.chosen_dataset}-{self.preset}"


@dataclasses.dataclass(frozen=True)
class Line:
    """One row of a table, measured.

    Attributes:
      figure: the paper's.
      model: which of the package's models.
      measured: our figure, selected on validation.
      best_on_test: for each seed the best that the test split reached at any validation, in the metric's unit.
      configuration: its hash.
      parameters: of the model.
      predictions: for each seed the file that `measured` is computed from.
      smoke: trained for fewer epochs than the configuration has.
      note: where the paper gives two rows one system: which, and why.
    """

    figure: published.Figure
    model: str
    measured: published.Measured
    best_on_test: tuple[float, ...]
    configuration: str
    parameters: int
    predictions: tuple[Path, ...]
    smoke: bool
    note: str


def main(settings: Settings) -> None:
    """Trains rows of the paper's tables, each over the seeds, and prints ours beside the paper's figures."""
    if settings.chosen_dataset == "rendered" and settings.data:
        raise InputError(f"{settings.data}: the rendered data is made here; leave out --data or --dataset.")
    # TensorFlow warns of a loop that builds graphs; here each is another model.
    tf.get_logger().setLevel("ERROR")
    figures = chosen_rows(settings)
    lines = []
    for number, figure in enumerate(figures, start=1):
        print(f"\n[{number} of {len(figures)}] {figure.table}, {figure.row}", flush=True)
        lines.append(measure(settings, figure))
        # After each row, so that an interrupted command leaves what it has.
        written = write_tables(settings, lines)
    print(f"\n{as_markdown(lines)}\n{' and '.join(map(str, written))} hold this; the runs are in {settings.folder}")


def chosen_rows(settings: Settings) -> list[published.Figure]:
    """The figures that `settings` ask for, in the paper's order; InputError for a row that is not there."""
    wanted = TABLES if settings.table == "all" else (settings.table,)
    figures = [figure for figure in published.rows("ave") if figure.table in wanted]
    names = [figure.row for figure in figures]
    for row in settings.rows:
        if row not in names:
            raise InputError(f"row '{row}': is not in {settings.table}; its rows are {', '.join(names)}.")
    return [figure for figure in figures if not settings.rows or figure.row in settings.rows]


def measure(settings: Settings, figure: published.Figure) -> Line:
    """Trains what reproduces one figure, or goes on with it, or finds it finished."""
    place = (figure.table, figure.row)
    own = run_settings(settings, ROWS[place])
    experiment = dataclasses.replace(train.experiment(own), watch_test=True)
    folder = run_folder(settings, own.model)
    result = runs.run(experiment, folder, _seeds(settings))
    full = train.settings_for(own.model, own.preset, own.dataset).training.epochs
    smoke = own.training.epochs < full
    data = "AVE, test split" if own.dataset == "ave" else f"rendered test bed, {len(experiment.test)} clips"
    if smoke:
        data += f" (smoke: {own.training.epochs} of {full} epochs)"
    return Line(
        figure=figure,
        model=own.model,
        measured=published.Measured(tuple(100 * seed["test"] for seed in result["seeds"]), data),
        best_on_test=tuple(100 * seed["best_on_test"] for seed in result["seeds"]),
        configuration=experiment.hash,
        parameters=result["seeds"][0]["parameters"],
        predictions=tuple(folder / f"seed-{seed}" / "predictions.npz" for seed in _seeds(settings)),
        smoke=smoke,
        note=_note(place),
    )


def _note(place: tuple[str, str]) -> str:
    if place not in SHARED:
        return ""
    (table, row), reason = SHARED[place]
    return f"the same system as {table}, {row}: {reason}"


def run_settings(settings: Settings, model: str) -> train.Settings:
    """The training command's settings for one model; what it starts from is trained first."""
    own = train.settings_for(model, settings.preset, settings.chosen_dataset, data=settings.data, noisy=settings.noisy)
    if settings.epochs is not None:
        own = dataclasses.replace(own, training=dataclasses.replace(own.training, epochs=settings.epochs))
    if model in STARTS_FROM:
        first = STARTS_FROM[model]
        folder = run_folder(settings, first)
        print(f"{model} starts from {first}, whose run is {folder}", flush=True)
        experiment = dataclasses.replace(train.experiment(run_settings(settings, first)), watch_test=True)
        runs.run(experiment, folder, _seeds(settings))
        own = dataclasses.replace(own, init_from=folder)
    return own


def run_folder(settings: Settings, model: str) -> Path:
    """Where a model's run lies; runs of another length do not get in its way."""
    length = "" if settings.epochs is None else f"-{settings.epochs}-epochs"
    return settings.folder / f"{model}{length}"


def _seeds(settings: Settings) -> range:
    return range(settings.seed, settings.seed + settings.seeds)


def as_markdown(lines: Sequence[Line]) -> str:
    """Each table with the paper's figures and ours, then how ours were made."""
    texts = []
    for table in dict.fromkeys(line.figure.table for line in lines):
        own = [line for line in lines if line.figure.table == table]
        texts.append(f"## {table}\n\nOurs: selected on validation.\n")
        texts.append(published.comparison((line.figure, line.measured) for line in own))
        texts.append(
            'How ours were made. "Best on test" is the best that the test split reached at any validation, the '
            "figure that many follow-ups quote: the test split itself chose it, so it is too high. Nothing here is "
            "selected by it.\n"
        )
        headings = ("row", "model", "configuration", "parameters", "best on test", "predictions", "note")
        texts.append(published.markdown([headings, *(_how(line) for line in own)]))
    return "\n".join(texts)


def _how(line: Line) -> tuple[str, ...]:
    return (
        line.figure.row,
        line.model,
        line.configuration,
        f"{line.parameters:,}",
        published.mean_text(line.best_on_test, line.figure.value),
        ", ".join(map(str, line.predictions)),
        "; ".join(filter(None, ("smoke" if line.smoke else "", line.note))),
    )


def write_tables(settings: Settings, lines: Sequence[Line]) -> tuple[Path, Path]:
    """Writes the lines as Markdown and CSV into the folder of the runs; returns both paths."""
    stem = settings.table.lower().replace(" ", "_").replace(".", "_")
    folder = make_folder(settings.folder)
    paths = folder / f"{stem}.md", folder / f"{stem}.csv"
    with atomic_path(paths[0]) as temporary:
        temporary.write_text(as_markdown(lines), encoding="utf-8")
    with atomic_path(paths[1]) as temporary:
        pd.DataFrame([_record(line) for line in lines]).to_csv(temporary, index=False)
    return paths


def _record(line: Line) -> dict:
    values = pd.Series(line.measured.values)
    return {
        **dataclasses.asdict(line.figure),
        "model": line.model,
        "ours_mean": values.mean(),
        "ours_std": values.std(),
        "seeds": len(values),
        "our_data": line.measured.data,
        "selected_on": "val",
        "best_on_test_mean": pd.Series(line.best_on_test).mean(),
        "configuration": line.configuration,
        "parameters": line.parameters,
        "predictions": " ".join(map(str, line.predictions)),
        "smoke": line.smoke,
        "note": line.note,
    }


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.tables"))
