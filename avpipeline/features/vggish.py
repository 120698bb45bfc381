"""VGGish (Hershey et al., ICASSP 2017): an audio network on log-mel patches of one second.

Conv 64, pool, conv 128, pool, two conv 256, pool, two conv 512, pool (3x3 same, ReLU; 2x2 max), flatten (6 x 4 x 512,
channels last), two dense 4096, dense 128. Every output that is called "VGGish features" somewhere has a name of its
own here (`VARIANTS`).

AVE's authors released `embedding_relu` (their values are never negative and mostly exactly zero). The PCA is applied to
the embedding before the ReLU, as in the current AudioSet release.
"""

import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path

import h5py
import keras
import numpy as np

from avpipeline.checkpoints.hdf5 import opened_h5, small_array
from avpipeline.errors import InputError
from avpipeline.features.weights import fetch, fill_seeded, find_weights
from avpipeline.files import bounded, reading, require_regular

VARIANTS = {
    "embedding": (128,),
    "embedding_relu": (128,),
    "embedding_pca": (128,),
    "embedding_pca_quantized": (128,),
    "conv4_2": (12, 8, 512),
    "pool4": (6, 4, 512),
}
DEFAULT_VARIANT = "embedding_relu"
MAPS = ("conv4_2", "pool4")
PATCH_SHAPE = (96, 64)

CHECKPOINT, PCA_FILE = "vggish_model.ckpt", "vggish_pca_params.npz"
KERAS_FILES = ("vggish_audioset_weights.h5", "vggish_audioset_weights_without_fc2.h5")
_MOST_PCA = 1 << 20
URL = "https://storage.googleapis.com/audioset/"
PRETRAINED = "audioset"

# Our layer -> its scope in the TF-slim checkpoint, under "vggish/". The Keras port nests the same names.
_SCOPES = {
    "conv1": "conv1",
    "conv2": "conv2",
    "conv3_1": "conv3/conv3_1",
    "conv3_2": "conv3/conv3_2",
    "conv4_1": "conv4/conv4_1",
    "conv4_2": "conv4/conv4_2",
    "fc1_1": "fc1/fc1_1",
    "fc1_2": "fc1/fc1_2",
    "fc2": "fc2",
}
_FILTERS = {"conv1": 64, "conv2": 128, "conv3_1": 256, "conv3_2": 256, "conv4_1": 512, "conv4_2": 512}
_UNITS = 4096
_POOL_AFTER = {"conv1": "pool1", "conv2": "pool2", "conv3_2": "pool3", "conv4_2": "pool4"}
_QUANTIZE_MIN, _QUANTIZE_MAX = -2.0, 2.0


@keras.saving.register_keras_serializable(package="avpipeline")
class PcaWhitening(keras.layers.Layer):
    """AudioSet's postprocessing: `eigen_vectors @ (x - means)`, optionally quantised to 8 bits.

    Input and output are `(batch, channels)`. With `quantize` the result is clipped to [-2, 2], scaled to [0, 255] and
    rounded down, as the AudioSet and YouTube-8M releases store it (here as float32).
    """

    def __init__(self, quantize: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.quantize = quantize

    def build(self, input_shape):
        channels = input_shape[-1]
        self.eigen_vectors = self.add_weight(
            shape=(channels, channels), initializer="identity", trainable=False, name="eigen_vectors"
        )
        self.means = self.add_weight(shape=(channels,), initializer="zeros", trainable=False, name="means")

    def call(self, inputs):
        whitened = keras.ops.matmul(inputs - self.means, keras.ops.transpose(self.eigen_vectors))
        if not self.quantize:
            return whitened
        clipped = keras.ops.clip(whitened, _QUANTIZE_MIN, _QUANTIZE_MAX)
        return keras.ops.floor((clipped - _QUANTIZE_MIN) * (255.0 / (_QUANTIZE_MAX - _QUANTIZE_MIN)))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "quantize": self.quantize}


def vggish_network(variant: str = DEFAULT_VARIANT) -> keras.Model:
    """The network up to the output `variant`, without pretrained weights.

    Returns:
      a model from log-mel patches `(batch, 96, 64)` (`logmel.LogMel`) to `(batch, *VARIANTS[variant])`.
    """
    patches = keras.Input(PATCH_SHAPE, name="log_mel")
    x = keras.layers.Reshape((*PATCH_SHAPE, 1), name="one_channel")(patches)
    for name, filters in _FILTERS.items():
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)(x)
        if name == variant:
            break
        if name in _POOL_AFTER:
            x = keras.layers.MaxPooling2D(2, name=_POOL_AFTER[name])(x)
    if variant not in MAPS:
        x = keras.layers.Flatten(name="flatten")(x)
        x = keras.layers.Dense(_UNITS, activation="relu", name="fc1_1")(x)
        x = keras.layers.Dense(_UNITS, activation="relu", name="fc1_2")(x)
        x = keras.layers.Dense(128, name="fc2")(x)
        if variant == "embedding_relu":
            x = keras.layers.ReLU(name="fc2_relu")(x)
        elif variant != "embedding":
            x = PcaWhitening(quantize=variant == "embedding_pca_quantized", name="pca")(x)
    return keras.Model(patches, x, name=f"vggish_{variant}")


def build_vggish(
    variant: str = DEFAULT_VARIANT, weights="default", *, weights_dir=None, seed: int = 0
) -> tuple[keras.Model, str]:
    """The network with its weights.

    Args:
      variant: one of `VARIANTS`.
      weights: "default" (AudioSet, downloaded if no file is found), "none" (seeded random) or a file: the TF-slim
        checkpoint `vggish_model.ckpt` or an .h5 file of the Keras port. The PCA variants also need
        `vggish_pca_params.npz`, beside that file or in a folder of weights.
      weights_dir: folder that is searched first.
      seed: of random weights.

    Returns:
      the model, and the name of its weights for `FeatureInfo`.

    Raises:
      InputError: no weights, a damaged file, or one of another network.
    """
    model = vggish_network(variant)
    if weights == "none":
        fill_seeded(model, seed)
        return model, "none"
    path = _default_file(variant, weights_dir) if weights == "default" else Path(weights)
    layers = [layer for layer in model.layers if layer.name in _SCOPES]
    arrays = _read_h5(path) if _is_h5(path) else _read_checkpoint(path)
    for layer in layers:
        layer.set_weights(_layer_weights(path, layer, arrays))
    if any(layer.name == "pca" for layer in model.layers):
        model.get_layer("pca").set_weights(_read_pca(_pca_file(path, weights_dir)))
    model.trainable = False
    return model, PRETRAINED if path.name in (CHECKPOINT, *KERAS_FILES) else path.name


def _default_file(variant: str, weights_dir) -> Path:
    files = (CHECKPOINT, *KERAS_FILES) if variant in MAPS else (CHECKPOINT, KERAS_FILES[0])
    return find_weights(files, weights_dir) or fetch(CHECKPOINT, URL + CHECKPOINT, weights_dir)


def _pca_file(weights: Path, weights_dir) -> Path:
    beside = weights.with_name(PCA_FILE)
    if beside.is_file():
        return beside
    return find_weights((PCA_FILE,), weights_dir) or fetch(PCA_FILE, URL + PCA_FILE, weights_dir)


def _is_h5(path: Path) -> bool:
    if not path.is_file() and not path.with_name(f"{path.name}.index").is_file():
        raise InputError(f"{path}: there is no such weight file; check the path.")
    return path.is_file() and (h5py.is_hdf5(path) or path.suffix in (".h5", ".hdf5"))


def _read_checkpoint(path: Path) -> dict[tuple[str, int], np.ndarray]:
    """(layer, number of dimensions) -> array, from a TF-slim checkpoint in either of TensorFlow's file formats."""
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(str(path))
        known = reader.get_variable_to_shape_map()
        arrays = {}
        for name, scope in _SCOPES.items():
            for kind in ("weights", "biases"):
                variable = f"vggish/{scope}/{kind}"
                if variable in known:
                    array = reader.get_tensor(variable)
                    arrays[name, array.ndim] = array
        return arrays
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        told = str(error).splitlines()[0]
        raise InputError(
            f"{path}: neither a TensorFlow checkpoint nor an .h5 file of weights ({told}); download it again."
        ) from error


def _read_h5(path: Path) -> dict[tuple[str, int], np.ndarray]:
    """(layer, number of dimensions) -> array, from an .h5 file of the Keras port, however its groups are nested."""
    arrays = {}

    def visit(name, item):
        parts = name.split("/")
        if not isinstance(item, h5py.Dataset) or parts[0] == "optimizer_weights":
            return
        for layer, scope in _SCOPES.items():
            own_name = scope.split("/")[-1]
            if own_name in parts or f"vggish_{own_name}" in parts:
                arrays[layer, item.ndim] = small_array(item.parent, parts[-1])

    with reading(path, "not a complete .h5 file", "download it again"), opened_h5(path) as file:
        file.visititems(visit)
    return arrays


def _layer_weights(
    path: Path, layer: keras.layers.Layer, arrays: Mapping[tuple[str, int], np.ndarray]
) -> list[np.ndarray]:
    """Kernel and bias of a layer, checked."""
    weights = []
    for weight in layer.weights:
        array = arrays.get((layer.name, len(weight.shape)))
        if array is None and layer.name.startswith("fc") and any(name == "conv4_2" for name, _ in arrays):
            raise InputError(
                f"{path}: holds VGGish without its layer {layer.name}, so it is only good for the variants "
                f"{' and '.join(MAPS)}; choose one of these or use the file with all layers."
            )
        if array is None:
            raise InputError(
                f"{path}: has no weights for VGGish's layer {layer.name}, so it is of another network; give a file of "
                "VGGish."
            )
        if array.shape != tuple(weight.shape):
            raise InputError(
                f"{path}: VGGish's layer {layer.name} has the shape {array.shape} instead of "
                f"{tuple(weight.shape)}, so it is of another network; give a file of VGGish."
            )
        weights.append(_finite(path, array))
    return weights


def _read_pca(path: Path) -> list[np.ndarray]:
    names = ("pca_eigen_vectors", "pca_means")
    fault = f"not AudioSet's PCA parameters ({', '.join(names)})"
    with reading(path, fault, f"get {URL}{PCA_FILE}"), zipfile.ZipFile(require_regular(path)) as archive:
        # 128 * 128 numbers of at most 8 bytes, and a header: more is not unpacked, whatever the file declares.
        arrays = []
        for name in names:
            with archive.open(f"{name}.npy") as member:
                arrays.append(_npy(bounded(member, _MOST_PCA)))
    eigen_vectors, means = arrays
    if eigen_vectors.shape != (128, 128) or means.size != 128:
        raise InputError(
            f"{path}: pca_eigen_vectors {eigen_vectors.shape} and pca_means {means.shape} should be (128, 128) and "
            f"(128, 1); get {URL}{PCA_FILE}."
        )
    return [_finite(path, eigen_vectors), _finite(path, means.reshape(128))]


def _npy(content: bytes) -> np.ndarray:
    """The array of an .npy file of numbers; ValueError or KeyError where it does not hold what it declares."""
    file = io.BytesIO(content)
    form = np.lib.format
    header = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}[form.read_magic(file)]
    shape, is_fortran, dtype = header(file)
    if dtype.kind not in "fiu" or math.prod(shape) * dtype.itemsize != len(content) - file.tell():
        raise ValueError(f"an array of {dtype} {shape} is not there")
    return np.frombuffer(content, dtype, offset=file.tell()).reshape(shape, order="F" if is_fortran else "C")


def _finite(path: Path, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise InputError(f"{path}: holds weights that are not finite numbers; download it again.")
    return array
