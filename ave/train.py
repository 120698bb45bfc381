"""`python -m ave.train`: trains one of the paper's models and prints its figure beside the paper's."""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np

from ave.config import (
    MODELS,
    PRESETS,
    PUBLISHED_ROWS,
    RENDERED_MODEL,
    RENDERED_TRAINING,
    ModelConfig,
    TrainConfig,
    model_config,
    train_config,
)
from ave.models import segment_classifier
from ave.predict import forward_of
from ave.training import compile_model
from avpipeline import metrics, plots, published, runs
from avpipeline.cli import chosen, run
from avpipeline.datasets import load_split
from avpipeline.datasets.base import Split
from avpipeline.datasets.rendered import rendered_clips
from avpipeline.errors import InputError
from avpipeline.predictions import Predictor, predict_file, write_prediction
from avpipeline.saved import ModelInfo, load_model


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a training command."""

    model: Literal[tuple(MODELS)] = "av_att"
    """Which of the paper's models."""
    preset: Literal[PRESETS] = "code"
    """What the authors' code does, or what the paper says where they differ."""
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
    network: ModelConfig = ModelConfig()
    training: TrainConfig = TrainConfig()

    @property
    def folder(self) -> Path:
        return self.out or Path("runs") / "ave" / f"{self.model}-{self.preset}"


def settings_for(model: str, preset: str = "code", dataset: str = "rendered", **changes) -> Settings:
    """Default settings of a model, preset and dataset; `changes` are fields of `Settings`."""
    rendered = dataset == "rendered"
    return Settings(
        model=model,
        preset=preset,
        dataset=dataset,
        network=model_config(model, preset, **(RENDERED_MODEL if rendered else {})),
        training=train_config(preset, **(RENDERED_TRAINING if rendered else {})),
        **changes,
    )


def experiment(settings: Settings, splits: dict[str, Split] | None = None) -> runs.Experiment:
    """The experiment that `settings` describe.

    Args:
      splits: `{"train", "val", "test"}` to use instead of loading the dataset.
    """
    if splits is None:
        where = {"data_dir": settings.data, "modalities": settings.network.modalities}
        splits = {name: load_split(settings.dataset, name, **where) for name in ("train", "val", "test")}
    train = splits["train"]
    network = fitted(settings.network, train)
    features = {name: train.features[name] for name in network.modalities}
    training = settings.training
    return runs.Experiment(
        build=lambda: compile_model(segment_classifier(network, settings.model), training),
        info=ModelInfo(
            paper="ave",
            model=settings.model,
            preset=settings.preset,
            class_names=train.class_names,
            features=features,
            dataset=settings.dataset,
            config=dataclasses.asdict(network),
        ),
        **splits,
        settings={
            "paper": "ave",
            "model": settings.model,
            "preset": settings.preset,
            "dataset": settings.dataset,
            "network": dataclasses.asdict(network),
            "training": dataclasses.asdict(training),
            "features": {name: info.to_json() for name, info in features.items()},
        },
        epochs=training.epochs,
        batch_size=training.batch_size,
        shuffle=training.shuffle,
        validate_every=training.validate_every,
        score=metrics.segment_accuracy,
        metric="segment_accuracy",
    )


def fitted(network: ModelConfig, split: Split) -> ModelConfig:
    """`network` with the numbers of classes and segments and the feature shapes of a dataset."""
    num_segments, num_classes = split.labels.shape[1:]
    shapes = {}
    if "audio" in split.inputs:
        shapes["audio_channels"] = split.inputs["audio"].shape[-1]
    if "visual" in split.inputs:
        shapes["visual_shape"] = tuple(split.inputs["visual"].shape[1:])
    return dataclasses.replace(network, num_classes=num_classes, num_segments=num_segments, **shapes)


def main(settings: Settings) -> None:
    """Trains a model of the AVE paper, selects on validation, tests once; prints ours beside the paper's figure."""
    if settings.dataset == "rendered":
        if settings.data:
            raise InputError(f"{settings.data}: the rendered data is made here; leave out --data or --dataset.")
        changed = ", ".join(f"{name} {value}" for name, value in {**RENDERED_MODEL, **RENDERED_TRAINING}.items())
        print(f"On the rendered test bed; instead of the published sizes: {changed}")
    trained = experiment(settings)
    result = runs.run(trained, settings.folder, range(settings.seed, settings.seed + settings.seeds))

    table, row = PUBLISHED_ROWS[settings.model]
    measured = published.Measured(
        tuple(100 * seed["test"] for seed in result["seeds"]),
        "AVE, test split" if settings.dataset == "ave" else f"rendered test bed, {len(trained.test)} clips",
    )
    print(f"\n{settings.model}, preset {settings.preset}, {table} of the paper; ours selected on validation:\n")
    print(published.comparison([(published.lookup("ave", table, row), measured)]))
    draw_example(trained, settings.folder / f"seed-{settings.seed}" / "best.keras", settings.folder / "example")
    print(f"Result, weights, logs and pictures are in {settings.folder}")


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
        probabilities = file["predictions"][video]
    name = trained.test.ids[video]
    title = f"{name} - ave {info.model}, trained on {info.dataset}"
    plots.timeline(out / f"{name}_timeline.png", probabilities, info.class_names, truth=classes[video], title=title)


def defaults(argv: list[str]) -> Settings:
    """The settings that the rest of the command line changes."""
    first = chosen(argv, model="av_att", preset="code", dataset=None, data=None)
    dataset = first["dataset"] or ("ave" if first["data"] else "rendered")
    known = first["model"] in MODELS and first["preset"] in PRESETS
    # A name that does not exist is left to the parser, which lists those that do.
    return settings_for(first["model"], first["preset"], dataset) if known else Settings()


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.train", defaults=defaults))
