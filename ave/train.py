"""`python -m ave.train`: trains one of the paper's models and prints its figure beside the paper's."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

import keras
import numpy as np

from ave.config import (
    MODELS,
    PRESETS,
    RENDERED_MODEL,
    RENDERED_TRAINING,
    ModelConfig,
    TrainConfig,
    model_config,
    train_config,
)
from ave.models import segment_classifier
from ave.predict import forward_of, probabilities
from ave.recipe import compile_model
from ave.rows import rows_of
from avpipeline import metrics, plots
from avpipeline.cli import run
from avpipeline.datasets import load_split, load_weak_training
from avpipeline.datasets.base import Split
from avpipeline.datasets.rendered import rendered_clips
from avpipeline.errors import InputError
from avpipeline.files import sha256_file
from avpipeline.predict.segments import Predictor, predict_file, write_prediction
from avpipeline.results import papers
from avpipeline.results.evaluation import require_fit
from avpipeline.results.tables import described
from avpipeline.training import runs
from avpipeline.training.saved import ModelInfo, load_model
from avpipeline.training.settings import TrainSettings, preset_defaults, tell_test_bed


@dataclasses.dataclass(frozen=True)
class Settings(TrainSettings):
    """Settings of a training command."""

    paper: ClassVar[str] = "ave"

    model: Literal[tuple(MODELS)] = "av_att"
    """Which of the paper's models."""
    preset: Literal[PRESETS] = "code"
    """What the authors' code does, or what the paper says where they differ."""
    dataset: Literal["rendered", "ave"] = "rendered"
    """"ave" needs --data and is the default with it; "rendered" is a small test bed made on this machine."""
    data: Path | None = None
    """Folder with the dataset's official files."""
    out: Path | None = None
    """Folder of the run; the same command goes on where it was cut off. [default: runs/ave/MODEL-PRESET]"""
    noisy: bool = True
    """Weak models: the background videos without an event are joined to the training videos."""
    init_from: Path | None = None
    """Trained model to start from, as far as the layers are the same: a .keras file, or the folder of a run,
    of which each seed takes its own. The authors' DMRN was started from A+V-att."""
    network: ModelConfig = ModelConfig()
    training: TrainConfig = TrainConfig()


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


def experiment(settings: Settings, splits: dict[str, Split] | None = None) -> runs.Experiment:
    """The experiment that `settings` describe.

    Args:
      splits: `{"train", "val", "test"}` to use instead of loading the dataset; the training labels of a weak model
        are `(videos, classes)`.

    Raises:
      InputError: the data or the model to start from is missing or does not fit.
    """
    if splits is None:
        splits = load_splits(settings)
    train = splits["train"]
    network = fitted(settings.network, splits["val"])
    features = {name: train.features[name] for name in network.modalities}
    training = settings.training

    def build():
        return compile_model(segment_classifier(network, settings.model), training)

    info = ModelInfo(
        paper="ave",
        model=settings.model,
        preset=settings.preset,
        class_names=train.class_names,
        features=features,
        dataset=settings.dataset,
        config=dataclasses.asdict(network),
    )
    return runs.Experiment(
        build=build,
        info=info,
        **splits,
        settings=runs.settings_of(
            info,
            training,
            noisy=settings.noisy if network.weak else None,
            init_from=_identity(settings.init_from),
        ),
        epochs=training.epochs,
        batch_size=training.batch_size,
        shuffle=training.shuffle,
        validate_every=training.validate_every,
        score=metrics.segment_accuracy,
        metric="segment_accuracy",
        start=_start_from(settings.init_from, train) if settings.init_from else None,
        trained_output="video" if network.weak else None,
        scored_output="segments" if network.weak else None,
        reproduces=rows_of(settings.model),
        planned_epochs=planned_epochs(settings),
    )


def load_splits(settings: Settings) -> dict[str, Split]:
    """`{"train", "val", "test"}` of the dataset; a weak model's training split has one label a video."""
    where = {"data_dir": settings.data, "modalities": settings.network.modalities}
    splits = {name: load_split(settings.dataset, name, **where) for name in ("val", "test")}
    if settings.network.weak:
        return {"train": load_weak_training(settings.dataset, **where, noisy=settings.noisy), **splits}
    return {"train": load_split(settings.dataset, "train", **where), **splits}


def fitted(network: ModelConfig, split: Split) -> ModelConfig:
    """`network` with the numbers of classes and segments and the feature shapes of a dataset."""
    num_segments, num_classes = split.labels.shape[1:]
    shapes = {name: tuple(source.shape[1:]) for name, source in split.inputs.items()}
    sizes = {f"{name}_shape": shapes[name] for name in ("visual", "audio_map") if name in shapes}
    sizes |= {f"{name}_channels": shapes[name][-1] for name in ("audio", "motion") if name in shapes}
    return dataclasses.replace(network, num_classes=num_classes, num_segments=num_segments, **sizes)


def _identity(init_from: Path | None) -> dict | None:
    """What a run that starts from `init_from` says of it: a file's hash, or a run's configuration."""
    if init_from is None:
        return None
    if init_from.is_file():
        return {"sha256": sha256_file(init_from)}
    settings = init_from / "settings.json"
    if not settings.is_file():
        raise InputError(f"{init_from}: is neither a .keras file nor the folder of a run; train that model first.")
    return {"configuration": runs.configuration_hash(json.loads(settings.read_text()))}


def _start_from(init_from: Path, split: Split) -> Callable[[keras.Model, int], None]:
    """Function of (model, seed) that takes over every weight that has the same layer and shape in `init_from`."""

    def start(model: keras.Model, seed: int) -> None:
        path = init_from if init_from.is_file() else init_from / f"seed-{seed}" / "best.keras"
        source, info = load_model(path, paper="ave")
        require_fit(path, info, split)
        given = {weight.path: weight for weight in source.weights}
        taken = [weight for weight in model.weights if _same_shape(weight, given.get(weight.path))]
        if not taken:
            raise InputError(f"{path}: '{info.model}' and '{model.name}' have no layer in common; take another model.")
        for weight in taken:
            weight.assign(given[weight.path])
        kept = len(model.weights) - len(taken)
        print(f"seed {seed}: {len(taken)} weights are taken from {path}, {kept} start anew")

    return start


def _same_shape(weight, other) -> bool:
    return other is not None and tuple(weight.shape) == tuple(other.shape)


def main(settings: Settings) -> None:
    """Trains a model of the AVE paper, selects on validation, tests once; prints ours beside the paper's figure."""
    if settings.dataset == "rendered":
        tell_test_bed(settings, (*RENDERED_MODEL, *RENDERED_TRAINING))
    trained = experiment(settings)
    result = runs.run(trained, settings.folder, settings.all_seeds)
    report(settings, trained, result, measured_on(settings, trained.test))


def report(settings: TrainSettings, trained: runs.Experiment, result: dict, data: str) -> None:
    """Prints ours beside the paper's figure and shows the first seed's model on an example.

    Args:
      settings: of the run.
      trained: the experiment, of a model that labels segments.
      result: what result.json holds.
      data: what was measured on, in words.
    """
    table, row = trained.reproduces[0]
    measured = papers.Measured(tuple(100 * seed["test"] for seed in result["seeds"]), data)
    print(f"\n{settings.model}, preset {settings.preset}, {table} of the paper; ours selected on validation:\n")
    print(papers.comparison([(papers.lookup(settings.paper, table, row), measured)]))
    draw_example(trained, settings.folder / f"seed-{settings.seed}" / "best.keras", settings.folder / "example")
    print(f"Result, weights, logs and pictures are in {settings.folder}")


def planned_epochs(settings: Settings) -> int:
    """Epochs that the configuration has; a run of fewer is a smoke run."""
    return settings_for(settings.model, settings.preset, settings.dataset).training.epochs


def measured_on(settings: Settings, test: Split) -> str:
    """The data in words, and whether the training was a smoke run."""
    return described(data_in_words(test), settings.training.epochs, planned_epochs(settings))


def data_in_words(test: Split) -> str:
    """What a figure measured on this test split was measured on."""
    return f"rendered test bed, {len(test)} clips" if test.dataset == "rendered" else "AVE, test split"


def draw_example(trained: runs.Experiment, weights: Path, out: Path) -> None:
    """Shows the trained model on the first test video that has an event and background.

    A rendered clip is predicted from its file: timeline, attention over the frames, video with sound. AVE's
    files hold features and no pictures, so there the timeline stands alone.
    """
    background = trained.test.labels.shape[-1] - 1
    classes = trained.test.labels.argmax(-1)
    mixed = [video for video, seconds in enumerate(classes) if background in seconds and len(set(seconds)) > 1]
    video = mixed[0] if mixed else 0
    model, info = load_model(weights)
    if trained.test.dataset == "rendered":
        predictor = Predictor.of(forward_of(model), info, weights, window=classes.shape[1])
        write_prediction(predict_file(rendered_clips().paths("test")[video], predictor), predictor, out)
        return
    with np.load(weights.with_name("predictions.npz")) as file:
        predicted = probabilities(model, file["predictions"][video])
    name = trained.test.ids[video]
    title = f"{name} - {info.title}"
    plots.timeline(out / f"{name}_timeline.png", predicted, info.class_names, truth=classes[video], title=title)


def defaults(argv: list[str]) -> Settings:
    """The settings that the rest of the command line changes."""
    return preset_defaults(argv, settings_for, unchanged=Settings(), with_data="ave")


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.train", defaults=defaults))
