"""`python -m attendfusion.train`: trains one of the paper's models and prints its results beside the paper's."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from attendfusion import config
from attendfusion.config import MODELS, PRESETS, ModelConfig, TrainConfig, model_config
from attendfusion.settings import RecordSettings
from avpipeline.cli import run
from avpipeline.datasets.base import Stream
from avpipeline.errors import InputError
from avpipeline.results import papers, report
from avpipeline.training.experiment import Experiment, Outcome, Scoring
from avpipeline.training.paper import Paper, Trained
from avpipeline.training.settings import TrainSettings

if TYPE_CHECKING:
    import keras

    from attendfusion.data import Records

# Frames of a random video for a network that takes frames.
_EXAMPLE_FRAMES = 7


@dataclasses.dataclass(frozen=True)
class Settings(TrainSettings):
    """Settings of a training command."""

    paper: ClassVar[str] = "attendfusion"

    model: Literal[tuple(MODELS)] = "attend_fusion"
    preset: Literal[PRESETS] = "paper"
    """There is no public code to follow, only the paper."""
    records: RecordSettings = RecordSettings()
    network: ModelConfig = ModelConfig()
    training: TrainConfig = TrainConfig()

    @property
    def dataset(self) -> str:
        return self.records.name


class AttendFusion(Paper):
    """Attend-Fusion: Efficient Audio-Visual Fusion for Video Classification."""

    name, config, settings = "attendfusion", config, Settings
    data_default = "youtube8m"

    @staticmethod
    def example_inputs(model: keras.Model, videos: int) -> dict[str, np.ndarray]:
        from attendfusion.models import NUM_FRAMES

        random = np.random.default_rng(0)
        inputs = {}
        for name, tensor in model.input.items():
            if name == NUM_FRAMES:
                inputs[name] = random.integers(1, _EXAMPLE_FRAMES + 1, videos).astype(np.int32)
            else:
                shape = (videos, tensor.shape[1] or _EXAMPLE_FRAMES, tensor.shape[2])
                inputs[name] = random.standard_normal(shape).astype(np.float32)
        return inputs

    def read_from(self, dataset: str) -> dict:
        return {"records": RecordSettings(dataset=dataset)}

    def experiment(self, settings: Settings, splits: Records | None = None) -> Experiment:
        """The experiment that `settings` describe; `splits` are records to use instead of the dataset's."""
        from attendfusion.data import load_records
        from attendfusion.evaluation import best_threshold, evaluate
        from attendfusion.models import video_classifier
        from attendfusion.recipe import compile_model

        if settings.devices.jit == "on":
            raise InputError("--jit on: GAP is counted outside of TensorFlow, which XLA cannot compile; leave it out.")
        records = splits or load_records(settings.records, dataclasses.asdict(settings.network))
        streams = {name: records.stream(name) for name in ("train", "val", "test")}
        train, training = streams["train"], settings.training
        network = fitted(settings.network, train, records.tokens)
        numbers = dataclasses.asdict(network)

        def build() -> keras.Model:
            return compile_model(video_classifier(network, settings.model), training)

        def measure(model: keras.Model, stream: Stream) -> Outcome:
            threshold = training.f1_threshold
            if threshold is None:
                threshold = best_threshold(model, streams["val"])
            return evaluate(model, stream, threshold).outcome()

        info = self.info(settings, network, train, train.features, config={**numbers, "scale": records.scale})
        identity = {"network": numbers, "scale": records.scale}
        return self.assemble(settings, streams, build, info, Scoring("gap", measure=measure), identity=identity)

    def train(self, settings: Settings, splits: Records | None = None, *, watch_test: bool = False) -> Trained:
        from attendfusion.data import load_records

        records = splits or load_records(settings.records, dataclasses.asdict(settings.network))
        trained = super().train(settings, records, watch_test=watch_test)
        records.tell_skipped()
        return trained

    def data_in_words(self, experiment: Experiment) -> str:
        """Also mentions a width that differs from the published one."""
        data, info = experiment.data.in_words(), experiment.info
        published, width = model_config(info.model, info.preset).width, info.config["width"]
        return data if width == published else f"{data}, width {width} of {published}"


PAPER = AttendFusion()


def fitted(network: ModelConfig, stream: Stream, tokens: str) -> ModelConfig:
    """`network` with the number of labels, the feature widths and the tokens of a dataset."""
    widths = {f"{name}_channels": info.shape[-1] for name, info in stream.features.items()}
    return dataclasses.replace(network, num_classes=len(stream.class_names), tokens=tokens, **widths)


def compared(paper: Paper, trained: Trained) -> report.Compared:
    """The paper's GAP and F1 of the model's first row, with ours; nothing for a model that is in no row."""
    return [
        (published, papers.Measured(of_metric(trained.result, name), trained.data))
        for place in paper.rows_of(trained.settings.model)[:1]
        for published, name in zip(papers.lookup(paper.name, *place).parts[:2], ("gap", "f1"), strict=True)
    ]


def of_metric(result: Mapping, name: str) -> tuple[float, ...]:
    """A test score of each seed, in percent."""
    return tuple(100 * seed["figures"][name] for seed in result["seeds"])


def main(settings: Settings) -> None:
    """Trains a model of the Attend-Fusion paper, selects on validation, tests once; prints ours beside the paper's.

    Examples:
      python -m attendfusion.train
      python -m attendfusion.train --data YT8M --epochs 5
    """
    from attendfusion.evaluation import described

    trained = report.train(PAPER, settings, compared)
    for seed in trained.result["seeds"]:
        print(f"seed {seed['seed']}, {seed['parameters']:,} parameters:")
        print("\n".join(f"  {line}" for line in described(seed["figures"])))


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m attendfusion.train", defaults=PAPER.defaults))
