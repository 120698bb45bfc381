"""Agreement of the video backbone with values recorded from the authors' own implementation (torchvision)."""

import numpy as np
import pytest

from avpipeline.features.mc3 import build_mc3_18, build_video_classifier

pytestmark = pytest.mark.golden


def compare(golden, array, ours):
    """Within 1e-4 of the largest value, also where that is below 1."""
    theirs = golden["mc3_18.npz", array]
    golden.compare("mc3_18.npz", array, ours, 1e-4 * min(1, np.abs(theirs).max()))


@pytest.fixture(scope="module")
def clip(golden):
    """`(batch, frames, height, width, 3)`."""
    return np.moveaxis(golden["mc3_18.npz", "clip_ncthw"], 1, -1)


def sizes(clip):
    assert clip.shape[2] == clip.shape[3]
    return {"frames": clip.shape[1], "size": clip.shape[2]}


def test_mc3_18_scores_and_last_activation(golden, clip):
    classifier = build_video_classifier("mc3_18", golden.path("mc3_18.pth"), **sizes(clip))
    compare(golden, "logits", classifier(clip))
    assert sum(weight.numpy().size for weight in classifier.trainable_weights) == 11_695_440
    assert sum(weight.numpy().size for weight in classifier.non_trainable_weights) == 9_600

    outputs = build_mc3_18(golden.path("mc3_18.pth"), **sizes(clip))(clip)
    maps = golden["mc3_18.npz", "layer4_ncthw"]
    compare(golden, "layer4_ncthw", np.moveaxis(outputs["maps"], -1, 1))
    np.testing.assert_allclose(
        outputs["features"], np.moveaxis(maps, 1, -1).mean((2, 3)), rtol=0, atol=1e-4 * maps.max()
    )
