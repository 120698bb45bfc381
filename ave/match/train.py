"""Trains a model for cross-modality localization (`python -m ave.match`); prints its results beside the paper's."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from ave.match import config, search
from ave.match.config import DIRECTIONS, MODELS, OWN, ROWS, MatchModelConfig, MatchTrainConfig
from ave.match.pairs import load_videos, segment_pairs
from avpipeline.datasets.ave import RELEASED_FEATURES
from avpipeline.datasets.base import Split
from avpipeline.errors import InputError
from avpipeline.files import read_predictions, write_json
from avpipeline.results import papers, report
from avpipeline.results.tables import Line
from avpipeline.training.experiment import Experiment, Scoring
from avpipeline.training.paper import Paper, Trained
from avpipeline.training.settings import SeedSettings, SegmentData


@dataclasses.dataclass(frozen=True)
class Settings(SegmentData, SeedSettings):
    """Settings of a training command."""

    model: "Literal[tuple(MODELS)]" = "avdln"
    """Which network."""
    out: Path | None = None
    """Folder of the run; the same command resumes an interrupted run. [default: runs/ave/MODEL-PRESET]"""
    network: MatchModelConfig = MatchModelConfig()
    training: MatchTrainConfig = MatchTrainConfig()

    @property
    def preset(self) -> str:
        return config.preset_of(self.model)

    @property
    def folder(self) -> Path:
        return self.out or Path("runs") / "ave" / f"{self.model}-{self.preset}"


class Match(Paper):
    """Cross-modality localization: each model has two rows, one for each direction, both from the same run."""

    name, config, settings = "ave", config, Settings
    features = RELEASED_FEATURES

    def settings_for(self, model: str, preset: str = "", dataset: str = "rendered", **changes) -> Settings:
        """Default settings for a model and dataset; the preset follows from the model."""
        own = {"network": config.match_model_config(model), "training": config.match_train_config(model, dataset)}
        return Settings(**{"model": model, "dataset": dataset, **own, **changes})

    def announce(self, settings: Settings) -> None:
        if settings.dataset == "rendered" and (changed := config.RENDERED_TRAINING.get(settings.model)):
            self.tell_rendered(settings, tuple(changed))

    def experiment(self, settings: Settings, splits: Mapping[str, Split] | None = None) -> Experiment:
        """The experiment that `settings` describe; `splits` are as `ave.match.pairs.load_videos` returns them."""
        from ave.match.dcca import FitProjection, build_dcca
        from ave.match.networks import ContrastiveLoss, build_avdln, compile_matcher

        is_dcca = settings.model == "dcca"
        network, training = (_of_model(settings.model, values) for values in (settings.network, settings.training))
        names = ("train", "val", "test")
        splits = splits or {name: load_videos(settings.dataset, name, settings.data) for name in names}
        pairs = segment_pairs(splits["train"], matching_only=is_dcca)
        info = self.info(settings, settings.network, pairs, pairs.features, config=network)

        def build():
            published = build_dcca if is_dcca else build_avdln
            model = OWN.built(settings.model, settings.network, lambda config, _: published(config))
            loss = None if is_dcca else ContrastiveLoss(settings.training.margin)
            return compile_matcher(model, settings.training, loss)

        # A pair has nothing to localize, so validation scores whole videos instead of a metric of the batches.
        return self.assemble(
            settings,
            {**splits, "train": pairs},
            build,
            info,
            Scoring("exact_match", search.mean_exact_match, validate=search.validation_score),
            identity={"training": training},
            callbacks=lambda: [FitProjection(pairs)] if is_dcca else [],
            measured_on=splits,
            is_mean_of_videos=not is_dcca,
        )

    def rows_of(self, model: str) -> list[tuple[str, str]]:
        return [place for place, (name, _) in ROWS.items() if name == model]

    def data_in_words(self, experiment: Experiment) -> str:
        rated, data = search.evaluated(experiment.splits.test.labels).sum(), experiment.data
        return f"{data.name}{', test split' if data.is_official else ''}, {rated} short events"

    def draw_example(self, trained: Trained) -> None:
        # AVE's files hold features and no frames.
        from ave.match.predict import draw_example

        if trained.settings.dataset == "rendered":
            draw_example(trained)

    def line(self, published: papers.Published, trained: Trained, direction: str) -> Line:
        """A row of Table 3; its "best on test" is from the validation with the best mean over both directions."""
        watched = direction_scores(trained, "best_on_test.npz")[direction]
        selected = ", selected by their mean" if trained.result["selected_on"] == "val" else ""
        note = f"A2V and V2A of a model come from the same run{selected}"
        return Line(published, trained, _percent(direction_scores(trained)[direction]), note, _percent(watched))


PAPER = Match()


def _of_model(model: str, values) -> dict:
    """The settings of the model, by name; InputError if a setting that it does not have was changed."""
    fields = dataclasses.asdict(values)
    for name in config.NOT_DCCA if model == "dcca" else config.ONLY_DCCA:
        if name in fields and fields.pop(name) != getattr(type(values)(), name):
            owner = "avdln" if model == "dcca" else "dcca"
            raise InputError(f"--{name.replace('_', '-')}: is a setting of {owner}, not of {model}; leave it out.")
    return fields


def main(settings: Settings) -> None:
    """Trains a network that measures whether sound and frames belong together, tests it once, and prints the
    results for locating a sound in the frames (A2V) and frames in the sound (V2A) beside the paper's.

    Examples:
      python -m ave.match
      python -m ave.match --model dcca --data DIR
    """
    trained = report.train(PAPER, settings, compared)
    labels = trained.experiment.splits.test.labels
    if trained.unlike:
        for direction, scores in direction_scores(trained).items():
            print(f"{direction.upper()}: {papers.mean_text(_percent(scores), '0.0', ' %')} exact matches")
    write_json(settings.folder / "directions.json", {**direction_scores(trained), **search.without_looking(labels)})
    print(search.without_looking_text(labels))


def compared(paper: Paper, trained: Trained) -> report.Compared:
    """The model's rows of Table 3, ours beside the paper's."""
    scores = direction_scores(trained)
    return [
        (papers.lookup(paper.name, *place), papers.Measured(_percent(scores[ROWS[place][1]]), trained.data))
        for place in paper.rows_of(trained.settings.model)
    ]


def direction_scores(trained: Trained, file_name: str = "predictions.npz") -> dict[str, list[float]]:
    """The share of exact matches in each direction, one per seed, computed from the stored predictions."""
    files = [read_predictions(path.with_name(file_name), "labels", "predictions") for path in trained.predictions]
    return {
        direction: [search.exact_match(stored["labels"], stored["predictions"], direction) for stored in files]
        for direction in DIRECTIONS
    }


def _percent(scores: Sequence[float]) -> tuple[float, ...]:
    return tuple(100 * score for score in scores)
