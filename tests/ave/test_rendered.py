"""Models trained on the rendered data: fusion beats each modality, nothing collapses, shuffled labels teach nothing.

The clips that are tested come from a generator seed that no model was trained or selected on.
"""

import dataclasses

import numpy as np
import pytest

from tests.helpers.rendered_training import POINTS, trained

pytestmark = pytest.mark.trained


@pytest.fixture(scope="module")
def results(unseen, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rendered")
    return {model: trained(unseen, model, folder / model) for model in ("av_att", "a", "v")}


def test_fusion_beats_each_modality_by_five_points(results):
    scores = {model: result["test_mean"] for model, result in results.items()}
    print(scores)
    assert scores["av_att"] >= max(scores["a"], scores["v"]) + POINTS


def test_no_seed_collapses_to_background(results, unseen):
    background = np.mean(unseen["test"].labels.argmax(-1) == unseen["test"].labels.shape[-1] - 1)
    assert background <= 0.25
    assert all(seed["test"] > 2 * background for seed in results["av_att"]["seeds"])


def test_shuffled_labels_teach_nothing(unseen, tmp_path):
    """With the videos' labels dealt anew, accuracy on the unseen clips falls to that of the commonest label."""
    order = np.random.default_rng(0).permutation(len(unseen["train"]))
    shuffled = dataclasses.replace(unseen["train"], labels=unseen["train"].labels[order])
    result = trained({**unseen, "train": shuffled}, "av_att", tmp_path, seeds=(0,))
    commonest = unseen["test"].labels.mean((0, 1)).max()
    assert result["test_mean"] <= commonest + POINTS
