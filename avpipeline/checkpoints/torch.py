"""Torch checkpoint files, read without torch and without executing anything in them.

Two containers are known. Legacy: five pickles in a row (magic number, protocol, system facts, object, storage
keys), then for each key an int64 count and the raw values. Zip: `NAME/data.pkl`, `NAME/data/KEY`,
`NAME/byteorder`. Either may hold a state dict or a whole pickled network; of a network the classes become
inert records, from whose `_parameters`, `_buffers` and `_modules` the state dict is gathered.
"""

import dataclasses
import io
import math
import re
import reprlib
import struct
import zipfile
from collections.abc import Collection, Iterator, Mapping

import numpy as np

from avpipeline.checkpoints.pickles import (
    ENTRY,
    BadPickle,
    DataUnpickler,
    Global,
    mapped,
    plain_key,
    reading,
    require_counts,
)

TORCH_MODULE = re.compile(r"torch\.nn\.modules\.[a-z_]+\.[A-Za-z0-9_]+")
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
_KINDS = {"Float": "f4", "Double": "f8", "Half": "f2", "Long": "i8", "Int": "i4", "Short": "i2", "Char": "i1"}
_KINDS |= {"Byte": "u1", "Bool": "?"}
STORAGES = {
    f"{module}.{kind}Storage": np.dtype(code) for module in ("torch", "torch.cuda") for kind, code in _KINDS.items()
}

# Helper objects of old torch that hold no weights.
_IGNORED = ("torch.nn.backends.thnn._get_thnn_function_backend", "torch.backends.cudnn.rnn.Unserializable")

# Attributes, parameters and children of all modules, each counted wherever its module is used. Real networks
# stay far below; a file can name one module twice at each of many levels to exhaust the reader.
MAX_ENTRIES = 200_000
MAX_NAME_LENGTH = 300
_MEMBERS = ("_parameters", "_buffers", "_modules")


@dataclasses.dataclass(frozen=True)
class TorchFile:
    """What a torch checkpoint holds.

    Attributes:
      root_class: `"module.Class"` of a whole pickled network, None for a state dict.
      state: dotted name -> values, of parameters and persistent buffers, in the file's order and dtypes. The
        arrays are read-only and may be strided views into a shared storage.
      extras: dotted name -> plain attribute (number, text, truth value) of the network's modules, e.g.
        `"lstm_audio.hidden_size": 128`; empty for a state dict.
    """

    root_class: str | None
    state: Mapping[str, np.ndarray]
    extras: Mapping[str, bool | int | float | str]


def read_torch(path, *, classes: Collection[str] = ()) -> TorchFile:
    """Reads a file written by `torch.save(network)` or `torch.save(network.state_dict())`, of any torch version.

    Args:
      path: the file, in torch's legacy or zip container.
      classes: `"module.Class"` names of networks and layers that a whole pickled network may hold beside
        torch.nn.modules.

    Raises:
      InputError: no such file, neither container, damaged, inconsistent, or a pickle that names anything that
        no such file needs; nothing of it was run then.
    """
    with reading(path, "a torch checkpoint"), mapped(path) as content:
        if content[:4] == b"PK\x03\x04":
            return _contents(_read_zip(path, content, frozenset(classes)))
        return _contents(_read_legacy(content, frozenset(classes)))


# What the object pickle may name


@dataclasses.dataclass(eq=False)
class _Storage:
    """Raw values of one key, filled once they are read."""

    dtype: np.dtype
    count: int
    values: np.ndarray | None = None

    def fill(self, raw: bytes, order: str) -> None:
        if len(raw) != self.count * self.dtype.itemsize:
            raise ValueError("storage cut short")
        if self.dtype == bool:
            self.values = np.frombuffer(raw, np.uint8) != 0
        else:
            self.values = np.frombuffer(raw, self.dtype.newbyteorder(order)).astype(self.dtype, copy=False)


@dataclasses.dataclass(frozen=True, eq=False)
class _View:
    """A torch storage as a tensor refers to it: the part [start, stop) of a file's storage."""

    storage: _Storage
    start: int
    stop: int


@dataclasses.dataclass(frozen=True, eq=False)
class _Tensor:
    """A tensor as a part of a storage, and strides in elements."""

    view: _View
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        part = self.view.storage.values[self.view.start : self.view.stop]
        # The stride of an axis of one element (or none) means nothing and may be any number.
        steps = [step * part.itemsize if size > 1 else 0 for size, step in zip(self.shape, self.strides, strict=True)]
        return np.lib.stride_tricks.as_strided(part, self.shape, steps, writeable=False)


@dataclasses.dataclass(eq=False)
class _Module:
    """Stand-in for an instance of a network class: its name and attributes, nothing else."""

    class_name: str
    state: dict = dataclasses.field(default_factory=dict)


class _Ignored:
    """Stand-in for the objects of `_IGNORED`, with whatever state."""


class _TorchUnpickler(DataUnpickler):
    """The exact list of what a torch object pickle may name, and the storages it referred to."""

    def __init__(self, file, size: int, classes: frozenset[str]):
        super().__init__(file, size)
        self.classes = classes
        self.storages: dict[str, _Storage] = {}

    def _is_class(self, name: str) -> bool:
        return name in self.classes or TORCH_MODULE.fullmatch(name) is not None

    def find_class(self, module, name):
        full = f"{module}.{name}"
        if full in STORAGES:
            return Global(full)
        if full in _IGNORED:
            return Global(full, call=_Ignored, instance=_Ignored)
        if self._is_class(full):
            return Global(full, instance=lambda: _Module(full))
        return super().find_class(module, name)

    def persistent_load(self, identity):
        kind, *fields = identity if isinstance(identity, tuple) else (None,)
        if kind == "module":
            target, _file_name, _source = fields
            if not isinstance(target, Global) or not self._is_class(target.name):
                raise BadPickle("refused, because its pickle names a module that is no class.")
            return target
        if kind == "storage":
            return self._storage(*fields)
        return super().persistent_load(identity)

    def fill(self, target, state):
        if isinstance(target, _Module) and isinstance(state, dict):
            self.spend(ENTRY * len(state))
            target.state.update(state)
        elif isinstance(target, _Tensor) and isinstance(state, tuple):
            pass  # flags and hooks of torch 0.3; the values came with the call
        elif type(target) is dict and isinstance(state, dict):
            pass  # a state dict's `_metadata` of layer versions
        elif not isinstance(target, _Ignored):
            super().fill(target, state)

    def _storage(self, kind, key, _location, count, view=None) -> _View:
        dtype = STORAGES[kind.name]
        if not isinstance(key, str):
            raise TypeError("storage key is no text")
        require_counts((count,))
        storage = self.storages.setdefault(key, _Storage(dtype, count))
        if (storage.dtype, storage.count) != (dtype, count):
            raise ValueError("one storage with two sizes or types")
        _view_key, start, length = view or (None, 0, count)
        require_counts((start, length))
        if start + length > count:
            raise ValueError("view outside of its storage")
        return _View(storage, start, start + length)

    def _tensor(self, view, offset, shape, strides, *_flags_and_hooks) -> _Tensor:
        if not isinstance(view, _View):
            raise TypeError("tensor without storage")
        for counts in ((offset,), shape, strides):
            require_counts(counts)
        last = sum((size - 1) * step for size, step in zip(shape, strides, strict=True) if size > 1)
        start = view.start + offset
        stop = start + last + 1 if 0 not in shape else start
        if stop > view.stop or math.prod(shape) > self.size:
            raise ValueError("tensor outside of its storage")
        return _Tensor(_View(view.storage, start, stop), shape, strides)

    def _parameter(self, data, *_flags_and_hooks) -> _Tensor:
        if not isinstance(data, _Tensor):
            raise TypeError("parameter without tensor")
        return data

    def _ordered_dict(self, pairs=()) -> dict:
        self.spend(ENTRY * len(pairs))
        return {plain_key(key): value for key, value in pairs}

    def _set(self, members=()) -> set:
        self.spend(ENTRY * len(members))
        return {plain_key(member) for member in members}

    functions = {
        "collections.OrderedDict": _ordered_dict,
        "builtins.set": _set,
        "__builtin__.set": _set,
        "torch._utils._rebuild_tensor": _tensor,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_parameter": _parameter,
        "torch.nn.parameter.Parameter": _parameter,
    }


# Containers


def _read_legacy(content, classes: frozenset[str]) -> object:
    size = content.size()
    if DataUnpickler(content, size).load() != LEGACY_MAGIC:
        raise BadPickle("is a pickle, but no torch checkpoint; give a file written by torch.save.")
    protocol = DataUnpickler(content, size).load()
    if protocol != LEGACY_PROTOCOL:
        raise BadPickle(f"is of torch's unknown legacy protocol {reprlib.repr(protocol)}; save it with a newer torch.")
    if DataUnpickler(content, size).load()["little_endian"] is not True:
        raise BadPickle("was written on a big-endian machine, whose legacy format is ambiguous; save it anew.")
    unpickler = _TorchUnpickler(content, size, classes)
    root = unpickler.load()
    keys = DataUnpickler(content, size).load()
    _require_same_keys(keys, unpickler.storages)
    for key in keys:
        storage = unpickler.storages[key]
        (count,) = struct.unpack("<q", content.read(8))
        if count != storage.count:
            raise ValueError("storage of another size than its tensors say")
        storage.fill(content.read(count * storage.dtype.itemsize), "<")
    if content.tell() != size:
        raise ValueError("bytes after the last storage")
    return root


def _read_zip(path, content, classes: frozenset[str]) -> object:
    with zipfile.ZipFile(path) as archive:
        _require_plain_archive(archive, content)
        names = archive.namelist()
        (pickle_name,) = [name for name in names if re.fullmatch(r"[^/]+/data\.pkl", name)]
        folder = pickle_name.removesuffix("data.pkl")
        byteorder = archive.read(f"{folder}byteorder").strip() if f"{folder}byteorder" in names else b"little"
        order = {b"little": "<", b"big": ">"}[byteorder]
        file = io.BytesIO(archive.read(pickle_name))
        unpickler = _TorchUnpickler(file, content.size(), classes)
        root = unpickler.load()
        if file.read(1):
            raise ValueError("bytes after the pickle")
        data = f"{folder}data/"
        _require_same_keys([name.removeprefix(data) for name in names if name.startswith(data)], unpickler.storages)
        for key, storage in unpickler.storages.items():
            storage.fill(archive.read(data + key), order)
    return root


def _require_plain_archive(archive: zipfile.ZipFile, content) -> None:
    """Raises unless it is sure that the archive's entries unpack to no more than its file."""
    entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise BadPickle("is a compressed archive, which torch never writes; give the file as torch saved it.")
    if content[-22:-18] != b"PK\x05\x06":
        raise ValueError("bytes after the archive's directory")
    is_larger = sum(entry.file_size for entry in entries) > content.size()
    if is_larger or len({entry.filename for entry in entries}) < len(entries):
        raise ValueError("entries overlap")


def _require_same_keys(keys, storages: Mapping[str, _Storage]) -> None:
    if not all(isinstance(key, str) for key in keys) or sorted(keys) != sorted(storages):
        raise ValueError("storages and their tensors do not match")


# From the object to named arrays


def _contents(root: object) -> TorchFile:
    if isinstance(root, _Module):
        state, extras = _gather(root)
        return TorchFile(root.class_name, state, extras)
    if not isinstance(root, dict) or not root:
        raise BadPickle("holds neither a network nor a state dict; save network.state_dict() with torch.")
    for name, value in root.items():
        if not isinstance(name, str) or not isinstance(value, _Tensor):
            raise BadPickle(f"is no plain state dict (see {str(name)[:60]!r}); save network.state_dict() alone.")
    return TorchFile(None, {name: tensor.array() for name, tensor in root.items()}, {})


def _gather(root: _Module) -> tuple[dict[str, np.ndarray], dict]:
    """State dict and plain attributes of a pickled network, named as torch names them."""
    state, extras = {}, {}
    for prefix, module in _walk(root):
        for name, tensor in _tensors(module):
            full_name = _join(prefix, name)
            if full_name in state:
                raise ValueError("two tensors of one name")
            state[full_name] = tensor.array()
        for name, value in module.state.items():
            if isinstance(value, (bool, int, float, str)):
                extras[_join(prefix, name)] = value
    return state, extras


def _walk(root: _Module) -> Iterator[tuple[str, _Module]]:
    """Every module with its dotted prefix, parents first; without recursion, since a file may nest deeply."""
    waiting, entries = [("", root)], 0
    while waiting:
        prefix, module = waiting.pop()
        children = module.state["_modules"]
        entries += sum(len(part) for part in (module.state, *map(module.state.get, _MEMBERS)))
        if entries > MAX_ENTRIES:
            raise BadPickle(f"refused, because its network has more than {MAX_ENTRIES} entries.")
        yield prefix, module
        for name, child in reversed(children.items()):
            if child is not None:
                if not isinstance(child, _Module):
                    raise TypeError("child that is no module")
                waiting.append((_join(prefix, name) + ".", child))


def _join(prefix: str, name: str) -> str:
    if not isinstance(name, str) or len(prefix) + len(name) > MAX_NAME_LENGTH:
        raise BadPickle("refused, because its network has names that are too long, or nests without end.")
    return prefix + name


def _tensors(module: _Module) -> Iterator[tuple[str, _Tensor]]:
    passing = module.state.get("_non_persistent_buffers_set", set())
    buffers = {name: value for name, value in module.state["_buffers"].items() if name not in passing}
    for name, value in (module.state["_parameters"] | buffers).items():
        if value is not None:
            if not isinstance(value, _Tensor):
                raise TypeError("parameter that is no tensor")
            yield name, value
