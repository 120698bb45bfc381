"""Video networks of Tran et al. 2018, "A Closer Look at Spatiotemporal Convolutions": MC3-18, R3D-18, R(2+1)D-18.

One builder for all three, as torchvision defines them, so that torchvision's checkpoints (Kinetics-400) load.
MC3-18 has no temporal stride: 100 frames give 100 features. The other two have a temporal stride of 8 in total.
"""

import dataclasses
from pathlib import Path
from typing import Literal

import keras

from avpipeline.checkpoints import TorchFile, read_torch
from avpipeline.checkpoints.assign import assign
from avpipeline.errors import InputError
from avpipeline.features.weights import WeightFile

FRAMES, FRAME_SIZE = 100, 112
CHANNELS = 512
KINETICS_CLASSES = 400
PRETRAINED = "kinetics-400"
# Length of the clips that the published weights were trained on, about a second.
CLIP_FRAMES = 16
# Mean and deviation of frames scaled to [0, 1], as torchvision's weights expect; before that, frames are resized to
# `RESIZE` (height, width; bilinear, no antialiasing) and center-cropped to `FRAME_SIZE`.
MEAN, DEVIATION = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
RESIZE = (128, 171)

# The convolutions of a stage: 3x3x3; 1x3x3; or 1x3x3 and 3x1x1 with batch norm and ReLU between.
_FULL, _NO_TIME, _FACTORED = "full", "no_time", "factored"
# Classes that a pickled torchvision network refers to, which `read_torch` reads as inert records.
_MODULE = "torchvision.models.video.resnet."
_WHOLE = f"{_MODULE}VideoResNet"
_CLASSES = frozenset(
    f"{_MODULE}{name}"
    for name in ("VideoResNet", "BasicBlock", "BasicStem", "R2Plus1dStem")
    + ("Conv3DSimple", "Conv3DNoTemporal", "Conv2Plus1D")
)


@dataclasses.dataclass(frozen=True)
class VideoResNet:
    """A video network: the kind of convolution in each of its four stages, and its published weights."""

    stages: tuple[str, str, str, str]
    weights: WeightFile


def _weights(name: str, hash_start: str, size: str) -> WeightFile:
    """A weight file of torchvision, which has the first digits of its hash in its name."""
    file = f"{name}-{hash_start}.pth"
    url = f"https://download.pytorch.org/models/{file}"
    return WeightFile(file, url, size, "BSD-3-Clause (torchvision)", hash_start, label=PRETRAINED)


NETWORKS = {
    "mc3_18": VideoResNet((_FULL, _NO_TIME, _NO_TIME, _NO_TIME), _weights("mc3_18", "a90a0ba3", "47 MB")),
    "r3d_18": VideoResNet((_FULL,) * 4, _weights("r3d_18", "b3b3357e", "133 MB")),
    "r2plus1d_18": VideoResNet((_FACTORED,) * 4, _weights("r2plus1d_18", "91a641e6", "126 MB")),
}
Name = Literal["mc3_18", "r3d_18", "r2plus1d_18"]


def build_mc3_18(weights=None, *, frames: int = FRAMES, size: int = FRAME_SIZE, weights_dir=None) -> keras.Model:
    """MC3-18 as a backbone; see `build_video_resnet`."""
    return build_video_resnet("mc3_18", weights, frames=frames, size=size, weights_dir=weights_dir)


def build_video_resnet(
    name: Name, weights=None, *, frames: int = FRAMES, size: int = FRAME_SIZE, weights_dir=None
) -> keras.Model:
    """One of `NETWORKS` without its classifier.

    Args:
      name: of the network.
      weights: None (freshly initialised), "default" (Kinetics-400, downloaded if no file is found) or a torchvision
        checkpoint, `.pth`.
      frames, size: of the input clips.
      weights_dir: folder that is searched first for the default weights.

    Returns:
      a model from normalised frames `(batch, frames, size, size, 3)` (see `frame_scaling`) to "features", z^V
      `(batch, time, 512)`, the spatial mean of "maps" `(batch, time, height, width, 512)`, the last activation. For
      MC3-18 time is `frames`; size 112 gives maps of 7x7.

    Raises:
      InputError: no weights, a damaged file, or one of another network.
    """
    classifier = build_video_classifier(name, weights, frames=frames, size=size, weights_dir=weights_dir)
    outputs = {output: classifier.get_layer(output).output for output in ("features", "maps")}
    return keras.Model(classifier.input, outputs, name=name)


def build_video_classifier(
    name: Name,
    weights=None,
    *,
    frames: int = FRAMES,
    size: int = FRAME_SIZE,
    num_classes: int = KINETICS_CLASSES,
    weights_dir=None,
) -> keras.Model:
    """Like `build_video_resnet`, with its classifier `fc`: `(batch, num_classes)` scores before the softmax.

    If weights are given, they determine the number of classes.
    """
    if weights == "default":
        weights = NETWORKS[name].weights.obtained(weights_dir)
    file = None if weights is None else read_torch(weights, classes=_CLASSES)
    if file is not None:
        num_classes = _class_count(file, weights, name)
    model = _classifier(name, frames, size, num_classes)
    if file is not None:
        state = {key: value for key, value in file.state.items() if not key.endswith(".num_batches_tracked")}
        assign(model, state, _torch_names(model), weights)
    return model


def build_video_extractor(name: Name, path: Path | None = None) -> keras.Model:
    """A network that turns the 16 frames of a second, as returned by `prepare_second`, into one feature `(batch, 512)`.

    The feature is the mean of the last activation over time and space. Weights as for `build_video_resnet`.
    """
    network = build_video_resnet(name, path, frames=CLIP_FRAMES)
    mean = keras.layers.GlobalAveragePooling1D(name="avg_pool")(network.output["features"])
    return keras.Model(network.input, mean, name=name)


def weights_label(name: Name, weights) -> str:
    """The name of `weights` ("none", "default" or a file) for `FeatureInfo`."""
    known = {"none": "none", "default": PRETRAINED}
    return known.get(str(weights)) or NETWORKS[name].weights.label_of(Path(weights))


def prepare_second(frames):
    """Center-crops and normalises frames `(..., 128, 171, 3)`, RGB from 0 to 255."""
    top, left = (round((length - FRAME_SIZE) / 2) for length in RESIZE)
    return frame_scaling()(frames[..., top : top + FRAME_SIZE, left : left + FRAME_SIZE, :])


def frame_scaling(**kwargs) -> keras.layers.Rescaling:
    """The layer that normalises RGB frames, 0 to 255 (integer or float), for the networks."""
    scale = [1 / (255 * deviation) for deviation in DEVIATION]
    offset = [-mean / deviation for mean, deviation in zip(MEAN, DEVIATION, strict=True)]
    return keras.layers.Rescaling(scale, offset, **kwargs)


def _class_count(file: TorchFile, path, name: str) -> int:
    problem, head = None, file.state.get("fc.weight")
    if file.root_class not in (None, _WHOLE):
        problem = f"holds the network {file.root_class} where {name} is needed"
    elif head is None or head.ndim != 2 or head.shape[1] != CHANNELS:
        problem = f"is not a checkpoint of {name}, since it has no classifier fc over {CHANNELS} channels"
    if problem:
        raise InputError(f"{path}: {problem}; give torchvision's {NETWORKS[name].weights.name}.")
    return head.shape[0]


def _torch_names(model: keras.Model) -> dict[str, str]:
    """Torch names -> paths of this model's weights: layers are named as in torch, with `_` for dots."""
    kinds = {"kernel": "weight", "gamma": "weight", "beta": "bias", "moving_mean": "running_mean"}
    kinds |= {"moving_variance": "running_var", "bias": "bias"}
    names = {}
    for weight in model.weights:
        layer, _, kind = weight.path.rpartition("/")
        names[f"{layer.replace('_', '.')}.{kinds[kind]}"] = weight.path
    return names


def _classifier(name: Name, frames: int, size: int, num_classes: int) -> keras.Model:
    stages = NETWORKS[name].stages
    clip = keras.Input((frames, size, size, 3), name="frames")
    if stages[0] == _FACTORED:
        x = _convolved(clip, 45, (1, 7, 7), (1, 2, 2), "stem_0", "stem_1")
        x = _convolved(keras.layers.ReLU(name="stem_2")(x), 64, (3, 1, 1), (1, 1, 1), "stem_3", "stem_4")
    else:
        x = _convolved(clip, 64, (3, 7, 7), (1, 2, 2), "stem_0", "stem_1")
    x = keras.layers.ReLU(name="stem_relu")(x)
    for stage, kind in enumerate(stages, 1):
        for block in range(2):
            stride = 2 if stage > 1 and block == 0 else 1
            x = _block(x, 32 * 2**stage, kind, stride, f"layer{stage}_{block}")
    maps = keras.layers.Identity(name="maps")(x)
    time, height, width, channels = maps.shape[1:]
    pooled = keras.layers.AveragePooling3D((1, height, width), name="mean_over_picture")(maps)
    features = keras.layers.Reshape((time, channels), name="features")(pooled)
    whole = keras.layers.GlobalAveragePooling1D(name="mean_over_time")(features)
    scores = keras.layers.Dense(num_classes, name="fc")(whole)
    return keras.Model(clip, scores, name=name)


def _block(x, filters: int, kind: str, stride: int, name: str):
    """A basic block: two convolutions and the shortcut around them."""
    # The number of channels for which a factored convolution has as many weights as a 3x3x3 one.
    channels = x.shape[-1]
    between = (channels * filters * 27) // (channels * 9 + 3 * filters)
    y = _spatiotemporal(x, filters, kind, stride, between, f"{name}_conv1")
    y = keras.layers.ReLU(name=f"{name}_conv1_relu")(y)
    y = _spatiotemporal(y, filters, kind, 1, between, f"{name}_conv2")
    if stride != 1 or channels != filters:
        strides = (1 if kind == _NO_TIME else stride, stride, stride)
        x = _convolved(x, filters, (1, 1, 1), strides, f"{name}_downsample_0", f"{name}_downsample_1")
    return keras.layers.ReLU(name=f"{name}_relu")(keras.layers.Add(name=f"{name}_add")([y, x]))


def _spatiotemporal(x, filters: int, kind: str, stride: int, between: int, name: str):
    """A convolution of a block, of the stage's kind, with its batch norm."""
    if kind == _FACTORED:
        x = _convolved(x, between, (1, 3, 3), (1, stride, stride), f"{name}_0_0", f"{name}_0_1")
        x = keras.layers.ReLU(name=f"{name}_0_2")(x)
        return _convolved(x, filters, (3, 1, 1), (stride, 1, 1), f"{name}_0_3", f"{name}_1")
    if kind == _NO_TIME:
        return _convolved(x, filters, (1, 3, 3), (1, stride, stride), f"{name}_0", f"{name}_1")
    return _convolved(x, filters, (3, 3, 3), (stride,) * 3, f"{name}_0", f"{name}_1")


def _convolved(x, filters: int, kernel, strides, name: str, norm_name: str):
    """Convolution padded by half its kernel, and batch norm.

    With a stride, padding="same" would pad more at the end, while torch pads both ends equally: then the padding is a
    layer of its own.
    """
    padding = "same"
    if max(strides) > 1:
        padding = "valid"
        if max(kernel) > 1:
            x = keras.layers.ZeroPadding3D([length // 2 for length in kernel], name=f"{name}_padding")(x)
    convolution = keras.layers.Conv3D(
        filters, kernel, strides, padding, use_bias=False, kernel_initializer="he_normal", name=name
    )
    return keras.layers.BatchNormalization(epsilon=1e-5, momentum=0.9, name=norm_name)(convolution(x))
