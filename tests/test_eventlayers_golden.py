"""Agreement of the video backbone with values recorded from the authors' own implementation (torchvision)."""

import numpy as np
import pytest

from avpipeline.backbones.mc3 import build_mc3_18, build_video_classifier

pytestmark = pytest.mark.golden


def close(ours, theirs):
    """Within 1e-4 of the largest value."""
    ours = np.asarray(ours)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


@pytest.fixture(scope="module")
def clip(golden):
    """`(batch, frames, height, width, 3)`."""
    return np.moveaxis(golden["mc3_18.npz", "clip_ncthw"], 1, -1)


def sizes(clip):
    assert clip.shape[2] == clip.shape[3]
    return {"frames": clip.shape[1], "size": clip.shape[2]}


def test_mc3_18_scores_and_last_activation(golden, clip):
    classifier = build_video_classifier("mc3_18", golden.path("mc3_18.pth"), **sizes(clip))
    close(classifier(clip), golden["mc3_18.npz", "logits"])
    assert sum(weight.numpy().size for weight in classifier.trainable_weights) == 11_695_440
    assert sum(weight.numpy().size for weight in classifier.non_trainable_weights) == 9_600

    outputs = build_mc3_18(golden.path("mc3_18.pth"), **sizes(clip))(clip)
    maps = np.moveaxis(golden["mc3_18.npz", "layer4_ncthw"], 1, -1)
    close(outputs["maps"], maps)
    close(outputs["features"], maps.mean((2, 3)))
