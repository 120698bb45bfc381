"""`python -m jca.train`: trains one of the paper's models and prints its result beside the paper's."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar, Literal

from avpipeline.cli import run
from avpipeline.datasets import load_split
from avpipeline.datasets.ave import RELEASED_FEATURES
from avpipeline.datasets.base import Split
from avpipeline.results import report
from avpipeline.training.experiment import Experiment, Scoring
from avpipeline.training.paper import Paper
from avpipeline.training.settings import SegmentData, TrainSettings, fitted
from jca import config
from jca.config import MODELS, ModelConfig, TrainConfig
from jca.predict import draw_example

MODALITIES = ("audio", "visual")


@dataclasses.dataclass(frozen=True)
class Settings(SegmentData, TrainSettings):
    """Settings of a training command."""

    paper: ClassVar[str] = "jca"

    model: "Literal[tuple(MODELS)]" = "jca"
    """Which of the paper's models; the other rows of Table 1 are models of `python -m ave.train`."""
    network: ModelConfig = ModelConfig()
    training: TrainConfig = TrainConfig()


class JCA(Paper):
    """Recursive Fusion by Joint Co-Attention."""

    name, config, settings = "jca", config, Settings
    features = RELEASED_FEATURES
    draw_example = staticmethod(draw_example)

    def experiment(self, settings: Settings, splits: Mapping[str, Split] | None = None) -> Experiment:
        from jca.models import segment_classifier
        from jca.reading import measured
        from jca.recipe import PlateauSchedule, compile_model

        splits = splits or {
            name: load_split(settings.dataset, name, data_dir=settings.data, modalities=MODALITIES)
            for name in ("train", "val", "test")
        }
        train, training = splits["train"], settings.training
        plateau = (training.plateau_factor, training.plateau_patience, training.plateau_threshold)
        network = fitted(settings.network, train)
        info = self.info(settings, network, train, MODALITIES)
        return self.assemble(
            settings,
            splits,
            lambda: compile_model(segment_classifier(network, settings.model), training),
            info,
            Scoring("segment_accuracy", measure=measured),
            callbacks=lambda: [PlateauSchedule(*plateau)],
        )


PAPER = JCA()


def main(settings: Settings) -> None:
    """Trains a model of the JCA paper, selects on validation, tests once; prints the result beside the paper's.

    Examples:
      python -m jca.train
      python -m jca.train --data DIR --recursions 2
    """
    report.train(PAPER, settings)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m jca.train", defaults=PAPER.defaults))
