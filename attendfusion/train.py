"""`python -m attendfusion.train`: trains one of the paper's models and prints its figures beside the paper's."""

import dataclasses
from pathlib import Path
from typing import ClassVar, Literal

import keras

from attendfusion.config import (
    MODELS,
    PRESETS,
    RENDERED_MODEL,
    RENDERED_TRAINING,
    ModelConfig,
    TrainConfig,
    model_config,
    train_config,
)
from attendfusion.data import DataSettings, Records, load_records
from attendfusion.evaluate import described
from attendfusion.evaluation import best_threshold, evaluate
from attendfusion.models import video_classifier
from attendfusion.recipe import compile_model
from attendfusion.rows import row_of
from avpipeline.cli import run
from avpipeline.datasets.base import Stream
from avpipeline.results import papers
from avpipeline.results.tables import described as described_data
from avpipeline.training import runs
from avpipeline.training.saved import ModelInfo
from avpipeline.training.settings import TrainSettings, preset_defaults, tell_test_bed


@dataclasses.dataclass(frozen=True)
class Settings(TrainSettings):
    """Settings of a training command."""

    paper: ClassVar[str] = "attendfusion"

    model: Literal[tuple(MODELS)] = "attend_fusion"
    """Which of the paper's models."""
    preset: Literal[PRESETS] = "paper"
    """There is no public code, so there is only what the paper says."""
    out: Path | None = None
    """Folder of the run; the same command goes on where it was cut off. [default: runs/attendfusion/MODEL-PRESET]"""
    records: DataSettings = DataSettings()
    network: ModelConfig = ModelConfig()
    training: TrainConfig = TrainConfig()


def settings_for(model: str, preset: str = "paper", dataset: str = "rendered", **changes) -> Settings:
    """Default settings of a model, preset and dataset; `changes` are fields of `Settings`."""
    rendered = dataset == "rendered"
    defaults = {
        "records": DataSettings(dataset=dataset),
        "network": model_config(model, preset, **(RENDERED_MODEL if rendered else {})),
        "training": train_config(preset, **(RENDERED_TRAINING if rendered else {})),
    }
    return Settings(model=model, preset=preset, **{**defaults, **changes})


def experiment(settings: Settings, records: Records | None = None) -> runs.Experiment:
    """The experiment that `settings` describe.

    Args:
      records: to use instead of loading the dataset.

    Raises:
      InputError: the data is missing or does not fit.
    """
    records = records or load_records(settings.records, dataclasses.asdict(settings.network))
    streams = {name: records.stream(name) for name in ("train", "val", "test")}
    network = fitted(settings.network, streams["train"])
    training = settings.training

    def build() -> keras.Model:
        return compile_model(video_classifier(network, settings.model), training)

    def measure(model: keras.Model, stream: Stream) -> runs.Outcome:
        threshold = training.f1_threshold
        if threshold is None:
            threshold = best_threshold(model, streams["val"])
        return evaluate(model, stream, threshold).outcome()

    info = ModelInfo(
        paper="attendfusion",
        model=settings.model,
        preset=settings.preset,
        class_names=streams["train"].class_names,
        features=streams["train"].features,
        dataset=settings.records.name,
        config={**dataclasses.asdict(network), "scale": records.scale},
    )
    return runs.Experiment(
        build=build,
        info=info,
        **streams,
        settings=runs.settings_of(info, training, network=dataclasses.asdict(network), scale=records.scale),
        epochs=training.epochs,
        batch_size=training.batch_size,
        shuffle=training.shuffle,
        validate_every=training.validate_every,
        score=None,
        metric="gap",
        reproduces=[row_of(settings.model)],
        planned_epochs=planned_epochs(settings),
        measure=measure,
    )


def fitted(network: ModelConfig, stream: Stream) -> ModelConfig:
    """`network` with the number of labels and the feature widths of a dataset."""
    widths = {f"{name}_channels": info.shape[-1] for name, info in stream.features.items()}
    return dataclasses.replace(network, num_classes=len(stream.class_names), **widths)


def main(settings: Settings) -> None:
    """Trains a model of the Attend-Fusion paper, selects on validation, tests once; prints ours beside its figures."""
    if settings.records.name == "rendered":
        tell_test_bed(settings, (*RENDERED_MODEL, *RENDERED_TRAINING))
    records = load_records(settings.records, dataclasses.asdict(settings.network))
    trained = experiment(settings, records)
    result = runs.run(trained, settings.folder, settings.all_seeds)

    table, row = row_of(settings.model)
    gap, f1, _ = papers.lookup("attendfusion", table, row).parts
    data = measured_on(settings, trained.test)
    ours = {name: tuple(100 * seed["figures"][name] for seed in result["seeds"]) for name in ("gap", "f1")}
    print(f"\n{settings.model}, {table} of the paper; ours selected on validation:\n")
    print(
        papers.comparison([(gap, papers.Measured(ours["gap"], data)), (f1, papers.Measured(ours["f1"], data))])
    )
    for seed in result["seeds"]:
        print(f"seed {seed['seed']}, {seed['parameters']:,} parameters:")
        print("\n".join(f"  {line}" for line in described(seed["figures"])))
    records.tell_skipped()
    print(f"Result, weights, logs and predictions are in {settings.folder}")


def planned_epochs(settings: Settings) -> int:
    """Epochs that the configuration has; a run of fewer is a smoke run."""
    return settings_for(settings.model, settings.preset, settings.records.name).training.epochs


def measured_on(settings: Settings, test: Stream) -> str:
    """The data in words, and whether the training was a smoke run or the network narrower than published."""
    where = settings.records.name
    data = "YouTube-8M, validate files" if where == "youtube8m" else f"rendered test bed, {len(test)} clips"
    published_width = model_config(settings.model, settings.preset).width
    if settings.network.width != published_width:
        data = f"{data}, width {settings.network.width} of {published_width}"
    return described_data(data, settings.training.epochs, planned_epochs(settings))


def defaults(argv: list[str]) -> Settings:
    """The settings that the rest of the command line changes."""
    return preset_defaults(argv, settings_for, unchanged=Settings(), with_data="youtube8m")


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m attendfusion.train", defaults=defaults))
