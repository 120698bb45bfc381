"""Models trained on the rendered data: fusion beats each modality, nothing collapses, shuffled labels teach nothing.

The clips that are tested come from a generator seed that no model was trained or selected on.
"""

import dataclasses

import numpy as np
import pytest

from tests.helpers.rendered_training import POINTS, trained, unseen_splits

pytestmark = pytest.mark.trained

@pytest.fixture(scope="module")
def splits():
    return unseen_splits()


@pytest.fixture(scope="module")
def results(splits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rendered")
    return {model: trained(splits, model, folder / model) for model in ("av_att", "a", "v")}


def test_fusion_beats_each_modality_by_five_points(results):
    scores = {model: result["test_mean"] for model, result in results.items()}
    print(scores)
    assert scores["av_att"] >= max(scores["a"], scores["v"]) + POINTS


def test_no_seed_collapses_to_background(results, splits):
    background = np.mean(splits["test"].labels.argmax(-1) == splits["test"].labels.shape[-1] - 1)
    assert background <= 0.25
    assert all(seed["test"] > 2 * background for seed in results["av_att"]["seeds"])


def test_shuffled_labels_teach_nothing(splits, tmp_path):
    """With the videos' labels dealt anew, accuracy on the unseen clips falls to that of the commonest label."""
    order = np.random.default_rng(0).permutation(len(splits["train"]))
    shuffled = dataclasses.replace(splits["train"], labels=splits["train"].labels[order])
    result = trained({**splits, "train": shuffled}, "av_att", tmp_path, seeds=(0,))
    commonest = splits["test"].labels.mean((0, 1)).max()
    assert result["test_mean"] <= commonest + POINTS
