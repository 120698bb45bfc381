"""Models trained on frozen features of the rendered clips, tested on clips that nothing was trained or selected on.

Short trainings: the heads are linear, and the features are made once. The test clips are of a generator seed of their
own, which was not looked at when the recipe was chosen: that was done on validation.
"""

import dataclasses

import numpy as np
import pytest

from avpipeline.datasets.base import ArraySource
from avpipeline.training import runs
from eventlayers import analysis, data, train
from eventlayers.analysis import right_by_layer
from eventlayers.config import LAYERS
from eventlayers.data import videos_of
from eventlayers.time_steps import time_step_backbones
from eventlayers.voting import video_accuracy
from tests.helpers.few_clips import rendered_defaults

pytestmark = pytest.mark.trained

SEEDS = (0, 1, 2)
# Their generator seed, and enough of them that a point is more than one clip.
TEST_SEED, TEST_CLIPS = 7, 160


@pytest.fixture(scope="module")
def videos():
    """Split -> its videos; "test" is of another generator seed."""
    found = {name: videos_of("rendered", name) for name in ("train", "val")}
    with rendered_defaults(seed=TEST_SEED, train=0, val=0, test=TEST_CLIPS):
        return {**found, "test": videos_of("rendered", "test")}


@pytest.fixture(scope="module")
def splits(videos):
    """`{"train", "val", "test"}` with the features in memory."""
    settings = train.PAPER.settings_for("event_layers")
    backbones = time_step_backbones(settings.network.backbones, settings.video_weights)
    found = {}
    for name, own in videos.items():
        split = data.load_split(own, settings.network, backbones)
        inputs = {key: ArraySource(source.read(np.arange(len(split)))) for key, source in split.inputs.items()}
        found[name] = dataclasses.replace(split, inputs=inputs)
    return found


@pytest.fixture(scope="module")
def scores(splits, tmp_path_factory):
    """Model -> for each seed its scores of the unseen clips."""
    folder = tmp_path_factory.mktemp("rendered")
    found = {}
    for model in ("naive_av", "event_layers"):
        experiment = train.PAPER.experiment(train.PAPER.settings_for(model), splits)
        runs.run(experiment, folder / model, SEEDS)
        paths = [folder / model / f"seed-{seed}" / "predictions.npz" for seed in SEEDS]
        found[model] = [np.load(path)["predictions"] for path in paths]
    return found


def test_five_heads_are_not_below_naive_fusion(scores, splits):
    """Not more than one pooled standard deviation below Naive AV, and both far above chance (1 of 8 classes)."""
    labels = splits["test"].labels
    reached = {model: np.array([video_accuracy(labels, own) for own in seeds]) for model, seeds in scores.items()}
    pooled = np.sqrt(np.mean([values.var(ddof=1) for values in reached.values()]))
    print({model: values.round(3).tolist() for model, values in reached.items()}, "pooled deviation", pooled)
    heads = np.mean([right_by_layer(labels, own).mean(0) for own in scores["event_layers"]], 0)
    print("each head alone", dict(zip(LAYERS, heads.round(3).tolist(), strict=True)))
    assert reached["event_layers"].mean() >= reached["naive_av"].mean() - pooled
    assert all(values.min() >= 2 / 8 for values in reached.values())


def test_table_3_is_reported_for_each_kind_of_event(scores, splits, videos):
    """Pooled over the seeds; whatever it shows. The groups add up to the whole."""
    labels = np.concatenate([splits["test"].labels] * len(SEEDS))
    pooled, kinds = np.concatenate(scores["event_layers"]), videos["test"].kinds * len(SEEDS)
    groups = analysis.complementary_by_group(labels, pooled, kinds)
    for kind, counts in groups.items():
        print(kind, counts)
    assert set(groups) == {"rhythmic", "instant", "continuous"}
    whole = {"videos": len(labels), **analysis.complementary_counts(labels, pooled)}
    assert whole == {row: sum(counts[row] for counts in groups.values()) for row in whole}
