"""C3D (Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks", 2015), trained on Sports-1M.

Conv 64, pool, conv 128, pool, two conv 256, pool, two conv 512, pool, two conv 512, pool, fc6 and fc7 of 4096, fc8 of
487. Every convolution is 3x3x3 with ReLU; poolings halve time, height and width, the first leaves time as it is. Here
the network ends at the output that serves as a feature, so that fc7 and fc8 of a weight file are not used.

The last pooling takes 7 rows to 4, as in the Caffe network that was trained: its last window lies half outside. The
ports for torch and Keras pad a row before the first as well, which shifts the windows by one; the weights are the same.
"""

from pathlib import Path

import h5py
import keras
import numpy as np

from avpipeline.checkpoints import read_keras_h5, read_torch
from avpipeline.checkpoints.assign import assign
from avpipeline.errors import InputError
from avpipeline.features.weights import WeightFile, fetch, find_weights

CLIP_FRAMES, FRAME_SIZE = 16, 112
# (height, width) to which frames are resized before the centre of `FRAME_SIZE` is cut out, as in training.
RESIZE = (128, 171)
# Blue, green, red: the order of the weights' channels, and the mean over Sports-1M in it. Caffe subtracts a mean of
# each pixel and frame, a file of its own that the converted weights lack; these are its means over both, rounded.
MEAN = (90.0, 98.0, 102.0)
TORCH_FILE, KERAS_FILE = "c3d.pickle", "sports1M_weights_tf.h5"
VARIANTS = {"pool5": (512,), "fc6": (4096,)}
_URL = f"https://github.com/adamcasson/c3d/releases/download/v0.1/{KERAS_FILE}"
WEIGHTS = WeightFile(KERAS_FILE, _URL, "320 MB", "see its repository", label="sports1m", others=(TORCH_FILE,))

_FILTERS = {
    "conv1": 64,
    "conv2": 128,
    **{"conv3a": 256, "conv3b": 256},
    **{"conv4a": 512, "conv4b": 512},
    **{"conv5a": 512, "conv5b": 512},
}
_POOL_AFTER = {"conv1": "pool1", "conv2": "pool2", "conv3b": "pool3", "conv4b": "pool4", "conv5b": "pool5"}
_UNITS = 4096


def c3d_network(variant: str = "pool5", *, size: int = FRAME_SIZE) -> keras.Model:
    """The network up to one of its outputs, freshly initialised.

    Args:
      variant: "pool5", the mean of the last pooling over time and space, or "fc6", the first dense layer after its
        ReLU.
      size: height and width of the frames; the published fc6 needs 112.

    Returns:
      a model from `(batch, 16, size, size, 3)`, as returned by `prepare_second`, to `(batch, 512)` or `(batch, 4096)`.
    """
    clip = x = keras.Input((CLIP_FRAMES, size, size, 3), name="frames")
    for name, filters in _FILTERS.items():
        x = keras.layers.Conv3D(filters, 3, padding="same", activation="relu", name=name)(x)
        if name in _POOL_AFTER:
            window = (1 if name == "conv1" else 2, 2, 2)
            # With windows that do not overlap, "same" pads one row at the end where the number of rows is odd.
            x = keras.layers.MaxPooling3D(window, padding="same", name=_POOL_AFTER[name])(x)
    if variant == "pool5":
        x = keras.layers.GlobalAveragePooling3D(name="mean")(x)
    else:
        x = keras.layers.Dense(_UNITS, activation="relu", name="fc6")(keras.layers.Flatten(name="flatten")(x))
    return keras.Model(clip, x, name=f"c3d_{variant}")


def weights_file(weights_dir=None) -> Path:
    """The weights trained on Sports-1M, downloaded if no file is found."""
    return find_weights((TORCH_FILE, KERAS_FILE), weights_dir) or fetch(WEIGHTS, weights_dir)


def load_weights(model: keras.Model, path) -> None:
    """Puts the weights of a published file into a network of `c3d_network`, in Keras's order of axes.

    The file is a torch state dict with the layers' names (`c3d.pickle`) or an .h5 file of Keras with channels last
    (`sports1M_weights_tf.h5`).

    Raises:
      InputError: no such file, a damaged one, or one of another network; the model is unchanged then.
    """
    path = Path(path)
    is_keras = path.is_file() and h5py.is_hdf5(path)
    state = _keras_state(path) if is_keras else dict(read_torch(path).state)
    layers = {layer.name for layer in model.layers if layer.weights}
    unused = {"fc6", "fc7", "fc8"} - layers
    state = {name: array for name, array in state.items() if name.partition(".")[0] not in unused}
    if not is_keras and "fc6" in layers:
        state["fc6.weight"] = _channels_last(state.get("fc6.weight"), model.get_layer("pool5").output.shape[2:], path)
    kinds = {"weight": "kernel", "bias": "bias"}
    names = {f"{layer}.{kind}": f"{layer}/{own}" for layer in layers for kind, own in kinds.items()}
    assign(model, state, names, path, transpose=not is_keras)


def _channels_last(weight: np.ndarray | None, maps: tuple[int, int, int], path: Path) -> np.ndarray:
    """Torch's fc6 `(units, inputs)`, which flattens the maps with their channels first, for maps flattened as here."""
    height, width, channels = maps
    if weight is None or weight.ndim != 2 or weight.shape[1] != height * width * channels:
        raise InputError(
            f"{path}: has no fc6.weight with {height * width * channels} columns; give a checkpoint of C3D (Sports-1M)."
        )
    return np.moveaxis(weight.reshape(-1, channels, height, width), 1, -1).reshape(weight.shape)


def _keras_state(path: Path) -> dict[str, np.ndarray]:
    """An .h5 file's `LAYER.weight` and `LAYER.bias`, whatever this version of Keras called a layer's two arrays."""
    arrays = read_keras_h5(path)
    return {f"{name.partition('/')[0]}.{'weight' if x.ndim > 1 else 'bias'}": x for name, x in arrays.items()}


def prepare_second(frames):
    """Cuts out the centre of RGB frames `(..., 128, 171, 3)`, 0 to 255, turns them to BGR and subtracts `MEAN`."""
    top, left = ((length - FRAME_SIZE) // 2 for length in RESIZE)
    cut = frames[..., top : top + FRAME_SIZE, left : left + FRAME_SIZE, :]
    return cut[..., ::-1] - keras.ops.convert_to_tensor(MEAN, "float32")
