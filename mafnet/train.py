"""`python -m mafnet.train`: trains one of the paper's models and prints its result beside the paper's."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from avpipeline import metrics
from avpipeline.cli import run
from avpipeline.datasets import REGISTERED
from avpipeline.datasets.ave import RELEASED_FEATURES
from avpipeline.datasets.base import Split
from avpipeline.datasets.mafnet_pickles import FEATURES
from avpipeline.files import write_json
from avpipeline.results import papers, report
from avpipeline.training.experiment import Experiment, Scoring, configuration_hash
from avpipeline.training.paper import Paper, Trained
from avpipeline.training.settings import TrainSettings
from mafnet import config
from mafnet.config import DATASET_NAMES, MODELS, ModelConfig, TrainConfig
from mafnet.data import DATASETS, KINETICS_LISTS, fitted, load_split
from mafnet.predict import draw_example

# UCF51's official splits; the result is the mean over them.
FOLDS = (1, 2, 3)


@dataclasses.dataclass(frozen=True)
class Settings(TrainSettings):
    """Settings of a training command."""

    paper: ClassVar[str] = "mafnet"

    model: "Literal[tuple(MODELS)]" = "mafnet"
    dataset: "Literal[(*DATASETS, *REGISTERED)]" = "rendered"
    """"ave" (the default with --data), "ucf51" (mean over its three official splits), "kinetics_sounds" and "csv", your
    own clips, need --data; "rendered" means synthetic clips, generated on this machine."""
    data: Path | None = None
    """Folder with the dataset's official files and features."""
    classes: Literal[KINETICS_LISTS] = 32
    """Kinetics-Sounds: which of its class lists."""
    network: ModelConfig = ModelConfig()
    training: TrainConfig = TrainConfig()


class MAFnet(Paper):
    """Multi-level Attention Fusion Network."""

    name, config, settings = "mafnet", config, Settings
    draw_example = staticmethod(draw_example)

    def features_of(self, model: str):
        network = config.model_config(model)
        if network.audio_shape == RELEASED_FEATURES["audio"].shape:
            return RELEASED_FEATURES
        variant = "avg_pool" if len(network.visual_shape) == 1 else "last_activation"
        visual = dataclasses.replace(FEATURES["visual"], variant=variant, shape=network.visual_shape)
        return {**FEATURES, "visual": visual}

    def experiment(self, settings: Settings, splits: Mapping[str, Split] | None = None, *, fold: int = 1) -> Experiment:
        """The experiment that `settings` describe.

        Args:
          splits: "train", "val" and "test" as returned by `load_split`, to use instead of loading the dataset.
          fold: which of UCF51's official splits.

        Raises:
          InputError: the data is missing or does not fit, or a setting is invalid.
        """
        from mafnet.models import classifier
        from mafnet.recipe import compile_model

        training = settings.training
        splits = splits or load_splits(settings, fold)
        train = splits["train"]
        network = fitted(settings.network, train)

        def build():
            # NumPy's generator was seeded with the run's seed, so the draws of update dropping depend on it alone.
            return compile_model(classifier(network, settings.model), training, seed=np.random.randint(2**31))

        return self.assemble(
            settings,
            splits,
            build,
            self.info(settings, network, train, network.modalities, dataset=train.dataset),
            Scoring("video_accuracy", metrics.segment_accuracy),
        )

    def train(self, settings: Settings, splits=None, *, watch_test: bool = False) -> Trained:
        """Trains all seeds; on UCF51 on each official split, and a seed's scores are means over the splits."""
        from avpipeline.training import runs, strategy

        if settings.dataset != "ucf51":
            return super().train(settings, splits, watch_test=watch_test)
        experiments, results, folders = [], [], []
        for fold in FOLDS:
            print(f"official split {fold} of {len(FOLDS)}", flush=True)
            experiments.append(self.experiment(settings, splits, fold=fold))
            folders.append(settings.folder / f"split-{fold}")
            more = {"watch_test": watch_test, "options": self.options(settings)}
            results.append(runs.run(experiments[-1], folders[-1], settings.all_seeds, **more))
        unlike = tuple(dict.fromkeys(reason for experiment in experiments for reason in experiment.unlike))
        # If any of the splits is incomplete, the result counts as measured on incomplete data.
        spoken = next((experiment for experiment in experiments if not experiment.data.is_official), experiments[0])
        spoken = dataclasses.replace(spoken, unlike=unlike)
        read = "ucf51" if spoken.data.is_official else "a part of UCF51"
        result = {**_mean_over_folds(settings, results), "dataset": read, "unlike": list(unlike)}
        result |= {"reproduces": []} if unlike else {}
        if strategy.join(settings.devices).is_chief:
            write_json(settings.folder / "result.json", result)
        return self.finished(settings, spoken, result, tuple(folders))

    def data_in_words(self, experiment: Experiment) -> str:
        data = experiment.data
        if data.is_official and data.dataset.startswith("ucf51"):
            return "UCF51, mean of the three official test splits"
        return data.in_words()

    def unlike(self, settings: Settings, experiment: Experiment) -> tuple[str, ...]:
        """As `Paper.unlike`; also a list of other than 32 classes, as the paper's Kinetics-Sounds has 32."""
        classes = settings.classes if settings.dataset == "kinetics_sounds" else 32
        other = () if classes == 32 else (f"the list has {classes} classes, the paper's 32",)
        return (*super().unlike(settings, experiment), *other)


PAPER = MAFnet()


def load_splits(settings: Settings, fold: int = 1) -> dict[str, Split]:
    """`{"train", "val", "test"}` of the dataset, with the model's inputs."""
    where = {"data_dir": settings.data, "fold": fold, "classes": settings.classes}
    return {name: load_split(settings.dataset, name, settings.network, **where) for name in ("train", "val", "test")}


def _mean_over_folds(settings: Settings, results: list[dict]) -> dict:
    """Merges the results on several splits: a seed's score is the mean of its scores on the splits."""
    from avpipeline.training import runs

    seeds = []
    for of_seed in zip(*(result["seeds"] for result in results), strict=True):
        names = [name for name in ("val", "test", "best_on_test") if name in of_seed[0]]
        means = {name: float(np.mean([seed[name] for seed in of_seed])) for name in names}
        seeds.append({"seed": of_seed[0]["seed"], "parameters": of_seed[0]["parameters"], **means})
    together = {**results[0]["settings"], "dataset": settings.dataset}
    return {
        **results[0],
        "settings": together,
        "configuration": configuration_hash(together),
        "clips": {result["dataset"]: result["clips"] for result in results},
        "splits": {result["dataset"]: result["test_mean"] for result in results},
        **runs.summary(seeds),
    }


def compared(paper: Paper, trained: Trained) -> report.Compared:
    """The paper's result in the model's first row on the dataset (on AVE if there is none on it), with ours."""
    table, row = paper.rows_of(trained.settings.model)[0]
    published = {one.dataset: one for one in papers.rows("mafnet", table) if one.row == row}
    one = published.get(DATASET_NAMES.get(trained.settings.dataset), published["AVE"])
    return [(one, papers.Measured(trained.scores, trained.data))]


def main(settings: Settings) -> None:
    """Trains a model of the MAFnet paper, selects on validation, tests once; prints the result beside the paper's.

    Examples:
      python -m mafnet.train
      python -m mafnet.train --dataset ucf51 --data DIR --seeds 3
    """
    report.train(PAPER, settings, compared)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m mafnet.train", defaults=PAPER.defaults))
