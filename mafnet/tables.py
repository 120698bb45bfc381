"""`python -m mafnet.tables`: trains the rows of the paper's tables and prints ours beside the paper's figures."""

import dataclasses
import functools
from pathlib import Path
from typing import Literal

import tensorflow as tf

from avpipeline.cli import run
from avpipeline.datasets import require_no_folder
from avpipeline.results import papers
from avpipeline.results.table_runs import TableSettings
from avpipeline.results.tables import Line, NotRun, chosen_rows, line_of, measure_rows
from mafnet import train
from mafnet.config import PRESETS
from mafnet.data import DATASETS, KINETICS_LISTS
from mafnet.rows import DATASET_NAMES, EXTERNAL, ROWS, SHARED, TABLES

# DMRN's own features: AVE's VGG-19 maps and VGGish embeddings.
_OTHER_FEATURES = "dmrn_vgg"


@dataclasses.dataclass(frozen=True)
class Settings(TableSettings):
    """Settings of a tables command."""

    paper = "mafnet"

    table: Literal[(*TABLES, "all")] = "all"
    """Which table of the paper; Table 1 brings the published figures of networks trained end to end with it."""
    preset: Literal[PRESETS] = "code"
    dataset: Literal[DATASETS] | None = None
    """What to train and measure on; with a real dataset, the rows of the others are listed as not run. [default: "ave"
    with --data, else "rendered"]"""
    data: Path | None = None
    """Folder with the dataset's official files and features."""
    vgg_data: Path | None = None
    """The same with VGG-19 and VGGish embeddings, for the row DMRN (their feat.). [default: --data]"""
    classes: Literal[KINETICS_LISTS] = 32
    """Kinetics-Sounds: which of its lists of classes."""

    @property
    def chosen_dataset(self) -> str:
        return self.dataset or ("ave" if self.data else "rendered")


def main(settings: Settings) -> int:
    """Trains rows of the paper's tables, each over the seeds, and prints ours beside the paper's figures."""
    if settings.chosen_dataset == "rendered":
        require_no_folder(settings.data)
    # TensorFlow warns of a loop that builds graphs; here each is another model.
    tf.get_logger().setLevel("ERROR")
    wanted = TABLES if settings.table == "all" else (settings.table,)
    figures = chosen_rows("mafnet", (*wanted, EXTERNAL) if "Table 1" in wanted else wanted, settings.rows)
    complete = measure_rows(figures, functools.partial(measure, settings), settings.folder, settings.table)
    return 0 if complete else 2


def measure(settings: Settings, figure: papers.Figure) -> Line | NotRun:
    """Trains what reproduces one figure, or goes on with it, or finds it finished."""
    if figure.table == EXTERNAL:
        return NotRun(figure, "published reference only: a network trained end to end on video", is_failure=False)
    dataset = settings.chosen_dataset
    if dataset != "rendered" and DATASET_NAMES[dataset] != figure.dataset:
        other = next(name for name, printed in DATASET_NAMES.items() if printed == figure.dataset)
        return NotRun(figure, f"not run: of {figure.dataset}, take --dataset {other}", is_failure=False)
    own = run_settings(settings, ROWS[figure.table, figure.row])
    trained = train.train(own, watch_test=True)
    line = line_of(
        figure,
        trained.result,
        own.folder,
        data=train.measured_on(own, trained.test),
        smoke=own.training.epochs < train.planned_epochs(own),
        note=note(figure, dataset),
    )
    return dataclasses.replace(line, predictions=trained.predictions)


def run_settings(settings: Settings, model: str) -> train.Settings:
    """The training command's settings for one model."""
    own = train.settings_for(
        model,
        settings.preset,
        settings.chosen_dataset,
        data=settings.vgg_data or settings.data if model == _OTHER_FEATURES else settings.data,
        classes=settings.classes,
        seeds=settings.seeds,
        seed=settings.seed,
        out=settings.run_folder(model),
    )
    return settings.shortened(own)


def note(figure: papers.Figure, dataset: str) -> str:
    """What rows have one run, and why."""
    notes = []
    place = (figure.table, figure.row)
    if place in SHARED:
        (table, row), reason = SHARED[place]
        notes.append(f"the same system as {table}, {row}: {reason}")
    same = [other.dataset for other in papers.rows("mafnet", figure.table) if other.row == figure.row]
    if dataset == "rendered" and len(same) > 1:
        notes.append(f"one rendered run for the rows of {', '.join(same)}, which differ in the dataset only")
    return "; ".join(notes)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m mafnet.tables"))
