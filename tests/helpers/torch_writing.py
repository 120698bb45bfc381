"""Pickles, and torch files in both containers, put together instruction by instruction; torch is not needed."""

import struct
import zipfile

import numpy as np

END = b"."
NOTHING = b"N"
EMPTY = b")"

KINDS = {"f4": "Float", "f8": "Double", "f2": "Half", "i8": "Long", "i4": "Int", "i2": "Short", "i1": "Char"}
KINDS |= {"u1": "Byte", "b1": "Bool"}


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    raw = value.to_bytes(10, "little", signed=True)
    return b"\x8a\x0a" + raw


def name(dotted: str) -> bytes:
    module, _, attribute = dotted.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


def sequence(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def call(dotted: str, *arguments: bytes) -> bytes:
    return name(dotted) + sequence(*arguments) + b"R"


def mapping(entries: dict[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in entries.items()) + b"u"


def instance(dotted: str, attributes: dict[str, bytes]) -> bytes:
    return name(dotted) + EMPTY + b"\x81" + mapping(attributes) + b"b"


def network(dotted: str, parameters=None, buffers=None, modules=None, **attributes: bytes) -> bytes:
    """A pickled torch module of class `dotted`."""
    state = {"_parameters": parameters or {}, "_buffers": buffers or {}, "_modules": modules or {}}
    return instance(dotted, {key: mapping(value) for key, value in state.items()} | attributes)


def state_dict(entries: dict[str, bytes]) -> bytes:
    items = b"".join(text(key) + value for key, value in entries.items())
    return call("collections.OrderedDict") + b"(" + items + b"u"


def storage(key: str, array: np.ndarray, *, view: bytes | None = None, module="torch", count=None) -> bytes:
    kind = name(f"{module}.{KINDS[array.dtype.str[1:]]}Storage")
    fields = [text("storage"), kind, text(key), text("cpu"), number(array.size if count is None else count)]
    return sequence(*fields, *([view] if view else [])) + b"Q"


def tensor(stored: bytes, shape, strides=None, offset=0) -> bytes:
    if strides is None:
        strides = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    numbers = [sequence(*map(number, values)) for values in (shape, strides)]
    hooks = call("collections.OrderedDict")
    return call("torch._utils._rebuild_tensor_v2", stored, number(offset), *numbers, b"\x89", hooks)


def parameter(data: bytes) -> bytes:
    return call("torch._utils._rebuild_parameter", data, b"\x88", call("collections.OrderedDict"))


def old_parameter(stored: bytes, shape, strides) -> bytes:
    """The form of torch 0.3: Parameter(data), then a tuple of flags as state."""
    numbers = [sequence(*map(number, values)) for values in (shape, strides)]
    data = call("torch._utils._rebuild_tensor", stored, number(0), *numbers)
    flags = sequence(b"\x88", b"\x89", call("collections.OrderedDict"))
    return call("torch.nn.parameter.Parameter", data) + flags + b"b"


def legacy_parts(root: bytes, storages: dict[str, np.ndarray]) -> list[bytes]:
    """The pickles of a legacy file in order, and the storages' bytes last."""
    facts = mapping({"protocol_version": number(1001), "little_endian": b"\x88", "type_sizes": mapping({})})
    keys = b"](" + b"".join(map(text, storages)) + b"e"
    raw = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in storages.values())
    magic = number(0x1950A86A20F9469CFC6C)
    return [b"\x80\x02" + part + END for part in (magic, number(1001), facts, root, keys)] + [raw]


def write_legacy(path, root: bytes, storages: dict[str, np.ndarray]):
    path.write_bytes(b"".join(legacy_parts(root, storages)))
    return path


def write_zip(path, root: bytes, storages: dict[str, np.ndarray], *, compression=zipfile.ZIP_STORED, **extra: bytes):
    """`extra`: further entries of the archive, by name."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + root + END)
        for key, array in storages.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())
        for entry, content in extra.items():
            archive.writestr(f"archive/{entry}", content)
    return path
