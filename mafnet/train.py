"""`python -m mafnet.train`: trains one of the paper's models and prints its figure beside the paper's."""

import dataclasses
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from avpipeline import metrics
from avpipeline.cli import run
from avpipeline.datasets.base import Split
from avpipeline.datasets.rendered import rendered_clips
from avpipeline.errors import InputError
from avpipeline.results import papers
from avpipeline.results.tables import described
from avpipeline.training import runs
from avpipeline.training.saved import ModelInfo, load_model
from avpipeline.training.settings import TrainSettings, preset_defaults, tell_test_bed
from mafnet.config import (
    MODELS,
    PRESETS,
    RENDERED_MODEL,
    RENDERED_TRAINING,
    ModelConfig,
    TrainConfig,
    model_config,
    train_config,
)
from mafnet.data import DATASETS, KINETICS_LISTS, fitted, load_split
from mafnet.models import classifier
from mafnet.pictures import modality_scores
from mafnet.predict import forward_of, load_predictor, predict_file, write_prediction
from mafnet.recipe import compile_model
from mafnet.rows import DATASET_NAMES, rows_of

# UCF51's official splits; its figure is the mean over them.
FOLDS = (1, 2, 3)


@dataclasses.dataclass(frozen=True)
class Settings(TrainSettings):
    """Settings of a training command."""

    paper: ClassVar[str] = "mafnet"

    model: Literal[tuple(MODELS)] = "mafnet"
    """Which of the paper's models."""
    preset: Literal[PRESETS] = "code"
    """What the authors' code does, or what the paper says where they differ."""
    dataset: Literal[DATASETS] = "rendered"
    """"ave" (the default with --data), "ucf51" (its three official splits one after the other, the mean reported) and
    "kinetics_sounds" need --data; "rendered" is a small test bed made on this machine."""
    data: Path | None = None
    """Folder with the dataset's official files and features."""
    classes: Literal[KINETICS_LISTS] = 32
    """Kinetics-Sounds: which of its lists of classes."""
    out: Path | None = None
    """Folder of the run; the same command goes on where it was cut off. [default: runs/mafnet/MODEL-PRESET]"""
    network: ModelConfig = ModelConfig()
    training: TrainConfig = TrainConfig()

    @property
    def folds(self) -> tuple[int, ...]:
        return FOLDS if self.dataset == "ucf51" else FOLDS[:1]


def settings_for(model: str, preset: str = "code", dataset: str = "rendered", **changes) -> Settings:
    """Default settings of a model, preset and dataset; `changes` are fields of `Settings`."""
    rendered = dataset == "rendered"
    return Settings(
        model=model,
        preset=preset,
        dataset=dataset,
        network=model_config(model, preset, **(RENDERED_MODEL if rendered else {})),
        training=train_config(preset, model, **(RENDERED_TRAINING if rendered else {})),
        **changes,
    )


def experiment(settings: Settings, splits: dict[str, Split] | None = None, *, fold: int = 1) -> runs.Experiment:
    """The experiment that `settings` describe.

    Args:
      splits: `{"train", "val", "test"}` as of `load_split`, to use instead of loading the dataset.
      fold: which of UCF51's official splits.

    Raises:
      InputError: the data is missing or does not fit, or a setting cannot be.
    """
    training = settings.training
    _check(training)
    if splits is None:
        splits = load_splits(settings, fold)
    network = fitted(settings.network, splits["train"])
    features = {name: splits["train"].features[name] for name in network.modalities}

    def build():
        # The run's seed has set NumPy's generator: the draws are a function of it.
        return compile_model(classifier(network, settings.model), training, seed=np.random.randint(2**31))

    info = ModelInfo(
        paper="mafnet",
        model=settings.model,
        preset=settings.preset,
        class_names=splits["train"].class_names,
        features=features,
        dataset=splits["train"].dataset,
        config=dataclasses.asdict(network),
    )
    return runs.Experiment(
        build=build,
        info=info,
        **splits,
        settings=runs.settings_of(info, training),
        epochs=training.epochs,
        batch_size=training.batch_size,
        shuffle=training.shuffle,
        validate_every=training.validate_every,
        score=metrics.segment_accuracy,
        metric="video_accuracy",
        reproduces=rows_of(settings.model),
        planned_epochs=planned_epochs(settings),
        patience=training.patience,
        min_improvement=training.min_improvement,
    )


def load_splits(settings: Settings, fold: int = 1) -> dict[str, Split]:
    """`{"train", "val", "test"}` of the dataset, with what the model reads."""
    where = {"data_dir": settings.data, "fold": fold, "classes": settings.classes}
    return {
        name: load_split(settings.dataset, name, settings.network, **where)
        for name in ("train", "val", "test")
    }


def _check(training: TrainConfig) -> None:
    shares = (training.prob_image, training.prob_all)
    if min(shares) < 0 or sum(shares) > 1:
        raise InputError(
            f"--prob-image {shares[0]} and --prob-all {shares[1]}: are no shares of the steps; give numbers from 0 on "
            "whose sum is at most 1."
        )
    for name in ("epochs", "validate_every", "patience"):
        if getattr(training, name) < 1:
            flag = name.replace("_", "-")
            raise InputError(f"--{flag} {getattr(training, name)}: must be at least 1.")


@dataclasses.dataclass(frozen=True)
class Trained:
    """A model's finished runs.

    Attributes:
      result: what result.json holds; of UCF51 each seed's scores are means over the three splits.
      predictions: the files that the figure is computed from.
      weights: of the first seed, on the first split.
      test: the split that was tested; of UCF51 the first.
    """

    result: dict
    predictions: tuple[Path, ...]
    weights: Path
    test: Split


def train(settings: Settings, *, watch_test: bool = False) -> Trained:
    """Trains over the seeds (and UCF51's splits), or goes on, or finds it finished.

    Args:
      watch_test: also note the best that the test split reached at any validation.
    """
    seeds = settings.all_seeds
    folders, results, test = [], [], None
    for fold in settings.folds:
        folder = settings.folder / f"split-{fold}" if len(settings.folds) > 1 else settings.folder
        if len(settings.folds) > 1:
            print(f"official split {fold} of {len(settings.folds)}", flush=True)
        trained = dataclasses.replace(experiment(settings, fold=fold), watch_test=watch_test)
        results.append(runs.run(trained, folder, seeds))
        folders.append(folder)
        test = test or trained.test
    result = results[0]
    if len(results) > 1:
        result = _mean_over_folds(settings, results)
        runs.write_json(settings.folder / "result.json", result)
    predictions = tuple(folder / f"seed-{seed}" / "predictions.npz" for seed in seeds for folder in folders)
    return Trained(result, predictions, folders[0] / f"seed-{settings.seed}" / "best.keras", test)


def _mean_over_folds(settings: Settings, results: list[dict]) -> dict:
    """One result of several splits': a seed's score is the mean of its scores on the splits."""
    seeds = []
    for of_seed in zip(*(result["seeds"] for result in results), strict=True):
        names = [name for name in ("val", "test", "best_on_test") if name in of_seed[0]]
        means = {name: float(np.mean([seed[name] for seed in of_seed])) for name in names}
        seeds.append({"seed": of_seed[0]["seed"], "parameters": of_seed[0]["parameters"], **means})
    together = {**results[0]["settings"], "dataset": settings.dataset}
    return {
        **results[0],
        "dataset": settings.dataset,
        "settings": together,
        "configuration": runs.configuration_hash(together),
        "clips": {result["dataset"]: result["clips"] for result in results},
        "splits": {result["dataset"]: result["test_mean"] for result in results},
        **runs.summary(seeds),
    }


def main(settings: Settings) -> None:
    """Trains a model of the MAFnet paper, selects on validation, tests once; prints ours beside the paper's figure."""
    if settings.dataset == "rendered":
        tell_test_bed(settings, (*RENDERED_MODEL, *RENDERED_TRAINING))
    trained = train(settings)
    table, row = rows_of(settings.model)[0]
    figure = figure_of(table, row, settings.dataset)
    scores = tuple(100 * seed["test"] for seed in trained.result["seeds"])
    measured = papers.Measured(scores, measured_on(settings, trained.test))
    print(f"\n{settings.model}, preset {settings.preset}, {table} of the paper; ours selected on validation:\n")
    print(papers.comparison([(figure, measured)]))
    draw_example(trained.weights, trained.test, settings.folder / "example")
    print(f"Result, weights, logs and pictures are in {settings.folder}")


def figure_of(table: str, row: str, dataset: str) -> papers.Figure:
    """The paper's figure of a row on a dataset; AVE's where the paper has none on it."""
    figures = {figure.dataset: figure for figure in papers.rows("mafnet", table) if figure.row == row}
    return figures.get(DATASET_NAMES.get(dataset), figures["AVE"])


def planned_epochs(settings: Settings) -> int:
    """Epochs that the configuration has; a run of fewer is a smoke run."""
    return settings_for(settings.model, settings.preset, settings.dataset).training.epochs


def measured_on(settings: Settings, test: Split) -> str:
    """The data in words, and whether the training was a smoke run."""
    words = {
        "rendered": f"rendered test bed, {len(test)} clips",
        "ave": "AVE, test split",
        "ucf51": "UCF51, mean of the three official test splits",
        "kinetics_sounds": f"Kinetics-Sounds ({settings.classes} classes), test split",
    }
    return described(words[settings.dataset], settings.training.epochs, planned_epochs(settings))


def draw_example(weights: Path, test: Split, out: Path) -> None:
    """Shows what the trained model attends to in the first test video (Figure 3).

    A rendered clip is predicted from its file. The other datasets' files hold features and no pictures, so there
    the scores stand alone.
    """
    if test.dataset == "rendered":
        predictor = load_predictor(weights)
        write_prediction(predict_file(rendered_clips().paths("test")[0], predictor), predictor, out)
        return
    model, info = load_model(weights, paper="mafnet")
    inputs = {name: test.inputs[name].read(np.array([0])) for name in model.input}
    probabilities, scores = forward_of(model)(inputs)
    if scores is None:
        return
    name = test.ids[0]
    title = f"{name}: {info.class_names[probabilities.argmax()]} - {info.title}"
    modality_scores(out / f"{name}_scores.png", scores, tuple(inputs), title=title)


def defaults(argv: list[str]) -> Settings:
    """The settings that the rest of the command line changes."""
    return preset_defaults(argv, settings_for, unchanged=Settings(), with_data="ave")


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m mafnet.train", defaults=defaults))
