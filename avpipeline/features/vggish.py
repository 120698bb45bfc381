"""VGGish (Hershey et al., ICASSP 2017): an audio network on log-mel patches of one second.

Conv 64, pool, conv 128, pool, two conv 256, pool, two conv 512, pool (3x3 same, ReLU; 2x2 max), flatten (6 x 4 x 512,
channels last), two dense 4096, dense 128. Every output that is called "VGGish features" somewhere has a name of its
own here (`VARIANTS`).

AVE's authors released `embedding_relu` (their values are never negative and mostly exactly zero). The PCA is applied to
the embedding before the ReLU, as in the current AudioSet release.
"""

import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np

from avpipeline.checkpoints import read_tf1
from avpipeline.checkpoints.assign import assign
from avpipeline.checkpoints.hdf5 import opened_h5, small_array
from avpipeline.errors import InputError
from avpipeline.features.weights import WeightFile, fetch, find_weights
from avpipeline.files import bounded, npy_array, reading, require_regular

VARIANTS = {
    "embedding_relu": (128,),
    "embedding": (128,),
    "embedding_pca": (128,),
    "embedding_pca_quantized": (128,),
    "conv4_2": (12, 8, 512),
    "pool4": (6, 4, 512),
}
MAPS = ("conv4_2", "pool4")
PATCH_SHAPE = (96, 64)

_URL, _LICENCE = "https://storage.googleapis.com/audioset/", "Apache-2.0 (Google)"
# Besides the checkpoint of TF-slim, two files of the Keras port; the last one holds the convolutions alone.
_KERAS_FILES = ("vggish_audioset_weights.h5", "vggish_audioset_weights_without_fc2.h5")
WEIGHTS = WeightFile(
    "vggish_model.ckpt", f"{_URL}vggish_model.ckpt", "289 MB", _LICENCE, label="audioset", others=_KERAS_FILES
)
PCA = WeightFile("vggish_pca_params.npz", f"{_URL}vggish_pca_params.npz", "73 kB", _LICENCE)
# The most bytes of an array that are unpacked: it has 128 * 128 numbers of at most 8 bytes, and a header.
_MOST_PCA = 1 << 20

_FILTERS = {"conv1": 64, "conv2": 128, "conv3_1": 256, "conv3_2": 256, "conv4_1": 512, "conv4_2": 512}
# Our layer -> its scope in the TF-slim checkpoint, under "vggish/", e.g. conv3/conv3_1. The Keras port nests the same
# names.
_SCOPES = {
    layer: f"{layer.partition('_')[0]}/{layer}" if "_" in layer else layer
    for layer in (*_FILTERS, "fc1_1", "fc1_2", "fc2")
}
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


def vggish_network(variant: str) -> keras.Model:
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


def build_vggish(variant: str, path: Path | None = None, weights_dir=None) -> keras.Model:
    """`vggish_network`, freshly initialised or with the weights of a file.

    The file is the TF-slim checkpoint `vggish_model.ckpt` or an .h5 file of the Keras port. The PCA variants also need
    `vggish_pca_params.npz`, beside that file or in a folder of weights, of which `weights_dir` is the first.

    Raises:
      InputError: no PCA, a damaged file, or one of another network.
    """
    model = vggish_network(variant)
    if path is None:
        return model
    _load_weights(model, path)
    if "pca" in variant:
        beside = path.with_name(PCA.name)
        pca = beside if beside.is_file() else PCA.obtained(weights_dir)
        model.get_layer("pca").set_weights(_read_pca(pca))
    return model


def weights_file(variant: str, weights_dir=None) -> Path:
    """The weights trained on AudioSet, downloaded if no file is found; the maps need the convolutions alone."""
    names = WEIGHTS.names if variant in MAPS else WEIGHTS.names[:-1]
    return find_weights(names, weights_dir) or fetch(WEIGHTS, weights_dir)


def _load_weights(model: keras.Model, path: Path) -> None:
    is_h5 = path.suffix in (".h5", ".hdf5") or path.is_file() and h5py.is_hdf5(path)
    arrays = _read_h5(path) if is_h5 else _read_checkpoint(path)
    layers = [layer.name for layer in model.layers if layer.name in _SCOPES]
    lacking = [layer for layer in layers if f"{layer}/kernel" not in arrays]
    if lacking and lacking[0].startswith("fc"):
        raise InputError(
            f"{path}: holds VGGish without its layer {lacking[0]}, so it is only good for the variants "
            f"{' and '.join(MAPS)}; choose one of these or use the file with all layers."
        )
    names = {f"{layer}/{kind}" for layer in layers for kind in ("kernel", "bias")}
    state = {name: array for name, array in arrays.items() if name in names}
    assign(model, state, {name: name for name in names}, path, transpose=False)


def _read_checkpoint(path: Path) -> dict[str, np.ndarray]:
    """`LAYER/kernel` and `LAYER/bias` of a TF-slim checkpoint."""
    arrays, kinds = read_tf1(path), {"weights": "kernel", "biases": "bias"}
    return {
        f"{layer}/{kind}": arrays[f"vggish/{scope}/{theirs}"]
        for layer, scope in _SCOPES.items()
        for theirs, kind in kinds.items()
        if f"vggish/{scope}/{theirs}" in arrays
    }


def _read_h5(path: Path) -> dict[str, np.ndarray]:
    """`LAYER/kernel` and `LAYER/bias` of an .h5 file of the Keras port, however its groups are nested."""
    arrays = {}

    def visit(name, item):
        parts = name.split("/")
        if not isinstance(item, h5py.Dataset) or parts[0] == "optimizer_weights":
            return
        for layer in _SCOPES:
            if layer in parts or f"vggish_{layer}" in parts:
                arrays[f"{layer}/{'kernel' if item.ndim > 1 else 'bias'}"] = small_array(item.parent, parts[-1])

    with reading(path, "not a complete .h5 file", "download it again"), opened_h5(path) as file:
        file.visititems(visit)
    return arrays


def _read_pca(path: Path) -> list[np.ndarray]:
    """Eigenvectors `(128, 128)` and means `(128,)`."""
    names, arrays = ("pca_eigen_vectors", "pca_means"), []
    fault = f"not AudioSet's PCA parameters ({', '.join(names)})"
    with reading(path, fault, f"get {PCA.url}"), zipfile.ZipFile(require_regular(path)) as archive:
        for name in names:
            with archive.open(f"{name}.npy") as member:
                arrays.append(npy_array(bounded(member, _MOST_PCA)))
        eigen_vectors, means = arrays
        if eigen_vectors.shape != (128, 128) or means.size != 128:
            raise ValueError(f"{eigen_vectors.shape} and {means.shape} where (128, 128) and (128, 1) are needed")
        if not np.isfinite(eigen_vectors).all() or not np.isfinite(means).all():
            raise ValueError("numbers that are not finite")
        return [eigen_vectors, means.reshape(128)]
