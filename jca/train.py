"""`python -m jca.train`: trains one of the paper's models and prints its figure beside the paper's."""

import dataclasses
from pathlib import Path
from typing import ClassVar, Literal

from ave.train import data_in_words, fitted, report
from avpipeline import metrics
from avpipeline.cli import run
from avpipeline.datasets import load_split
from avpipeline.datasets.base import Split
from avpipeline.errors import InputError
from avpipeline.results.tables import described
from avpipeline.training import runs
from avpipeline.training.saved import ModelInfo
from avpipeline.training.settings import TrainSettings, preset_defaults, tell_test_bed
from jca.config import (
    MODELS,
    PRESETS,
    RENDERED_MODEL,
    RENDERED_TRAINING,
    ModelConfig,
    TrainConfig,
    model_config,
    train_config,
)
from jca.models import segment_classifier
from jca.recipe import callbacks, compile_model
from jca.rows import rows_of

MODALITIES = ("audio", "visual")
_AT_LEAST = {
    "epochs": 1,
    "batch_size": 1,
    "validate_every": 1,
    "plateau_patience": 0,
    "recursions": 0,
    "num_layers": 1,
    "affinity_units": 1,
}
_SHARES = ("dropout", "recurrent_dropout")


@dataclasses.dataclass(frozen=True)
class Settings(TrainSettings):
    """Settings of a training command."""

    paper: ClassVar[str] = "jca"

    model: Literal[tuple(MODELS)] = "jca"
    """Which of the paper's models; the other rows of Table 1 are models of python -m ave.train."""
    preset: Literal[PRESETS] = "code"
    """What the authors' code does, or what the paper says where they differ."""
    dataset: Literal["rendered", "ave"] = "rendered"
    """"ave" needs --data and is the default with it; "rendered" is a small test bed made on this machine."""
    data: Path | None = None
    """Folder with the dataset's official files."""
    out: Path | None = None
    """Folder of the run; the same command goes on where it was cut off. [default: runs/jca/MODEL-PRESET]"""
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
      splits: `{"train", "val", "test"}` to use instead of loading the dataset.

    Raises:
      InputError: the data is missing or does not fit, or a setting cannot be.
    """
    _check(settings)
    if splits is None:
        splits = load_splits(settings)
    train, training = splits["train"], settings.training
    network = fitted(settings.network, train)
    features = {name: train.features[name] for name in MODALITIES}

    def build():
        return compile_model(segment_classifier(network, settings.model), training)

    info = ModelInfo(
        paper="jca",
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
        settings=runs.settings_of(info, training),
        epochs=training.epochs,
        batch_size=training.batch_size,
        shuffle=training.shuffle,
        validate_every=training.validate_every,
        score=metrics.segment_accuracy,
        metric="segment_accuracy",
        reproduces=rows_of(settings.model),
        planned_epochs=planned_epochs(settings),
        callbacks=lambda: callbacks(training),
    )


def load_splits(settings: Settings) -> dict[str, Split]:
    """`{"train", "val", "test"}` of the dataset."""
    return {
        name: load_split(settings.dataset, name, data_dir=settings.data, modalities=MODALITIES)
        for name in ("train", "val", "test")
    }


def _check(settings: Settings) -> None:
    values = {**vars(settings.network), **vars(settings.training)}
    flags = {name: f"--{name.replace('_', '-')} {value}" for name, value in values.items()}
    for name, least in _AT_LEAST.items():
        if values[name] < least:
            raise InputError(f"{flags[name]}: must be at least {least}.")
    for name in _SHARES:
        if not 0 <= values[name] < 1:
            raise InputError(f"{flags[name]}: is no share to leave out; give at least 0 and less than 1.")
    if not 0 < values["plateau_factor"] < 1:
        raise InputError(f"{flags['plateau_factor']}: lowers nothing; give a factor between 0 and 1.")
    for name in ("video_size", "audio_size"):
        if values[name] < 2 or values[name] % 2:
            raise InputError(f"{flags[name]}: must be even, since two directions make it up.")


def main(settings: Settings) -> None:
    """Trains a model of the JCA paper, selects on validation, tests once; prints ours beside the paper's figure."""
    if settings.dataset == "rendered":
        tell_test_bed(settings, (*RENDERED_MODEL, *RENDERED_TRAINING))
    trained = experiment(settings)
    result = runs.run(trained, settings.folder, settings.all_seeds)
    report(settings, trained, result, measured_on(settings, trained.test))


def planned_epochs(settings: Settings) -> int:
    """Epochs that the configuration has; a run of fewer is a smoke run."""
    return settings_for(settings.model, settings.preset, settings.dataset).training.epochs


def measured_on(settings: Settings, test: Split) -> str:
    """The data in words, and whether the training was a smoke run."""
    return described(data_in_words(test), settings.training.epochs, planned_epochs(settings))


def defaults(argv: list[str]) -> Settings:
    """The settings that the rest of the command line changes."""
    return preset_defaults(argv, settings_for, unchanged=Settings(), with_data="ave")


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m jca.train", defaults=defaults))
