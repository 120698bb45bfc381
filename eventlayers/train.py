"""`python -m eventlayers.train`: trains one of the paper's models and prints its results beside the paper's."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from avpipeline.cli import chosen, run
from avpipeline.datasets import REGISTERED
from avpipeline.datasets.base import Split
from avpipeline.results import papers, report
from avpipeline.training.experiment import Experiment, Scoring
from avpipeline.training.paper import Paper, Trained, tell_small_batch
from avpipeline.training.settings import TrainSettings
from eventlayers import config, data
from eventlayers.config import BACKBONE_MODELS, INPUTS, MODELS, PRESETS, TABLES, ModelConfig, TrainConfig
from eventlayers.data import DATASETS, RENDERED, default_inputs
from eventlayers.predict import draw_example
from eventlayers.readings import measured, published_of
from eventlayers.stages import backbone_identities, datasets_of_backbones, needs_backbones, start_from_backbones
from eventlayers.voting import video_accuracy


@dataclasses.dataclass(frozen=True)
class Settings(TrainSettings):
    """Settings of a training command."""

    paper: ClassVar[str] = "eventlayers"

    model: "Literal[tuple(MODELS)]" = "event_layers"
    preset: Literal[PRESETS] = "paper"
    """There is no public code to follow, only the paper."""
    dataset: "Literal[(*DATASETS, *REGISTERED)]" = "rendered"
    """What to train and evaluate on; "rendered" and "rendered_pairs" (two events per clip) mean synthetic clips,
    generated on this machine; the others need --data."""
    data: Path | None = None
    """Folder with the dataset's official lists."""
    clips: Path | None = None
    """Folder with its video files, directly or in subfolders. [default: --data]"""
    out: Path | None = None
    """Folder of the run; the same command resumes an interrupted run.
    [default: runs/eventlayers/MODEL-PRESET, with the dataset and "clips" if they are not the defaults]"""
    video_weights: str = "default"
    """Initial weights of MC3-18: "default" (Kinetics-400, as in the paper), "none" or a torchvision checkpoint."""
    from_backbones: Path | None = None
    """Folder with the runs of audio_only and vision_only on clips whose backbones are used. Models on clips with both
    streams are initialised from them, and train them there first if they do not exist yet [default: the folder
    "backbones" in --out]; models on features use the frozen backbones of the first seed."""
    network: ModelConfig = ModelConfig()
    training: TrainConfig = TrainConfig()

    @property
    def is_untrained(self) -> bool:
        """Whether the frozen backbones were not trained on the real dataset, so that no row of the paper is
        reproduced: no weights of the audio network are published, so without --from-backbones it is random."""
        on_real_features = self.network.inputs == "features" and self.dataset not in RENDERED
        return on_real_features and datasets_of_backbones(self.from_backbones) != {self.dataset}

    @property
    def folder(self) -> Path:
        parts = [self.model, self.preset]
        parts += [self.dataset] if self.dataset != "rendered" else []
        parts += ["clips"] if self.network.inputs == "clips" else []
        return self.out or Path("runs") / self.paper / "-".join(parts)


class EventLayers(Paper):
    """Event-Specific Audio-Visual Fusion Layers."""

    name, config, settings = "eventlayers", config, Settings
    further_settings = ("video_weights",)
    output_name = "scores"
    draw_example = staticmethod(draw_example)

    @staticmethod
    def example_inputs(model, videos: int) -> dict[str, np.ndarray]:
        from eventlayers.models import ONSET_MASK, ONSETS

        random = np.random.default_rng(0)
        inputs = Paper.example_inputs(model, videos)
        for name, values in inputs.items():
            # Onsets, their mask and frames are whole numbers from 0 to below one of these.
            ends = {ONSETS: values.shape[1], ONSET_MASK: 2}
            if end := ends.get(name, 256 if values.ndim == 5 else None):
                inputs[name] = random.integers(0, end, values.shape).astype(np.float32)
            elif values.ndim == 2:  # a waveform
                inputs[name] = 0.1 * values
        return inputs

    def settings_for(
        self, model: str, preset: str = "paper", dataset: str = "rendered", inputs: str | None = None, **changes
    ) -> Settings:
        """Default settings for a model, preset, dataset and kind of inputs; `changes` replaces fields of `Settings`.

        Without `inputs`: clips, as in the paper, or features on synthetic clips.
        """
        rendered = dataset in RENDERED
        inputs = inputs or default_inputs(dataset)
        network = config.model_config(model, preset, inputs=inputs, **(config.RENDERED_MODEL if rendered else {}))
        training = config.train_config(preset, model, inputs, **(config.RENDERED_TRAINING[inputs] if rendered else {}))
        return Settings(model=model, preset=preset, dataset=dataset, network=network, training=training, **changes)

    def defaults(self, argv: Sequence[str]) -> Settings:
        first = chosen(argv, model="event_layers", preset="paper", dataset="rendered", inputs=None)
        first["inputs"] = first["inputs"] or default_inputs(first["dataset"])
        choices = {"model": MODELS, "preset": PRESETS, "dataset": {*DATASETS, *REGISTERED}, "inputs": INPUTS}
        # An unknown name is left to the parser, which lists the valid ones.
        known = all(first[name] in names for name, names in choices.items())
        return self.settings_for(**first) if known else Settings()

    def announce(self, settings: Settings) -> None:
        data.require_source(settings.dataset, settings.data, settings.clips)
        if settings.dataset in RENDERED:
            self.tell_rendered(settings, (*config.RENDERED_MODEL, *config.RENDERED_TRAINING[settings.network.inputs]))
        if settings.is_untrained:
            is_random = "" if settings.from_backbones else ", and the audio network is random"
            print(
                f"The backbones were not trained on {settings.dataset}{is_random}: no row of the paper is reproduced. "
                "Give --from-backbones that were, or leave out --inputs to train them as in the paper."
            )

    def default_settings(self, settings: Settings) -> Settings:
        return self.settings_for(settings.model, settings.preset, settings.dataset, settings.network.inputs)

    def unlike(self, settings: Settings, experiment: Experiment) -> tuple[str, ...]:
        untrained = ("its backbones were not trained on this data",) if settings.is_untrained else ()
        return (*super().unlike(settings, experiment), *untrained)

    def experiment(self, settings: Settings, splits: Mapping[str, Split] | None = None) -> Experiment:
        """The experiment that `settings` describe.

        Raises:
          InputError: data, weights or the backbones of the first stage are missing or do not fit.
        """
        from eventlayers.models import video_classifier
        from eventlayers.recipe import compile_model, precision

        settings = _with_precision(settings)
        splits = splits or splits_of(settings)
        train, planned = splits["train"], settings.training
        network, training = fitted(settings.network, splits["val"]), planned.fitting(len(train))
        if training != planned:
            passes = f", in {training.steps_an_update} passes of {training.clips_a_step}"
            tell_small_batch(len(train), planned.batch_size, passes if training.steps_an_update > 1 else "")
        folders = None
        if needs_backbones(network):
            folders = {modality: self.first_stage(settings, modality).folder for modality in BACKBONE_MODELS}

        def build():
            with precision(training.precision):
                weights = None if folders or settings.video_weights == "none" else settings.video_weights
                model = video_classifier(network, settings.model, weights)
            return compile_model(model, training)

        return self.assemble(
            dataclasses.replace(settings, training=training),
            splits,
            build,
            self.info(settings, network, train, network.modalities, config=config.stored_config(network)),
            Scoring("video_accuracy", video_accuracy),
            identity={
                # As the settings say, whatever the number of clips, as in the other papers.
                "training": dataclasses.asdict(planned),
                "video_weights": settings.video_weights,
                "backbones": backbone_identities(folders) if folders else None,
            },
            schedule={"batch_size": training.clips_a_step},
            start=start_from_backbones(folders) if folders else None,
        )

    def first_stage(self, settings: Settings, modality: str) -> Settings:
        """The first stage of `settings`: one backbone with a linear head, trained for as many epochs as the second."""
        model = BACKBONE_MODELS[modality]
        own = self.settings_for(model, settings.preset, settings.dataset, settings.network.inputs)
        return dataclasses.replace(
            settings,
            model=model,
            network=dataclasses.replace(own.network, backbones=settings.network.backbones),
            training=dataclasses.replace(settings.training, learning_rate=own.training.learning_rate),
            out=(settings.from_backbones or settings.folder / "backbones") / model,
            from_backbones=None,
        )

    def train(self, settings: Settings, splits=None, *, watch_test: bool = False) -> Trained:
        """Trains both stages with all seeds; resumes unfinished runs and reuses finished ones."""
        splits = splits or splits_of(settings)
        if needs_backbones(settings.network):
            for modality in BACKBONE_MODELS:
                own = self.first_stage(settings, modality)
                print(f"first stage: {own.model}", flush=True)
                self.train(own, splits, watch_test=watch_test)
        return super().train(settings, splits, watch_test=watch_test)


PAPER = EventLayers()


def _with_precision(settings: Settings) -> Settings:
    """--precision as the setting of the recipe that names a run's configuration."""
    name = settings.devices.precision
    if name is None:
        return settings
    training = dataclasses.replace(settings.training, precision=name if name == "float32" else f"mixed_{name}")
    devices = dataclasses.replace(settings.devices, precision=None)
    return dataclasses.replace(settings, training=training, devices=devices)


def splits_of(settings: Settings) -> dict[str, Split]:
    """`{"train", "val", "test"}` of the dataset."""
    from eventlayers.time_steps import time_step_backbones

    network = settings.network
    where = {"lists": settings.data, "clips": settings.clips}
    videos = {name: data.videos_of(settings.dataset, name, **where) for name in ("train", "val", "test")}
    # Only once the lists have been read, since weights may be downloaded.
    backbones = None
    if network.inputs == "features" and settings.from_backbones:
        backbones = data.trained_backbones(settings.from_backbones)
    elif network.inputs == "features":
        backbones = time_step_backbones(network.backbones, settings.video_weights)
    return {name: data.load_split(own, network, backbones) for name, own in videos.items()}


def fitted(network: ModelConfig, split: Split) -> ModelConfig:
    """`network` with the number of classes and the input sizes of a dataset."""
    sizes: dict = {"num_classes": split.labels.shape[1]}
    if network.inputs == "clips":
        return dataclasses.replace(network, frame_size=config.BACKBONE_SETS[network.backbones], **sizes)
    for name in network.modalities:
        sizes["num_moments"], sizes[f"{name}_channels"] = split.inputs[name].shape
    return dataclasses.replace(network, **sizes)


def compared(paper: Paper, trained: Trained) -> report.Compared:
    """The paper's results in Tables 1 and 2 on the dataset, with ours.

    Synthetic clips stand in for several datasets, so no single row of these is theirs: ours is printed once, alone.
    """
    published = published_of(trained.settings.model, trained.settings.dataset)
    if trained.settings.dataset in RENDERED:
        for one in {one.row: one for one in published if one.table == TABLES[1]}.values():
            ours = measured(one, trained.predictions)
            print(f"\n{one.metric}, {one.row}: {papers.mean_text(ours, one.value)} on {trained.data}")
        return []
    lines = [(one, papers.Measured(measured(one, trained.predictions), trained.data)) for one in published]
    if lines:
        print(f"\nvideo accuracy {papers.mean_text(trained.scores, '0.0', ' %')} on {trained.data}")
    return lines


def main(settings: Settings) -> None:
    """Trains a model of the event layers' paper, selects on validation, tests once; prints ours beside the paper's.

    Examples:
      python -m eventlayers.train
      python -m eventlayers.train --dataset vggsound --data LISTS --clips VIDEOS
    """
    report.train(PAPER, settings, compared)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m eventlayers.train", defaults=PAPER.defaults))
