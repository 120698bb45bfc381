"""Weakly supervised models trained on the rendered data, in a file of their own to run beside the others."""

import pytest

from avpipeline.datasets.rendered import rendered_weak_training
from tests.helpers.rendered_training import POINTS, trained

pytestmark = pytest.mark.trained


def test_weak_fusion_beats_each_weak_modality_by_five_points(unseen, tmp_path):
    """In the order of the supervised models, from one label a video and videos without an event."""
    weak = {**unseen, "train": rendered_weak_training()}
    scores = {model: trained(weak, model, tmp_path / model)["test_mean"] for model in ("w_av_att", "w_a", "w_v")}
    print(scores)
    assert scores["w_av_att"] >= max(scores["w_a"], scores["w_v"]) + POINTS
