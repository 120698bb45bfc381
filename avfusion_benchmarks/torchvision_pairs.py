"""Convolutional backbones beside torchvision's, called in turn: needs the extra `[bench]`."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from avfusion_benchmarks.measuring import seconds_per_call_in_turn
from avpipeline.features.imagenet import FRAME_SIZE, build_imagenet
from avpipeline.features.mc3 import CLIP_FRAMES, build_mc3_18

_FRAMES = 4


def pair(seconds: float, *, name: str) -> dict[str, float]:
    """Seconds of a call of ours and of torchvision's, "vgg19" (forward pass) or "mc3_18" (training step)."""
    try:
        import torch
        import torchvision
    # A torchvision of another build than torch raises RuntimeError or OSError.
    except (ImportError, RuntimeError, OSError) as error:
        told = (str(error).splitlines() or [type(error).__name__])[0]
        print(f"against-torchvision/{name}: left out, torchvision cannot be imported ({told}); pip install '.[bench]'")
        return {}
    ours, theirs = {"vgg19": _vgg19, "mc3_18": _mc3_18}[name](torch, torchvision)
    own, other = seconds_per_call_in_turn([ours, theirs], 2 * seconds)
    return {"ours, s": own, "torchvision, s": other, "ratio": own / other}


def _vgg19(torch, torchvision) -> tuple[Callable, Callable]:
    """The forward pass of four frames up to the last pooling."""
    network = build_imagenet("vgg19", "pool5")
    frames = np.random.default_rng(0).normal(size=(_FRAMES, *FRAME_SIZE, 3)).astype(np.float32)
    ours = tf.function(lambda: network(tf.constant(frames), training=False), jit_compile=False)
    body = torchvision.models.vgg19(weights=None).features.eval()
    given = _channels_first(torch, frames)

    def theirs():
        with torch.inference_mode():
            return body(given).numpy()

    return ours, theirs


def _mc3_18(torch, torchvision) -> tuple[Callable, Callable]:
    """A training step of Adam on one clip of 16 frames, with zeros as target features."""
    network = build_mc3_18(frames=CLIP_FRAMES)
    network = keras.Model(network.input, network.output["features"])
    network.compile("adam", "mse", jit_compile=False)
    clip = np.random.default_rng(0).normal(size=(1, *network.input.shape[1:])).astype(np.float32)
    target = tf.zeros((1, *network.output.shape[1:]))
    ours = tf.function(lambda: network.train_step((tf.constant(clip), target))["loss"], jit_compile=False)
    whole = torchvision.models.video.mc3_18(weights=None)
    body = torch.nn.Sequential(whole.stem, whole.layer1, whole.layer2, whole.layer3, whole.layer4)
    optimizer = torch.optim.Adam(body.parameters())
    given = _channels_first(torch, clip)

    def theirs():
        optimizer.zero_grad()
        loss = (body(given).mean((3, 4)) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return ours, theirs


def _channels_first(torch, array: np.ndarray):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 1)))
