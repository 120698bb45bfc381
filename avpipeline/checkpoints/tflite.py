"""Weights in TensorFlow Lite files, as float32: each operator with its constant inputs.

A .tflite file is a FlatBuffer of nested tables. Only constants are read, nothing is run; sizes that the file declares
are checked against the bytes that are there. The field numbers below are those of TensorFlow's published schema.
"""

import struct

import numpy as np
from flatbuffers import number_types
from flatbuffers.table import Table

from avpipeline.files import Unusable, read_bytes, reading

# Tables' fields, by their position in the schema.
_MODEL_CODES, _MODEL_GRAPHS, _MODEL_BUFFERS = 1, 2, 4
_GRAPH_TENSORS, _GRAPH_OPERATORS = 0, 3
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_BUFFER, _TENSOR_QUANTIZATION = 0, 1, 2, 4
_SCALE, _ZERO_POINT, _AXIS = 2, 3, 6
_OPERATOR_CODE, _OPERATOR_INPUTS = 0, 1
_OLD_CODE, _CODE = 0, 3
_BUFFER_DATA = 0

_OPERATORS = {3: "conv", 4: "depthwise", 9: "dense"}
_TYPES = {0: "<f4", 1: "<f2", 3: "u1", 9: "i1"}
_LARGEST = 1 << 30  # bytes; networks that run on phones are far smaller


def read_tflite(path) -> list[tuple[str, list[np.ndarray]]]:
    """The convolutions and dense layers of the first graph, in order: `(kind, constants)`.

    `kind` is "conv", "depthwise" or "dense"; the constants are the kernel, with the output channel first ("depthwise":
    last), and the bias. Eight-bit weights are multiplied by their scales.

    Raises:
      InputError: not a TensorFlow Lite file, a damaged one, or one of other number types.
    """
    with reading(path, "is damaged", "download it again"):
        data = read_bytes(path, _LARGEST)
        if data[4:8] != b"TFL3":
            raise Unusable("is not a TensorFlow Lite file; give the .tflite file itself.")
        return _operators(data)


def _operators(data: bytes) -> list[tuple[str, list[np.ndarray]]]:
    model = _Fields(data, struct.unpack_from("<I", data)[0])
    # The operator's code was a byte once; newer files have it in a field of four.
    codes = [
        max(code.number(_OLD_CODE, number_types.Int8Flags), code.number(_CODE, number_types.Int32Flags))
        for code in model.tables(_MODEL_CODES)
    ]
    buffers = model.tables(_MODEL_BUFFERS)
    graph = model.tables(_MODEL_GRAPHS)[0]
    tensors = graph.tables(_GRAPH_TENSORS)
    # A small file may name one large buffer a thousand times.
    found, left = [], 2 * len(data)
    for operator in graph.tables(_GRAPH_OPERATORS):
        kind = _OPERATORS.get(codes[operator.number(_OPERATOR_CODE)])
        if kind is None:
            continue
        constants = []
        for number in operator.array(_OPERATOR_INPUTS, "<i4")[1:]:
            values = _constant(tensors[number], buffers) if number >= 0 else None
            if values is not None:
                constants.append(values)
                left -= values.size
                if left < 0:
                    raise ValueError("it has more weights than bytes")
        found.append((kind, constants))
    return found


class _Fields:
    """A table of the file; each reader raises an error where the file ends too early."""

    def __init__(self, data: bytes, position: int):
        self._table = Table(data, position)

    def number(self, field: int, kind=number_types.Uint32Flags, default: int = 0) -> int:
        offset = self._table.Offset(4 + 2 * field)
        return self._table.Get(kind, self._table.Pos + offset) if offset else default

    def array(self, field: int, dtype: str) -> np.ndarray:
        """A vector of numbers, empty where it is missing."""
        offset = self._table.Offset(4 + 2 * field)
        if not offset:
            return np.zeros(0, dtype)
        return np.frombuffer(self._table.Bytes, dtype, self._table.VectorLen(offset), self._table.Vector(offset))

    def table(self, field: int) -> "_Fields | None":
        offset = self._table.Offset(4 + 2 * field)
        return _Fields(self._table.Bytes, self._table.Indirect(self._table.Pos + offset)) if offset else None

    def tables(self, field: int) -> "list[_Fields]":
        offset = self._table.Offset(4 + 2 * field)
        start = self._table.Vector(offset) if offset else 0
        offsets = self.array(field, "<u4")
        return [_Fields(self._table.Bytes, start + 4 * row + int(ahead)) for row, ahead in enumerate(offsets)]


def _constant(tensor: _Fields, buffers: list[_Fields]) -> np.ndarray | None:
    """A tensor's values; None for one that is computed."""
    data = buffers[tensor.number(_TENSOR_BUFFER)].array(_BUFFER_DATA, "u1")
    if not len(data):
        return None
    kind = tensor.number(_TENSOR_TYPE, number_types.Int8Flags)
    if kind not in _TYPES:
        raise ValueError(f"weights of the number type {kind} are not read")
    values = data.view(_TYPES[kind]).reshape(tensor.array(_TENSOR_SHAPE, "<i4"))
    return _dequantized(values.astype(np.float32), tensor.table(_TENSOR_QUANTIZATION))


def _dequantized(values: np.ndarray, quantization: _Fields | None) -> np.ndarray:
    """(values - zero point) * scale, with one scale or one for each channel."""
    scale = quantization.array(_SCALE, "<f4") if quantization else ()
    if not len(scale):
        return values
    zero = quantization.array(_ZERO_POINT, "<i8").astype(np.float32)
    shape = [1] * values.ndim
    if len(scale) > 1:
        shape[quantization.number(_AXIS, number_types.Int32Flags)] = -1
    return (values - (zero.reshape(shape) if len(zero) else 0)) * scale.reshape(shape)
