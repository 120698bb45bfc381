"""Pickles of NumPy arrays, checkpoints of TensorFlow 1 and weight files of old Keras."""

import glob
import math
import re
from pathlib import Path

import numpy as np

from avpipeline.checkpoints.hdf5 import attribute_texts, opened_h5, small_array
from avpipeline.checkpoints.pickles import BadPickle, Global, Machine, mapped, refusal, require_counts
from avpipeline.errors import InputError
from avpipeline.files import Unusable, reading, require_regular

_NDARRAY = "numpy.ndarray"
# What TF1's optimisers call the slots they keep beside a variable, and the counters of Adam.
_OPTIMIZER_STATE = re.compile(r"(^|.+/)((Adam|Momentum|RMSProp|Adagrad|Adadelta|Ftrl)(_\d+)?|beta[12]_power(_\d+)?)")


def read_pickle_arrays(path) -> object:
    """Reads a pickle of NumPy arrays, as Python 2 or 3 wrote it in any protocol, without executing anything.

    Returns:
      The array, or the list, tuple or dict of arrays and plain values that was pickled. Arrays are of numbers
      or truth values, in this machine's byte order.

    Raises:
      InputError: no such file, damaged, arrays of objects or text, or a pickle that names anything else.
    """
    with reading(path, "is not a pickle of arrays, or is damaged or cut short"), mapped(path) as content:
        value = _ArrayMachine(content, content.size()).load()
        if content.tell() != content.size():
            raise ValueError("bytes after the pickle")
        if not isinstance(value, (np.ndarray, list, tuple, dict)):
            raise BadPickle(f"holds a {type(value).__name__} where arrays are needed; pickle NumPy arrays.")
        return value


class _Dtype:
    """A dtype under construction; NumPy's own are shared by the whole process, so a file must not change them."""

    def __init__(self, name: str):
        if re.fullmatch(r"[biuf]\d{1,2}", name) is None:
            raise BadPickle(f"refused, because it holds arrays of type {name[:20]!r}; only numbers can be read.")
        self.dtype = np.dtype(name)

    def fill(self, _version, order, subtype, names, fields, *_sizes) -> None:
        if subtype is not None or names is not None or fields is not None:
            raise BadPickle("refused, because it holds structured arrays; only numbers can be read.")
        self.dtype = self.dtype.newbyteorder(order)


class _ArrayMachine(Machine):
    """Unpickles arrays of numbers as any version of NumPy writes them, whatever its module names."""

    def knows(self, name):
        return name == _NDARRAY or super().knows(name)

    def fill(self, target, state):
        if isinstance(target, _Dtype):
            target.fill(*state)
        elif isinstance(target, np.ndarray):
            self._fill_array(target, *state)
        else:
            super().fill(target, state)

    def _dtype(self, name, _align=False, _copy=False) -> _Dtype:
        return _Dtype(name)

    def _encode(self, text: str, encoding: str) -> bytes:
        # How Python 3 writes bytes in protocol 2.
        if encoding != "latin1":
            raise refusal(f"_codecs.encode to {encoding}")
        self.spend(len(text))
        return text.encode("latin-1")

    def _no_bytes(self) -> bytes:
        # How Python 3 writes empty bytes in protocol 2: a call without arguments, the only one allowed here.
        return b""

    def _empty(self, kind, _shape, _type_code) -> np.ndarray:
        if not isinstance(kind, Global) or kind.name != _NDARRAY:
            raise refusal("a subclass of numpy.ndarray")
        return np.empty(0, np.uint8)

    def _fill_array(self, target: np.ndarray, _version, shape, dtype: _Dtype, fortran_order, raw) -> None:
        if isinstance(raw, str) or not dtype.dtype.isnative:
            self.spend(len(raw))
        if isinstance(raw, str):
            raw = raw.encode("latin-1")
        _require_extent(shape, dtype, raw)
        target.__setstate__((1, shape, dtype.dtype, bool(fortran_order), raw))

    def _from_buffer(self, raw, dtype: _Dtype, shape, order) -> np.ndarray:
        if not dtype.dtype.isnative:
            self.spend(len(raw))
        _require_extent(shape, dtype, raw)
        native = dtype.dtype.newbyteorder("=")
        return np.frombuffer(raw, dtype.dtype).astype(native, copy=False).reshape(shape, order=order)

    functions = {"numpy.dtype": _dtype, "_codecs.encode": _encode}
    functions |= {"__builtin__.bytes": _no_bytes, "builtins.bytes": _no_bytes}
    functions |= dict.fromkeys(("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"), _empty)
    functions |= dict.fromkeys(("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"), _from_buffer)


def _require_extent(shape, dtype: _Dtype, raw) -> None:
    require_counts(shape)
    if not isinstance(raw, (bytes, bytearray)) or math.prod(shape) * dtype.dtype.itemsize != len(raw):
        raise ValueError("values do not fill the shape")


def read_tf1(path) -> dict[str, np.ndarray]:
    """Reads a checkpoint of TensorFlow 1's Saver.

    Args:
      path: the prefix, as given to Saver.save (its .index, .meta or .data file is understood too), or the one file that
        the first form of the Saver wrote.

    Returns:
      Variable name -> values; what optimisers keep beside the variables is left out.

    Raises:
      InputError: a file of the checkpoint is missing or damaged.
    """
    prefix = Path(re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", str(path)))
    index, data = (list(prefix.parent.glob(glob.escape(prefix.name) + ending)) for ending in (".index", ".data-*"))
    if not index and prefix.is_file():
        # Snappy, which packs the one file, makes it 21 times smaller at best.
        data, ratio = [prefix], 21
    else:
        ratio = 1
        if not index and not data:
            raise InputError(f"{path}: there is no such file; check the path.")
        for found, ending, kind in ((index, ".index", "index"), (data, ".data-*", "data")):
            if not found:
                raise InputError(
                    f"{prefix}: its {prefix.name}{ending} is missing; put the {kind} file beside the other."
                )
    # Imported only here: lists and HDF5 files are read without it.
    import tensorflow as tf

    with reading(prefix, "is not a TensorFlow checkpoint, or is damaged or cut short"):
        for part in prefix.parent.glob(f"{glob.escape(prefix.name)}.*"):
            require_regular(part)
        reader = tf.train.load_checkpoint(str(prefix))
        shapes = reader.get_variable_to_shape_map()
        size = ratio * sum(part.stat().st_size for part in data)
        names = [name for name in shapes if not _OPTIMIZER_STATE.fullmatch(name)]
        # Every number takes a byte of the data at least.
        if sum(math.prod(shapes[name]) for name in names) > size:
            raise ValueError("declares more numbers than its data hold")
        return {name: reader.get_tensor(name) for name in sorted(names)}


def read_keras_h5(path) -> dict[str, np.ndarray]:
    """Reads the weights of an .h5 file that Keras 1 or 2 wrote (weights alone, or a whole model).

    Returns:
      `"layer/weight"` -> values, in the file's order, e.g. `"dense_1/kernel"`; a layer inside a layer keeps its
      path, e.g. `"bidirectional_1/forward_lstm_1/kernel"`.

    Raises:
      InputError: no such file, no HDF5 file, or one without Keras layers.
    """
    with reading(path, "is not an HDF5 file of Keras weights, or is damaged"), opened_h5(path) as root:
        layers = root.get("model_weights", root)
        if "layer_names" not in layers.attrs:
            raise Unusable("has no Keras layers (attribute layer_names); give a file written by save_weights.")
        weights = {}
        for layer in attribute_texts(layers, "layer_names"):
            for name in attribute_texts(layers[layer], "weight_names"):
                short = name.removesuffix(":0").removeprefix(f"{layer}/")
                weights[f"{layer}/{short}"] = small_array(layers, f"{layer}/{name}")
        return weights
