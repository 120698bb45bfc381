"""YAMNet (Google, 2019): a MobileNet on log-mel patches, trained on AudioSet's 521 classes.

Conv 32 with stride 2, then 13 pairs of a depthwise and a pointwise convolution (Howard et al. 2017, "MobileNets"), the
mean over the last map (3 x 2 x 1024), and a dense layer with a sigmoid for each class. Batch normalisation is folded
into each convolution's bias and kernel, so that the float file `yamnet.h5` and the 8-bit `yamnet.tflite` fill the
same network.

A second is one patch, its first 96 frames. YAMNet's own program cuts patches from the whole recording, one every
0.48 s.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from avpipeline.checkpoints import read_keras_h5
from avpipeline.checkpoints.tflite import read_tflite
from avpipeline.errors import InputError
from avpipeline.features.logmel import LogMel
from avpipeline.features.weights import WeightFile, require_unchanged, search_folders
from avpipeline.files import read_bytes, reading
from avpipeline.media import SAMPLE_RATE

CLASSES = 521
VARIANTS = {"embedding": (1024,), "audio_map": (3, 2, 1024), "scores": (CLASSES,)}
# Layers of outputs that are not called as they are.
_LAYERS = {"audio_map": "layer14_pointwise_conv"}
_LICENCE = "Apache-2.0 (Google)"
_URL = "https://storage.googleapis.com/audioset/yamnet.h5"
WEIGHTS = WeightFile("yamnet.h5", _URL, "15 MB", _LICENCE, others=("yamnet.tflite",))
FILES = WEIGHTS.names
_CLASS_MAP_URL = "https://raw.githubusercontent.com/tensorflow/models/master/research/audioset/yamnet/"
CLASS_MAP = WeightFile("yamnet_class_map.csv", f"{_CLASS_MAP_URL}yamnet_class_map.csv", "14 kB", _LICENCE)

# (stride, channels) of the pairs of convolutions, layer2 to layer14.
_PAIRS = ((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *[(1, 512)] * 5, (2, 1024), (1, 1024))
# Sounds that every copy of the weights must recognise: class number (Silence; Beep, bleep), and the lowest score.
_KNOWN, _SURE = {"silence": 494, "a tone of 1000 Hz": 475}, 0.5
# Bytes of the list of classes; Google's has 14 kB.
_MOST_CLASS_MAP = 1 << 20
_EPSILON = 1e-4  # of the batch normalisation, which has no scale


@keras.saving.register_keras_serializable(package="avpipeline")
class YamnetLogMel(LogMel):
    """YAMNet's log-mel patches: as VGGish's, with log(mel + 0.001)."""

    offset = 0.001


def yamnet_network() -> keras.Model:
    """The network up to its scores without weights, from log-mel patches `(batch, 96, 64)` to `(batch, 521)`."""
    patches = keras.Input((LogMel.frames, LogMel.bands), name="log_mel")
    x = keras.layers.Reshape((LogMel.frames, LogMel.bands, 1), name="one_channel")(patches)
    x = keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu", name="layer1_conv")(x)
    for number, (stride, channels) in enumerate(_PAIRS, start=2):
        name = f"layer{number}"
        x = keras.layers.DepthwiseConv2D(
            3, strides=stride, padding="same", activation="relu", name=f"{name}_depthwise_conv"
        )(x)
        x = keras.layers.Conv2D(channels, 1, activation="relu", name=f"{name}_pointwise_conv")(x)
    x = keras.layers.GlobalAveragePooling2D(name="embedding")(x)
    x = keras.layers.Dense(CLASSES, activation="sigmoid", name="scores")(x)
    return keras.Model(patches, x, name="yamnet")


def build_yamnet(variant: str, path: Path | None = None) -> keras.Model:
    """The network up to one of `VARIANTS`, freshly initialised or with the weights of one of `FILES`.

    From log-mel patches `(batch, 96, 64)` to `(batch, *VARIANTS[variant])`.

    Raises:
      InputError: a damaged file, or one of another network.
    """
    whole = yamnet_network()
    if path is not None:
        require_unchanged(path)
        _fill(whole, path)
        _check(whole, path)
    output = whole.get_layer(_LAYERS.get(variant, variant)).output
    return keras.Model(whole.input, output, name=f"{whole.name}_{variant}")


def weights_file(weights_dir=None) -> Path:
    """Google's file in the folders of weights; InputError with how to get it where there is none."""
    path = WEIGHTS.found(weights_dir)
    if path is None:
        folders = ", ".join(str(folder) for folder in search_folders(weights_dir))
        raise InputError(
            f"YAMNet: neither {' nor '.join(FILES)} is in {folders}; fetch it with python -m avpipeline.weights "
            f"yamnet, or put it there from {WEIGHTS.url}."
        )
    return path


def class_map_file(weights: Path, weights_dir=None) -> Path:
    """`yamnet_class_map.csv` beside the weights or in a folder of weights; InputError with how to get it otherwise."""
    beside = weights.with_name(CLASS_MAP.name)
    path = beside if beside.is_file() else CLASS_MAP.found(weights_dir)
    if path is None:
        raise InputError(
            f"{beside}: YAMNet's list of class names is not there; fetch it with python -m avpipeline.weights yamnet, "
            f"or put it there from {CLASS_MAP.url}."
        )
    return path


def class_names(weights: Path, weights_dir=None) -> tuple[str, ...]:
    """AudioSet's names of the 521 classes, as in `class_map_file`.

    Raises:
      InputError: it is missing, or another file.
    """
    path = class_map_file(weights, weights_dir)
    with reading(path, "is not YAMNet's list of classes (index,mid,display_name)", f"get {CLASS_MAP.url}"):
        rows = list(csv.DictReader(read_bytes(path, _MOST_CLASS_MAP).decode("utf-8").splitlines()))
        names = tuple(row["display_name"] for row in rows)
        numbers = [int(row["index"]) for row in rows]
    if numbers != list(range(CLASSES)) or not all(names):
        raise InputError(f"{path}: has {len(names)} classes where YAMNet has {CLASSES} in order; get {CLASS_MAP.url}.")
    return names


def _fill(model: keras.Model, path: Path) -> None:
    layers = [layer for layer in model.layers if layer.weights]
    values = _from_tflite(path) if path.suffix == ".tflite" else _from_h5(path, layers)
    shapes = [[tuple(weight.shape) for weight in layer.weights] for layer in layers]
    if [[array.shape for array in arrays] for arrays in values] != shapes:
        raise InputError(f"{path}: its layers are not YAMNet's, so it is of another network; get {WEIGHTS.url}.")
    if not all(np.isfinite(array).all() for arrays in values for array in arrays):
        raise InputError(f"{path}: holds weights that are not finite numbers; download it again.")
    for layer, arrays in zip(layers, values, strict=True):
        layer.set_weights(arrays)


def _from_tflite(path: Path) -> list[list[np.ndarray]]:
    """Kernel and bias of every layer; the first dense layer is the mel matrix, of which we use the exact one."""
    layers = []
    for _, constants in read_tflite(path)[1:]:
        if len(constants) != 2:
            raise InputError(f"{path}: has a layer without weights, so it is of another network; get {WEIGHTS.url}.")
        kernel, bias = constants
        # The first axis goes last: of dense layers and convolutions the outputs, of depthwise ones (1, 3, 3, channels).
        layers.append([np.moveaxis(kernel, 0, -1), bias])
    return layers


def _from_h5(path: Path, layers) -> list[list[np.ndarray]]:
    """Kernel and bias of every layer, from Google's file: `layer2/depthwise_conv`, `layer2/depthwise_conv/bn`, ..."""
    found = read_keras_h5(path)
    try:
        return [_folded(layer, found) for layer in layers]
    except KeyError as error:
        raise InputError(f"{path}: has no weights {error}, so it is of another network; get {WEIGHTS.url}.") from error


def _folded(layer, found: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """A layer's kernel and bias with batch normalisation in them: (W x - mean) / deviation + beta."""
    if layer.name == "scores":
        return [_ending(found, "dense/kernel"), _ending(found, "dense/bias")]
    name = layer.name.replace("_", "/", 1)
    kernel = _ending(found, f"{name}/depthwise_kernel" if "depthwise" in name else f"{name}/kernel")
    beta, mean, variance = (
        _ending(found, f"{name}/bn/{value}") for value in ("beta", "moving_mean", "moving_variance")
    )
    deviation = np.sqrt(variance.astype(np.float64) + _EPSILON)
    by_channel = deviation[:, None] if "depthwise" in name else deviation
    return [(kernel / by_channel).astype(np.float32), (beta - mean / deviation).astype(np.float32)]


def _ending(found: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """The only array whose name ends with `name`; files differ in the prefix."""
    names = [key for key in found if f"/{key.removesuffix(':0')}".endswith(f"/{name}")]
    if len(names) != 1:
        raise KeyError(name)
    return found[names[0]]


def _check(model: keras.Model, path: Path) -> None:
    """Raises InputError unless the network recognises silence and a steady tone, as every copy of the weights does."""
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    sounds = np.stack([np.zeros(SAMPLE_RATE), 0.5 * np.sin(2 * np.pi * 1000 * time)]).astype(np.float32)
    found = np.asarray(model(YamnetLogMel()(sounds)))
    for scores, (name, number) in zip(found, _KNOWN.items(), strict=True):
        if scores.argmax() != number or scores.max() < _SURE:
            raise InputError(
                f"{path}: does not hear {name} as YAMNet does, so it is of another network; get {WEIGHTS.url}."
            )
