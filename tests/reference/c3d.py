"""C3D in plain NumPy, written from its paper's Figure 3, with weights as torch has them."""

import numpy as np

from tests.reference.video_resnet import convolution, relu

LAYERS = ("conv1", "conv2", "conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b")
POOLED = ("conv1", "conv2", "conv3b", "conv4b", "conv5b")


def pooled(x, time):
    """The maximum over windows of (time, 2, 2) side by side; what a window lacks at the end does not count."""
    for axis, length in enumerate((time, 2, 2)):
        starts = range(0, x.shape[axis], length)
        x = np.stack([x.take(range(s, min(s + length, x.shape[axis])), axis).max(axis) for s in starts], axis)
    return x


def outputs(state, clip):
    """pool5's mean and, with fc6 in `state`, fc6 of one clip `(16, height, width, 3)`."""
    x = clip.astype(np.float64)
    for layer in LAYERS:
        x = relu(convolution(x, state[f"{layer}.weight"], (1, 1, 1)) + state[f"{layer}.bias"])
        if layer in POOLED:
            x = pooled(x, 1 if layer == "conv1" else 2)
    found = {"pool5": x.mean((0, 1, 2))}
    if "fc6.weight" in state:
        # Caffe and torch flatten (channels, time, height, width).
        found["fc6"] = relu(state["fc6.weight"] @ np.moveaxis(x, -1, 0).ravel() + state["fc6.bias"])
    return found
