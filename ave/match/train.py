"""`python -m ave.match`: trains cross-modality localization and prints its figures beside the paper's."""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np

from ave.match.config import (
    MODELS,
    ONLY_OF,
    PRESETS,
    RENDERED_TRAINING,
    MatchModelConfig,
    MatchTrainConfig,
    match_model_config,
    match_train_config,
)
from ave.match.dcca import FitProjection, build_dcca, compile_dcca
from ave.match.networks import build_avdln, compile_avdln
from ave.match.pairs import CLASS_NAMES, load_videos, segment_pairs
from ave.match.predict import OTHER, Matcher, search, write_search
from ave.match.search import (
    DIRECTIONS,
    event_spans,
    exact_match,
    mean_exact_match,
    without_looking,
    without_looking_text,
)
from avpipeline.cli import chosen
from avpipeline.datasets.base import Split
from avpipeline.datasets.rendered import rendered_clips
from avpipeline.errors import InputError
from avpipeline.results import papers
from avpipeline.results.tables import Line, described, predictions_of
from avpipeline.training import runs
from avpipeline.training.saved import ModelInfo

# Rows of the paper's Table 3 -> (model, direction).
ROWS = {
    ("Table 3", f"{model.upper()} {direction.upper()}"): (model, direction)
    for model in MODELS
    for direction in DIRECTIONS
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a training command."""

    model: Literal[tuple(MODELS)] = "avdln"
    """Which network."""
    dataset: Literal["rendered", "ave"] = "rendered"
    """"ave" needs --data and is the default with it; "rendered" is a small test bed made on this machine."""
    data: Path | None = None
    """Folder with the dataset's official files."""
    seeds: int = 1
    """How many seeds to train, counted up from --seed."""
    seed: int = 0
    """The first seed."""
    out: Path | None = None
    """Folder of the run; the same command goes on where it was cut off. [default: runs/ave/MODEL-PRESET]"""
    network: MatchModelConfig = MatchModelConfig()
    training: MatchTrainConfig = MatchTrainConfig()

    @property
    def folder(self) -> Path:
        return self.out or Path("runs") / "ave" / f"{self.model}-{PRESETS[self.model]}"


def settings_for(model: str, dataset: str = "rendered", **changes) -> Settings:
    """Default settings of a model and dataset; `changes` are fields of `Settings`."""
    network, training = match_model_config(model), match_train_config(model, dataset)
    return Settings(**{"model": model, "dataset": dataset, "network": network, "training": training, **changes})


def experiment(settings: Settings, splits: dict[str, Split] | None = None) -> runs.Experiment:
    """The experiment that `settings` describe.

    Args:
      splits: `{"train", "val", "test"}` as `ave.match.pairs.load_videos` gives them, to use instead of loading.

    Raises:
      InputError: the data cannot be read, or a setting belongs to the other model.
    """
    network, training = (_of_model(settings.model, config) for config in (settings.network, settings.training))
    if splits is None:
        splits = {name: load_videos(settings.dataset, name, settings.data) for name in ("train", "val", "test")}
    pairs = segment_pairs(splits["train"], matching_only=settings.model == "dcca")
    build, compiled = {"avdln": (build_avdln, compile_avdln), "dcca": (build_dcca, compile_dcca)}[settings.model]
    preset = PRESETS[settings.model]
    return runs.Experiment(
        build=lambda: compiled(build(settings.network), settings.training),
        info=ModelInfo(
            paper="ave",
            model=settings.model,
            preset=preset,
            class_names=CLASS_NAMES,
            features=pairs.features,
            dataset=settings.dataset,
            config=network,
        ),
        **{**splits, "train": pairs},
        settings={
            "paper": "ave",
            "model": settings.model,
            "preset": preset,
            "dataset": settings.dataset,
            "network": network,
            "training": training,
            "features": {name: info.to_json() for name, info in pairs.features.items()},
        },
        epochs=settings.training.epochs,
        batch_size=settings.training.batch_size,
        shuffle=settings.training.shuffle,
        validate_every=settings.training.validate_every,
        score=mean_exact_match,
        metric="exact_match",
        callbacks=lambda: [FitProjection(pairs)] if settings.model == "dcca" else [],
    )


def _of_model(model: str, config) -> dict:
    """The settings that the model has, by name; InputError where one of another model was changed."""
    values = dataclasses.asdict(config)
    for owner, names in ONLY_OF.items():
        for name in names:
            if owner != model and name in values and values.pop(name) != getattr(type(config)(), name):
                raise InputError(f"--{name.replace('_', '-')}: {model} has no such setting, {owner} has; leave it out.")
    return values


def main(settings: Settings) -> None:
    """Trains a network that tells which sounds and pictures belong together, selects it on validation, and tests
    once: where in the video is a sound (A2V), where in the sound is a video (V2A); ours beside the paper's figures."""
    trained = experiment(settings)
    if settings.dataset == "rendered":
        changed = ", ".join(f"{name} {value}" for name, value in RENDERED_TRAINING[settings.model].items())
        print(f"On the rendered test bed; instead of the settings for AVE: {changed or 'nothing'}")
    result = runs.run(trained, settings.folder, range(settings.seed, settings.seed + settings.seeds))
    measured = direction_scores(settings.folder, [seed["seed"] for seed in result["seeds"]])
    runs.write_json(settings.folder / "directions.json", {**measured, **without_looking(trained.test.labels)})
    print(f"\n{settings.model}, Table 3 of the paper: exact matches; ours selected on validation:\n")
    print(comparison(settings.model, trained.test, measured))
    if settings.dataset == "rendered":
        weights = settings.folder / f"seed-{settings.seed}" / "best.keras"
        draw_example(trained.test, weights, settings.folder / "example")
    print(f"Result, weights, logs and pictures are in {settings.folder}")


def direction_scores(folder: Path, seeds, file_name: str = "predictions.npz") -> dict[str, list[float]]:
    """Each direction's share of exact matches, one a seed, computed from the predictions that the run stored."""
    scores = {direction: [] for direction in DIRECTIONS}
    for seed in seeds:
        with np.load(Path(folder) / f"seed-{seed}" / file_name) as file:
            events, distances = file["labels"], file["predictions"]
        for direction, values in scores.items():
            values.append(exact_match(events, distances, direction))
    return scores


def comparison(model: str, test: Split, scores: dict[str, list[float]]) -> str:
    """The rows of Table 3 that `model` has, ours beside the paper's, and what is reached without looking."""
    lines = [
        (papers.lookup("ave", *place), _measured(scores[direction], _data(test)))
        for place, (name, direction) in ROWS.items()
        if name == model
    ]
    return f"{papers.comparison(lines)}\n{without_looking_text(test.labels)}"


def _measured(scores, data: str) -> papers.Measured:
    return papers.Measured(tuple(100 * score for score in scores), data)


def _data(test: Split) -> str:
    """What was measured on, in words."""
    events = test.labels.sum(1)
    rated = int(((events > 0) & (events < test.labels.shape[1])).sum())
    name = "AVE, test split" if test.dataset == "ave" else f"{test.dataset} test bed"
    return f"{name}, {rated} short events"


def draw_example(test: Split, weights: Path, out: Path) -> None:
    """Draws both searches for the event of the first short-event clip of the rendered test split."""
    starts, lengths = (np.asarray(values) for values in event_spans(test.labels))
    video = int(np.flatnonzero((lengths > 0) & (lengths < test.labels.shape[1]))[0])
    start, end = int(starts[video]), int(starts[video] + lengths[video])
    matcher, clip = Matcher.load(weights), rendered_clips().paths("test")[video]
    for query in OTHER:
        write_search(search(matcher, clip, start, end, query=query), matcher, out)


def train_row(row: str, settings: Settings) -> Line:
    """Trains one row of Table 3, or finds it trained: the second direction of a model costs nothing.

    Args:
      row: e.g. `"AVDLN A2V"`.
      settings: of the row's model, as from `settings_for(ROWS["Table 3", row][0], ...)`.

    Returns:
      The row's line. Its best on test is at the validation at which the mean of both directions was best.
    """
    model, direction = ROWS["Table 3", row]
    if settings.model != model:
        raise ValueError(f"row {row} is trained with the model {model}, not {settings.model}")
    trained = dataclasses.replace(experiment(settings), watch_test=True)
    seeds = range(settings.seed, settings.seed + settings.seeds)
    result = runs.run(trained, settings.folder, seeds)
    full = match_train_config(model, settings.dataset).epochs
    data = described(_data(trained.test), settings.training.epochs, full)
    watched = direction_scores(settings.folder, seeds, "best_on_test.npz")[direction]
    return Line(
        figure=papers.lookup("ave", "Table 3", row),
        measured=_measured(direction_scores(settings.folder, seeds)[direction], data),
        result=result,
        predictions=predictions_of(result, settings.folder),
        smoke=settings.training.epochs < full,
        note="A2V and V2A of a model are two readings of one run, selected by their mean",
        best_on_test=tuple(100 * score for score in watched),
    )


def defaults(argv: list[str]) -> Settings:
    """The settings that the rest of the command line changes."""
    first = chosen(argv, model="avdln", dataset=None, data=None)
    dataset = first["dataset"] or ("ave" if first["data"] else "rendered")
    # A name that does not exist is left to the parser, which lists those that do.
    return settings_for(first["model"], dataset) if first["model"] in MODELS else Settings()
