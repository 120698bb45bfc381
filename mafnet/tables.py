"""`python -m mafnet.tables`: trains the rows of the paper's tables and prints our results beside the paper's."""

import dataclasses
import functools
from pathlib import Path
from typing import Literal

import numpy as np

from avpipeline.cli import run
from avpipeline.cli.progress import link
from avpipeline.datasets import REGISTERED
from avpipeline.errors import InputError
from avpipeline.files import make_folder, read_predictions, write_csv
from avpipeline.results import papers
from avpipeline.results.tables import (
    Line,
    NotRun,
    chosen_rows,
    line_of,
    measure_tables,
    measuring,
    once_each,
    row_settings,
    shared_note,
)
from avpipeline.training.settings import DataSettings, TableSettings
from mafnet.config import DATASET_NAMES, EXTERNAL, TABLES
from mafnet.data import DATASETS, KINETICS_LISTS
from mafnet.train import PAPER

# The row with DMRN's original features: AVE's VGG-19 maps and VGGish embeddings.
_OTHER_FEATURES = "dmrn_vgg"
FIGURE_5 = "Figure 5"
# The figure has ten videos, (a) to (j).
_EXAMPLES = 10


@dataclasses.dataclass(frozen=True)
class Settings(DataSettings, TableSettings):
    """Settings of a tables command."""

    paper = "mafnet"

    table: Literal[(*TABLES, FIGURE_5, "all")] = "all"
    """Which table of the paper; Table 1 includes the published results of networks trained end to end. Figure 5: what
    the models of Table 1 predict for single videos."""
    dataset: "Literal[(*DATASETS, *REGISTERED)] | None" = None
    """What to train and evaluate on; with a real dataset, the rows of the others are listed as not run; with your
    own clips ("csv"), each model is run once. [default: "ave"
    with --data, else "rendered"]"""
    vgg_data: Path | None = None
    """Like --data, with VGG-19 maps and VGGish embeddings, for the row DMRN (their feat.). [default: --data]"""
    classes: Literal[KINETICS_LISTS] = 32
    """Kinetics-Sounds: which of its class lists."""


def main(settings: Settings) -> int:
    """Trains rows of the paper's tables with all seeds and prints our results beside the paper's.

    Examples:
      python -m mafnet.tables --table "Table 1" --epochs 2
      python -m mafnet.tables --data DIR --seeds 3
    """
    if settings.table == FIGURE_5:
        with measuring(settings) as is_chief:
            return examples(settings, is_chief)
    of_row, own = functools.partial(measure, settings), PAPER.own_models
    more: dict = {"further": (EXTERNAL,)} if "Table 1" in settings.chosen_tables(TABLES) else {}
    if settings.chosen_dataset == "csv":
        more = {"parts": once_each("mafnet")}
    return 0 if measure_tables(settings, TABLES, of_row, own=own, **more) else 2


def measure(settings: Settings, published: papers.Published) -> Line | NotRun:
    """Trains the model that reproduces a published result; resumes unfinished runs and reuses finished ones."""
    if published.table == EXTERNAL:
        return NotRun(published, "published result only: a network trained end to end on video", is_failure=False)
    dataset = settings.chosen_dataset
    if dataset in DATASET_NAMES and DATASET_NAMES[dataset] != published.dataset:
        other = next(name for name, printed in DATASET_NAMES.items() if printed == published.dataset)
        return NotRun(published, f"not run: on {published.dataset}, use --dataset {other}", is_failure=False)
    trained = PAPER.train(settings_of(settings, published), watch_test=True)
    return line_of(published, trained, note(published, dataset))


def settings_of(settings: Settings, published: papers.Published):
    """The training command's settings for the model that reproduces a published result."""
    model = PAPER.model_of(published.table, published.row)
    data = settings.vgg_data or settings.data if model == _OTHER_FEATURES else settings.data
    return row_settings(PAPER, settings, model, data=data, classes=settings.classes)


def examples(settings: Settings, is_chief: bool) -> int:
    """Figure 5: the class that each model of Table 1 predicts for every test video; prints some where they differ.

    Args:
      is_chief: whether this process writes and prints, and does not only train along.
    """
    import pandas as pd

    dataset = DATASET_NAMES.get(settings.chosen_dataset, DATASET_NAMES["ave"])
    table, status = pd.DataFrame(), 0
    rows = [row for row in chosen_rows("mafnet", ["Table 1"], settings.rows) if row.dataset == dataset]
    if not rows:
        raise InputError(f"--rows {' '.join(settings.rows)}: has no result on {dataset}; choose other rows.")
    for published in rows:
        # With the first seed; on UCF51, on the first official split.
        try:
            trained = measure(settings, published).trained
        except InputError as error:
            # The other models may not need what is missing here, as "their feat." needs --vgg-data.
            print(f"{published.row}: not run: {error}", flush=True)
            status = 2
            continue
        names = np.array(trained.experiment.info.class_names)
        stored = read_predictions(trained.predictions[0], "ids", "labels", "predictions")
        label, predicted = (names[stored[name].argmax(-1)] for name in ("labels", "predictions"))
        column = pd.DataFrame({"label": label, published.row: predicted}, index=pd.Index(stored["ids"], name="video"))
        table = column if table.empty else table.join(column[published.row], how="inner")
    if table.empty:
        raise InputError(f"{FIGURE_5}: none of its models could be trained on {dataset}; see the reasons above.")
    if not is_chief:
        return status
    path = make_folder(settings.folder) / "figure_5.csv"
    write_csv(path, table, index=True)
    differing = table[table.drop(columns="label").nunique(axis=1) > 1].head(_EXAMPLES).reset_index()
    print(f"\n{papers.markdown([tuple(differing.columns), *differing.astype(str).itertuples(index=False)])}")
    print(f"Videos of {trained.data} for which the models differ; all of them are in {link(path)}")
    return status


def note(published: papers.Published, dataset: str) -> str:
    """Which rows share a run, and why."""
    notes = [shared_note(PAPER, (published.table, published.row))]
    same = [other.dataset for other in papers.rows("mafnet", published.table) if other.row == published.row]
    if dataset == "rendered" and len(same) > 1:
        notes.append(f"one run on synthetic clips for {', '.join(same)}, whose rows only differ in the dataset")
    return "; ".join(filter(None, notes))


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m mafnet.tables"))
