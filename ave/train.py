"""`python -m ave.train`: trains one of the paper's models and prints its result beside the paper's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from ave import config
from ave.config import MODELS, STARTS_FROM, ModelConfig, TrainConfig
from ave.predict import draw_example
from avpipeline import metrics
from avpipeline.cli import run
from avpipeline.datasets import load_split, load_weak_training
from avpipeline.datasets.ave import RELEASED_FEATURES, SUPPLEMENT_FEATURES
from avpipeline.datasets.base import Split
from avpipeline.errors import InputError
from avpipeline.files import read_record, sha256_file
from avpipeline.results import report
from avpipeline.results.evaluation import require_fit
from avpipeline.training.experiment import Experiment, Scoring, configuration_hash
from avpipeline.training.paper import Paper
from avpipeline.training.saved import load_model
from avpipeline.training.settings import SegmentData, TrainSettings, fitted

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True)
class Settings(SegmentData, TrainSettings):
    """Settings of a training command."""

    paper: ClassVar[str] = "ave"

    model: Literal[tuple(MODELS)] = "av_att"
    noisy: bool = True
    """Weakly supervised models: add the background videos without an event to the training videos."""
    init_from: Path | None = None
    """Trained model whose weights initialise the layers that both have in common: a .keras file, or the folder of a
    run, where each seed takes the model of the same seed. The authors initialised DMRN from A+V-att."""
    network: ModelConfig = ModelConfig()
    training: TrainConfig = TrainConfig()


class AVE(Paper):
    """Audio-Visual Event Localization in Unconstrained Videos."""

    name, config, settings = "ave", config, Settings
    features = {**RELEASED_FEATURES, **SUPPLEMENT_FEATURES}
    draw_example = staticmethod(draw_example)

    def differences(self, settings: Settings) -> dict[str, tuple]:
        found = super().differences(settings)
        if settings.network.weak and not settings.noisy:
            found["noisy"] = (False, True)
        first = STARTS_FROM.get(settings.model)
        if bool(first) != bool(settings.init_from):
            found["init_from"] = (settings.init_from and str(settings.init_from), first)
        return found

    def experiment(self, settings: Settings, splits: Mapping[str, Split] | None = None) -> Experiment:
        """The experiment that `settings` describe; training labels of weak models are `(videos, classes)`."""
        from ave.models import segment_classifier
        from ave.recipe import compile_model

        splits = splits or load_splits(settings)
        train = splits["train"]
        network, first = fitted(settings.network, splits["val"]), settings.init_from
        info = self.info(settings, network, train, network.modalities)
        outputs = {"trained_output": "video", "scored_output": "segments"} if network.weak else {}
        return self.assemble(
            settings,
            splits,
            lambda: compile_model(segment_classifier(network, settings.model), settings.training),
            info,
            Scoring("segment_accuracy", metrics.segment_accuracy, **outputs),
            identity={"noisy": settings.noisy if network.weak else None, "init_from": first and _identity(first)},
            start=first and _start_from(first, train),
        )


PAPER = AVE()


def load_splits(settings: Settings) -> dict[str, Split]:
    """`{"train", "val", "test"}` of the dataset; with one label per training video for weakly supervised models."""
    where = {"data_dir": settings.data, "modalities": settings.network.modalities}
    splits = {name: load_split(settings.dataset, name, **where) for name in ("val", "test")}
    if settings.network.weak:
        return {"train": load_weak_training(settings.dataset, **where, noisy=settings.noisy), **splits}
    return {"train": load_split(settings.dataset, "train", **where), **splits}


def _identity(init_from: Path) -> dict:
    """How the settings record `init_from`: the hash of a file, or the configuration of a run."""
    if init_from.is_file():
        return {"sha256": sha256_file(init_from)}
    settings = init_from / "settings.json"
    if not settings.is_file():
        raise InputError(f"{init_from}: is neither a .keras file nor the folder of a run; train that model first.")
    return {"configuration": configuration_hash(read_record(settings, "train that model again"))}


def _start_from(init_from: Path, split: Split) -> Callable[[keras.Model, int], None]:
    """Function of (model, seed) that copies every weight with the same path and shape from `init_from`."""

    def start(model: keras.Model, seed: int) -> None:
        path = init_from if init_from.is_file() else init_from / f"seed-{seed}" / "best.keras"
        source, info = load_model(path, paper="ave")
        require_fit(path, info, split)
        given = {(weight.path, weight.shape): weight for weight in source.weights}
        taken = [weight for weight in model.weights if (weight.path, weight.shape) in given]
        if not taken:
            raise InputError(f"{path}: '{info.model}' and '{model.name}' have no layer in common; give another model.")
        for weight in taken:
            weight.assign(given[weight.path, weight.shape])
        kept = len(model.weights) - len(taken)
        print(f"seed {seed}: {len(taken)} weights are copied from {path}, {kept} are freshly initialised")

    return start


def main(settings: Settings) -> None:
    """Trains a model of the AVE paper, selects on validation, tests once; prints the result beside the paper's.

    Examples:
      python -m ave.train
      python -m ave.train --model dmrn --epochs 5
      python -m ave.train --data DIR --seeds 3
    """
    report.train(PAPER, settings)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.train", defaults=PAPER.defaults))
