"""`python -m eventlayers.train`: trains one of the paper's models and prints its figures beside the paper's."""

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

import keras

from avpipeline.cli import chosen, run
from avpipeline.datasets.base import Split
from avpipeline.errors import InputError
from avpipeline.results import papers, tables
from avpipeline.training import runs
from avpipeline.training.saved import ModelInfo, load_model
from avpipeline.training.settings import TrainSettings, tell_test_bed
from eventlayers.config import (
    BACKBONE_MODELS,
    BACKBONE_SETS,
    INPUTS,
    MODELS,
    PRESETS,
    RENDERED_MODEL,
    RENDERED_TRAINING,
    ModelConfig,
    TrainConfig,
    model_config,
    train_config,
)
from eventlayers.data import DATASETS, RENDERED, Source, load_splits, require_source, trained_backbones, videos_of
from eventlayers.models import BACKBONES, video_classifier
from eventlayers.predict import Predictor, write_file
from eventlayers.recipe import compile_model, precision
from eventlayers.rows import accuracy, figures_of, measured, reading_of, rows_of
from eventlayers.time_steps import TimeStepBackbones, time_step_backbones
from eventlayers.voting import video_accuracy


@dataclasses.dataclass(frozen=True)
class Settings(TrainSettings):
    """Settings of a training command."""

    paper: ClassVar[str] = "eventlayers"

    model: Literal[tuple(MODELS)] = "event_layers"
    """Which of the paper's models."""
    preset: Literal[PRESETS] = "paper"
    """There is no public code, so there is only what the paper says."""
    dataset: Literal[tuple(DATASETS)] = "rendered"
    """What to train and measure on; "rendered" and "rendered_pairs" (two events a clip) are small test beds made on
    this machine, the others need --data."""
    data: Path | None = None
    """Folder with the dataset's official lists."""
    clips: Path | None = None
    """Folder with its video files, in it or below it. [default: --data]"""
    out: Path | None = None
    """Folder of the run; the same command goes on where it was cut off.
    [default: runs/eventlayers/MODEL-PRESET, with the dataset and "clips" where they are not the defaults]"""
    video_weights: str = "default"
    """What MC3-18 begins with: "default" (Kinetics-400, as in the paper), "none" or a torchvision checkpoint."""
    from_backbones: Path | None = None
    """Folder of the runs audio_only and vision_only on clips that give the backbones. Models on clips with both
    streams begin with them and train them there first where they are not yet [default: the folder "backbones" in
    --out]; models on features take the features of their first seed's, left as they are."""
    network: ModelConfig = ModelConfig()
    training: TrainConfig = TrainConfig()

    @property
    def folder(self) -> Path:
        if self.out:
            return self.out
        parts = [self.model, self.preset]
        parts += [self.dataset] if self.dataset != "rendered" else []
        parts += ["clips"] if self.network.inputs == "clips" else []
        return Path("runs") / self.paper / "-".join(parts)

    @property
    def source(self) -> Source:
        return Source(self.dataset, self.data, self.clips)


def settings_for(
    model: str, preset: str = "paper", dataset: str = "rendered", inputs: str = "features", **changes
) -> Settings:
    """Default settings of a model, preset, dataset and kind of inputs; `changes` are fields of `Settings`."""
    rendered = dataset in RENDERED
    network = model_config(model, preset, inputs=inputs, **(RENDERED_MODEL if rendered else {}))
    training = train_config(preset, model, inputs, **(RENDERED_TRAINING[inputs] if rendered else {}))
    return Settings(model=model, preset=preset, dataset=dataset, network=network, training=training, **changes)


def experiment(settings: Settings, splits: dict[str, Split] | None = None) -> runs.Experiment:
    """The experiment that `settings` describe.

    Args:
      splits: `{"train", "val", "test"}` to use instead of loading the dataset.

    Raises:
      InputError: data, weights or the backbones to start from are missing or do not fit.
    """
    if splits is None:
        splits = splits_of(settings)
    train_split = splits["train"]
    network, training = fitted(settings.network, splits["val"]), settings.training
    features = {name: train_split.features[name] for name in network.modalities}
    second_stage = needs_backbones(network)

    def build():
        with precision(training.precision):
            weights = None if second_stage or settings.video_weights == "none" else settings.video_weights
            model = video_classifier(network, settings.model, weights)
        return compile_model(model, training)

    info = ModelInfo(
        paper="eventlayers",
        model=settings.model,
        preset=settings.preset,
        class_names=train_split.class_names,
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
            video_weights=settings.video_weights,
            backbones=_backbone_identities(settings) if second_stage else None,
        ),
        epochs=training.epochs,
        batch_size=training.clips_a_step,
        shuffle=training.shuffle,
        validate_every=training.validate_every,
        score=video_accuracy,
        metric="video_accuracy",
        reproduces=rows_of(settings.model),
        planned_epochs=planned_epochs(settings),
        start=_start_from_backbones(settings) if second_stage else None,
    )


def splits_of(settings: Settings) -> dict[str, Split]:
    """`{"train", "val", "test"}` of the dataset."""
    return load_splits(settings.source, settings.network, functools.partial(frozen_backbones, settings))


def frozen_backbones(settings: Settings) -> TimeStepBackbones | None:
    """What makes the features of a model on features; None for one on clips."""
    if settings.network.inputs == "clips":
        return None
    if settings.from_backbones:
        return trained_backbones(settings.from_backbones)
    return time_step_backbones(settings.network.backbones, settings.video_weights)


def needs_backbones(network: ModelConfig) -> bool:
    """Whether the model is the second stage of the training, whose backbones were trained alone before."""
    return network.inputs == "clips" and len(network.modalities) > 1


def fitted(network: ModelConfig, split: Split) -> ModelConfig:
    """`network` with the number of classes of a dataset and the shapes of its inputs."""
    shapes = {name: tuple(source.shape) for name, source in split.inputs.items()}
    sizes = {"num_classes": split.labels.shape[1]}
    if network.inputs == "clips":
        sizes["frame_size"] = BACKBONE_SETS[network.backbones]
    else:
        sizes |= {"num_moments": next(shapes[name][0] for name in network.modalities)}
        sizes |= {f"{name}_channels": shapes[name][1] for name in network.modalities}
    return dataclasses.replace(network, **sizes)


def backbone_settings(settings: Settings, modality: str) -> Settings:
    """The first stage of `settings`: one backbone alone with a linear head, trained as long as the second stage."""
    model = BACKBONE_MODELS[modality]
    own = settings_for(model, settings.preset, settings.dataset, settings.network.inputs)
    return dataclasses.replace(
        settings,
        model=model,
        network=dataclasses.replace(own.network, backbones=settings.network.backbones),
        training=dataclasses.replace(settings.training, learning_rate=own.training.learning_rate),
        out=(settings.from_backbones or settings.folder / "backbones") / model,
        from_backbones=None,
    )


def train(settings: Settings, splits: dict[str, Split] | None = None, **changes) -> tuple[runs.Experiment, dict]:
    """Trains what `settings` describe over the seeds, both stages of it, or goes on with it, or finds it finished.

    Args:
      splits: as of `experiment`.
      changes: fields of the experiment.

    Returns:
      the experiment and what its result.json holds.
    """
    if splits is None:
        splits = splits_of(settings)
    if needs_backbones(settings.network):
        for modality in BACKBONE_MODELS:
            own = backbone_settings(settings, modality)
            print(f"first stage: {own.model}", flush=True)
            train(own, splits, **changes)
    trained = dataclasses.replace(experiment(settings, splits), **changes)
    return trained, runs.run(trained, settings.folder, settings.all_seeds)


def _backbone_identities(settings: Settings) -> dict[str, str]:
    """Model -> configuration of the run that gives its backbone."""
    identities = {}
    for modality in BACKBONE_MODELS:
        own = backbone_settings(settings, modality)
        path = own.folder / "settings.json"
        if not path.is_file():
            raise InputError(f"{own.folder}: has no trained backbone; train {own.model} on clips into that folder.")
        identities[own.model] = runs.configuration_hash(json.loads(path.read_text()))
    return identities


def _start_from_backbones(settings: Settings) -> Callable[[keras.Model, int], None]:
    """Function of (model, seed) that gives the model the backbones of that seed's first stage."""

    def start(model: keras.Model, seed: int) -> None:
        for modality, name in BACKBONES.items():
            path = backbone_settings(settings, modality).folder / f"seed-{seed}" / "best.keras"
            trained, _ = load_model(path, paper="eventlayers")
            model.get_layer(name).set_weights(trained.get_layer(name).get_weights())
            print(f"seed {seed}: the {modality} backbone is taken from {path}")

    return start


def main(settings: Settings) -> None:
    """Trains a model of the event layers' paper, selects on validation, tests once; prints ours beside its figures."""
    require_source(settings.source)
    if settings.dataset in RENDERED:
        tell_test_bed(settings, (*RENDERED_MODEL, *RENDERED_TRAINING[settings.network.inputs]))
    trained, result = train(settings)
    paths = [settings.folder / f"seed-{seed['seed']}" / "predictions.npz" for seed in result["seeds"]]
    data = measured_on(settings, trained.test)
    print(f"\n{settings.model}, preset {settings.preset}; ours selected on validation:\n")
    reached = papers.mean_text(measured(accuracy, paths), "0.0")
    print(f"video accuracy {reached} % on {data}\n")
    figures = figures_of(settings.model, settings.dataset)
    if figures:
        ours = {figure: papers.Measured(measured(reading_of(figure).measure, paths), data) for figure in figures}
        print(papers.comparison(ours.items()))
    draw_example(settings)
    print(f"Result, weights, logs and pictures are in {settings.folder}")


def planned_epochs(settings: Settings) -> int:
    """Epochs that the configuration has; a run of fewer is a smoke run."""
    return settings_for(settings.model, settings.preset, settings.dataset, settings.network.inputs).training.epochs


def measured_on(settings: Settings, test: Split) -> str:
    """The data in words, and whether the training was a smoke run."""
    names = {"rendered": "rendered test bed", "rendered_pairs": "rendered test bed, two events a clip"}
    data = f"{names.get(settings.dataset, settings.dataset + ', test split')}, {len(test)} clips"
    return tables.described(data, settings.training.epochs, planned_epochs(settings))


def draw_example(settings: Settings) -> None:
    """Shows the trained model on the first test video, from its file."""
    weights = settings.folder / f"seed-{settings.seed}" / "best.keras"
    first = videos_of(settings.source, "test").paths[0]
    write_file(first, Predictor.of(weights, settings.from_backbones), settings.folder / "example")


def defaults(argv: list[str]) -> Settings:
    """The settings that the rest of the command line changes."""
    first = chosen(argv, model="event_layers", preset="paper", dataset="rendered", inputs="features")
    known = (
        first["model"] in MODELS
        and first["preset"] in PRESETS
        and first["dataset"] in DATASETS
        and first["inputs"] in INPUTS
    )
    # A name that does not exist is left to the parser, which lists those that do.
    return settings_for(**first) if known else Settings()


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m eventlayers.train", defaults=defaults))
