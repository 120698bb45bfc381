"""`python -m eventlayers.tables`: trains the rows of the paper's tables and prints our results beside the paper's."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from avpipeline.cli import run
from avpipeline.datasets import REGISTERED
from avpipeline.errors import InputError
from avpipeline.results import papers
from avpipeline.results.tables import Line, NotRun, measure_tables, once_each
from avpipeline.training.paper import Trained
from avpipeline.training.settings import TableSettings
from eventlayers import data
from eventlayers.config import ANNOTATED, BACKBONE_SETS, DATASETS, INPUTS, PRESETS, STANDS_FOR, TABLES
from eventlayers.data import RENDERED, default_inputs, require_source
from eventlayers.readings import measured, model_of
from eventlayers.stages import datasets_of_backbones, needs_backbones
from eventlayers.train import PAPER
from eventlayers.train import Settings as TrainingSettings


@dataclasses.dataclass(frozen=True)
class Settings(TableSettings):
    """Settings of a tables command."""

    paper = "eventlayers"

    table: Literal[(*TABLES, "all")] = "all"
    rows: tuple[str, ...] = ()
    """Which of its rows, by the names printed, on every dataset, and which models of your own (--import).
    [default: all]"""
    preset: Literal[PRESETS] = "paper"
    """There is no public code to follow, only the paper."""
    dataset: "Literal[tuple(name for name in (*data.DATASETS, *REGISTERED) if name != 'rendered_pairs')]" = "rendered"
    """What to train and evaluate on. "rendered" (synthetic clips) stands in for every dataset in the tables, with two
    events per clip for LLP; with another dataset of the tables only its own rows are run, with any other dataset and
    your own clips ("csv") each model once."""
    data: Path | None = None
    """Folder with the dataset's official lists."""
    clips: Path | None = None
    """Folder with its video files, directly or in subfolders. [default: --data]"""
    inputs: Literal[INPUTS] | None = None
    """Features of frozen backbones, or clips. [default: features for synthetic clips, else clips as in the paper]"""
    from_backbones: Path | None = None
    """Folder with the runs of audio_only and vision_only on clips, whose backbones make the features of a real dataset.
    """
    backbones: Literal[tuple(BACKBONE_SETS)] | None = None
    """The backbones, as in training. [default: small ones for synthetic clips, else the published]"""
    video_weights: str = "default"
    """Initial weights of MC3-18, as in training."""

    @property
    def chosen_inputs(self) -> str:
        return self.inputs or default_inputs(self.dataset)

    @property
    def chosen_dataset(self) -> str:
        return self.dataset

    def check(self) -> None:
        require_source(self.dataset, self.data, self.clips)
        on_features = self.chosen_inputs == "features" and self.dataset not in RENDERED
        if on_features and datasets_of_backbones(self.from_backbones) != {self.dataset}:
            raise InputError(
                "--inputs features: the audio network has no published weights, and the paper's rows need one trained "
                f"on {self.dataset}; give --from-backbones, or leave out --inputs to train on clips."
            )
        if self.from_backbones and not on_features:
            raise InputError("--from-backbones: only serves --inputs features of a real dataset; leave it out.")


def main(settings: Settings) -> int:
    """Trains rows of the paper's tables with all seeds and prints our results beside the paper's.

    Examples:
      python -m eventlayers.tables --table "Table 1"
      python -m eventlayers.tables --dataset vggsound --data LISTS --clips VIDEOS
    """

    # However many rows are computed from a model's scores.
    @functools.cache
    def trained(model: str, dataset: str) -> Trained:
        return PAPER.train(run_settings(settings, model, dataset), watch_test=True)

    of_row = functools.partial(measure, settings, trained)
    parts = {"parts": once_each("eventlayers")} if settings.dataset not in (*RENDERED, *DATASETS.values()) else {}
    return 0 if measure_tables(settings, TABLES, of_row, own=PAPER.own_models, **parts) else 2


def run_settings(settings: Settings, model: str, dataset: str) -> TrainingSettings:
    """The training command's settings for a model; all models share the backbones."""
    folder = settings.run_folder(dataset)
    passed = ("data", "clips", "video_weights", "seeds", "seed", "devices", "logger")
    where = {name: getattr(settings, name) for name in passed}
    own = PAPER.settings_for(model, settings.preset, dataset, settings.chosen_inputs, out=folder / model, **where)
    if settings.backbones:
        own = dataclasses.replace(own, network=dataclasses.replace(own.network, backbones=settings.backbones))
    from_backbones = folder if needs_backbones(own.network) else settings.from_backbones
    return settings.shortened(dataclasses.replace(own, from_backbones=from_backbones))


def measure(settings: Settings, trained: Callable[[str, str], Trained], published: papers.Published) -> Line | NotRun:
    """Our counterpart of a published result, from the scores of the model that reproduces it.

    Args:
      trained: trains a model on a dataset, unless an earlier row did; InputError where data or weights are missing.
    """
    dataset = measured_on(settings, published)
    if dataset is None:
        needed = f"--dataset {DATASETS.get(published.dataset)} with its --data"
        if published.dataset == ANNOTATED:
            needed = "annotators' labels of the model's predictions; python -m eventlayers.evaluate measures them"
        return NotRun(published, f"not run: needs {needed}", is_failure=False)
    runs = trained(model_of(published), dataset)
    seeds = runs.result["seeds"]
    watched = tuple(100 * seed["best_on_test"] for seed in seeds) if published.table == "Table 1" else ()
    values = measured(published, runs.predictions, runs.experiment.info.class_names)
    return Line(published, runs, values, _note(published, dataset), watched)


def measured_on(settings: Settings, published: papers.Published) -> str | None:
    """The dataset on which a result is measured here; None if it needs another one than `settings` name.

    On a dataset that is in no table, such as the user's own clips, every model is measured.
    """
    if settings.dataset in RENDERED:
        return next(rendered for rendered, stands_for in STANDS_FOR.items() if published.dataset in stands_for)
    in_tables = settings.dataset in DATASETS.values()
    return settings.dataset if not in_tables or settings.dataset == DATASETS.get(published.dataset) else None


def _note(published: papers.Published, dataset: str) -> str:
    notes = []
    if len(STANDS_FOR.get(dataset, ())) > 1:
        notes.append(f"one run for {', '.join(STANDS_FOR[dataset])}: their rows only differ in the dataset")
    model = model_of(published)
    if published.table != "Table 1":
        notes.append(f"computed from the scores of {model}, like every row of {model} on this data")
    return "; ".join(notes)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m eventlayers.tables"))
