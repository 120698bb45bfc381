"""Torch checkpoint files, read without torch and without executing anything in them.

Two containers are known. Legacy: five pickles in a row (magic number, protocol, system facts, object, storage
keys), then for each key an int64 count and the raw values. Zip: `NAME/data.pkl`, `NAME/data/KEY`,
`NAME/byteorder`. Either may hold a state dict or a whole pickled network; of a network the classes become
inert records, from whose `_parameters`, `_buffers` and `_modules` the state dict is gathered.
"""

import dataclasses
import io
import itertools
import math
import re
import reprlib
import struct
import warnings
import zipfile
from collections.abc import Collection, Mapping

import numpy as np

from avpipeline.checkpoints.pickles import ENTRY, BadPickle, Global, Machine, mapped, plain_key, require_counts
from avpipeline.files import reading

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
_TORCH_MODULE = re.compile(r"torch\.nn\.modules\.[a-z_]+\.[A-Za-z0-9_]+")
# Modules around a network, which hold it as their only child, and what they put before the names in a state dict.
_WRAPPER = re.compile(r"torch\.nn\.parallel\.[a-z_.]+\.\w*DataParallel|torch\._dynamo\.eval_frame\.OptimizedModule")
_PREFIXES = ("module.", "_orig_mod.")
# More of them inside one another are one that holds itself.
_MOST_WRAPPERS = 10
# Where training scripts put the network in a dict, beside the state of the optimizer.
_HOLDERS = ("state_dict", "model_state_dict", "model")
# Kind of a storage -> how its values are stored in the file.
_KINDS = {"Float": "f4", "Double": "f8", "Half": "f2", "Long": "i8", "Int": "i4", "Short": "i2", "Char": "i1"}
_KINDS |= {"Byte": "u1", "Bool": "u1", "BFloat16": "u2"}
_STORAGES = {f"{module}.{kind}Storage": kind for module in ("torch", "torch.cuda") for kind in _KINDS}
# Helper objects that hold no weights.
_IGNORED = ("torch.nn.backends.thnn._get_thnn_function_backend", "torch.backends.cudnn.rnn.Unserializable")
_IGNORED += ("argparse.Namespace", "torch.device", "torch.Size")

# Attributes, parameters and children of all modules, each counted wherever its module is used. Real networks
# stay far below; a file can name one module twice at each of many levels to exhaust the reader.
MAX_ENTRIES = 200_000
MAX_NAME_LENGTH = 300


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
    """Reads a file written by `torch.save` of a network, its state dict, or a dict that holds either, of any version.

    Wrappers (`DataParallel`, compiled modules, `{"state_dict": ...}`, `{"model": ...}`) are taken off, and a class is
    known by its name wherever its author kept it (`__main__.Net`); a warning says so. bfloat16 becomes float32.

    Args:
      path: the file, in torch's legacy or zip container.
      classes: `"module.Class"` names of networks and layers that a whole pickled network may hold beside
        torch.nn.modules.

    Raises:
      InputError: no such file, neither container, damaged, inconsistent, or a pickle that names anything that
        no such file needs; nothing of it was run then.
    """
    with reading(path, "is not a torch checkpoint, or is damaged or cut short"), mapped(path) as content:
        read = _read_zip if content[:4] == b"PK\x03\x04" else _read_legacy
        file, notes = _contents(*read(path, content, tuple(classes)))
    if notes:
        warnings.warn(f"{path}: {', '.join(notes)}.", UserWarning, stacklevel=2)
    return file


# What the object pickle may name


@dataclasses.dataclass(eq=False)
class _Storage:
    """Raw values of one key, filled once they are read."""

    kind: str
    count: int
    values: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        return self.count * np.dtype(_KINDS[self.kind]).itemsize

    def fill(self, raw: bytes, order: str) -> None:
        if len(raw) != self.nbytes:
            raise ValueError("storage cut short")
        dtype = np.dtype(_KINDS[self.kind])
        values = np.frombuffer(raw, dtype.newbyteorder(order)).astype(dtype, copy=False)
        if self.kind == "BFloat16":  # the upper half of a float32
            values = (values.astype(np.uint32) << 16).view(np.float32)
        self.values = values != 0 if self.kind == "Bool" else values


@dataclasses.dataclass(frozen=True, eq=False)
class _Tensor:
    """The part [start, stop) of a storage, viewed with strides in elements; a whole storage has no shape."""

    storage: _Storage
    start: int
    stop: int
    shape: tuple[int, ...] | None = None
    strides: tuple[int, ...] = ()

    def array(self) -> np.ndarray:
        part = self.storage.values[self.start : self.stop]
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


class _TorchMachine(Machine):
    """The exact list of what a torch object pickle may name, and the storages it referred to."""

    def __init__(self, file, size: int, classes: tuple[str, ...]):
        super().__init__(file, size)
        self.classes = classes
        self.storages: dict[str, _Storage] = {}
        self.elsewhere: dict[str, str] = {}

    def _known_class(self, name: str) -> str | None:
        """The class of `classes` or torch that `name` refers to, even if another script or package defines it."""
        if name in self.classes or _TORCH_MODULE.fullmatch(name) or _WRAPPER.fullmatch(name):
            return name
        own = name.rpartition(".")[2]
        found = next((known for known in self.classes if known.rpartition(".")[2] == own), None)
        if found and not name.startswith("torch."):
            self.elsewhere[name] = found
            return found
        return None

    def knows(self, name):
        return name in _STORAGES or name in _IGNORED or self._known_class(name) is not None or super().knows(name)

    def call(self, name, *arguments):
        return _Ignored() if name in _IGNORED else super().call(name, *arguments)

    def instance(self, name):
        if name in _IGNORED:
            return _Ignored()
        known = self._known_class(name)
        return super().instance(name) if known is None else _Module(known)

    def outside(self, identity):
        kind, *fields = identity if isinstance(identity, tuple) else (None,)
        if kind == "module":
            target, _file_name, _source = fields
            if not isinstance(target, Global) or self._known_class(target.name) is None:
                raise BadPickle("refused, because its pickle names a module that is no class.")
            return target
        return self._storage(*fields) if kind == "storage" else super().outside(identity)

    def fill(self, target, state):
        if isinstance(target, _Module) and isinstance(state, dict):
            self.spend(ENTRY * len(state))
            target.state.update(state)
        # Passed over: flags and hooks of torch 0.3, whose values came with the call, and a state dict's `_metadata`.
        elif (type(target), type(state)) not in ((_Tensor, tuple), (dict, dict)) and not isinstance(target, _Ignored):
            super().fill(target, state)

    def _storage(self, kind, key, _location, count, view=None) -> _Tensor:
        if not isinstance(key, str):
            raise TypeError("storage key is no text")
        require_counts((count,))
        made = _Storage(_STORAGES[kind.name], count)
        storage = self.storages.setdefault(key, made)
        if (storage.kind, storage.count) != (made.kind, count):
            raise ValueError("one storage with two sizes or types")
        _view_key, start, length = view or (None, 0, count)
        require_counts((start, length))
        if start + length > count:
            raise ValueError("view outside of its storage")
        return _Tensor(storage, start, start + length)

    def _tensor(self, view, offset, shape, strides, *_flags_and_hooks) -> _Tensor:
        if not isinstance(view, _Tensor) or view.shape is not None:
            raise TypeError("tensor without storage")
        for counts in ((offset,), shape, strides):
            require_counts(counts)
        last = sum((size - 1) * step for size, step in zip(shape, strides, strict=True) if size > 1)
        start = view.start + offset
        stop = start + last + 1 if 0 not in shape else start
        if stop > view.stop or math.prod(shape) > self.size:
            raise ValueError("tensor outside of its storage")
        return _Tensor(view.storage, start, stop, shape, strides)

    def _parameter(self, data, *_flags_and_hooks) -> _Tensor:
        return _required_tensor(data)

    def _ordered_dict(self, pairs=()) -> dict:
        self.spend(ENTRY * len(pairs))
        return {plain_key(key): value for key, value in pairs}

    def _set(self, members=()) -> set:
        self.spend(ENTRY * len(members))
        return {plain_key(member) for member in members}

    functions = {
        "collections.OrderedDict": _ordered_dict,
        **dict.fromkeys(("builtins.set", "__builtin__.set"), _set),
        **dict.fromkeys(("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2"), _tensor),
        **dict.fromkeys(("torch._utils._rebuild_parameter", "torch.nn.parameter.Parameter"), _parameter),
    }


def _required_tensor(value: object) -> _Tensor:
    if not isinstance(value, _Tensor) or value.shape is None:
        raise TypeError("no tensor where one is needed")
    return value


# Containers


def _read_legacy(_path, content, classes: tuple[str, ...]) -> tuple[object, _TorchMachine]:
    size = content.size()
    if Machine(content, size).load() != LEGACY_MAGIC:
        raise BadPickle("is a pickle, but no torch checkpoint; give a file written by torch.save.")
    protocol = Machine(content, size).load()
    if protocol != LEGACY_PROTOCOL:
        raise BadPickle(f"is of torch's unknown legacy protocol {reprlib.repr(protocol)}; save it with a newer torch.")
    if Machine(content, size).load()["little_endian"] is not True:
        raise BadPickle("was written on a big-endian machine, whose legacy format is ambiguous; save it anew.")
    machine = _TorchMachine(content, size, classes)
    root = machine.load()
    keys = Machine(content, size).load()
    _require_same_keys(keys, machine.storages)
    for key in keys:
        storage = machine.storages[key]
        (count,) = struct.unpack("<q", content.read(8))
        if count != storage.count:
            raise ValueError("storage of another size than its tensors say")
        storage.fill(content.read(storage.nbytes), "<")
    if content.tell() != size:
        raise ValueError("bytes after the last storage")
    return root, machine


def _read_zip(path, content, classes: tuple[str, ...]) -> tuple[object, _TorchMachine]:
    with zipfile.ZipFile(path) as archive:
        _require_plain_archive(archive, content)
        names = archive.namelist()
        (pickle_name,) = [name for name in names if re.fullmatch(r"[^/]+/data\.pkl", name)]
        folder = pickle_name.removesuffix("data.pkl")
        byteorder = archive.read(f"{folder}byteorder").strip() if f"{folder}byteorder" in names else b"little"
        order = {b"little": "<", b"big": ">"}[byteorder]
        file = io.BytesIO(archive.read(pickle_name))
        machine = _TorchMachine(file, content.size(), classes)
        root = machine.load()
        if file.read(1):
            raise ValueError("bytes after the pickle")
        data = f"{folder}data/"
        _require_same_keys([name.removeprefix(data) for name in names if name.startswith(data)], machine.storages)
        for key, storage in machine.storages.items():
            storage.fill(archive.read(data + key), order)
    return root, machine


def _require_plain_archive(archive: zipfile.ZipFile, content) -> None:
    """Raises unless the archive's entries are certain to unpack to no more bytes than the file has."""
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


def _contents(root: object, machine: _TorchMachine) -> tuple[TorchFile, list[str]]:
    """The contents of a file without their wrappers, and a note about each wrapper that was taken off."""
    notes = [f"takes its class {name} for {known}" for name, known in machine.elsewhere.items()]
    holder = next((key for key in _HOLDERS if type(root) is dict and isinstance(root.get(key), (dict, _Module))), None)
    if holder is not None:
        root = root[holder]
        notes.append(f"reads its entry '{holder}' and nothing else")
    wrappers = itertools.count(1)
    while isinstance(root, _Module) and _WRAPPER.fullmatch(root.class_name):
        notes.append(f"unwraps its {root.class_name.rpartition('.')[2]}")
        if next(wrappers) > _MOST_WRAPPERS:
            raise BadPickle("refused, because it wraps its network without end.")
        (root,) = root.state["_modules"].values()
    if isinstance(root, _Module):
        state, extras = _gather(root)
        return TorchFile(root.class_name, state, extras), notes
    if not isinstance(root, dict) or not root:
        raise BadPickle("holds neither a network nor a state dict; save network.state_dict() with torch.")
    for name, value in root.items():
        if not isinstance(name, str) or not isinstance(value, _Tensor) or value.shape is None:
            raise BadPickle(f"is no plain state dict (see {str(name)[:60]!r}); save network.state_dict() alone.")
    while prefix := next((each for each in _PREFIXES if all(name.startswith(each) for name in root)), None):
        root = {name.removeprefix(prefix): tensor for name, tensor in root.items()}
        notes.append(f"takes the prefix '{prefix}' off its names")
    return TorchFile(None, {name: tensor.array() for name, tensor in root.items()}, {}), notes


def _gather(root: _Module) -> tuple[dict[str, np.ndarray], dict]:
    """State dict and plain attributes of a pickled network, named as torch names them, parents first."""
    state, extras = {}, {}
    # Without recursion, since a file may nest deeply.
    waiting, entries = [("", root)], 0
    while waiting:
        prefix, module = waiting.pop()
        parameters, buffers, children = (module.state[part] for part in ("_parameters", "_buffers", "_modules"))
        entries += len(module.state) + len(parameters) + len(buffers) + len(children)
        if entries > MAX_ENTRIES:
            raise BadPickle(f"refused, because its network has more than {MAX_ENTRIES} entries.")
        passing = module.state.get("_non_persistent_buffers_set", set())
        for name, value in (parameters | {name: buffers[name] for name in buffers if name not in passing}).items():
            if value is None:
                continue
            if (full_name := _join(prefix, name)) in state:
                raise ValueError("two tensors of one name")
            state[full_name] = _required_tensor(value).array()
        for name, value in module.state.items():
            if isinstance(value, (bool, int, float, str)):
                extras[_join(prefix, name)] = value
        for name, child in reversed(children.items()):
            if child is not None:
                if not isinstance(child, _Module):
                    raise TypeError("child that is no module")
                waiting.append((_join(prefix, name) + ".", child))
    return state, extras


def _join(prefix: str, name: str) -> str:
    if not isinstance(name, str) or len(prefix) + len(name) > MAX_NAME_LENGTH:
        raise BadPickle("refused, because its network has names that are too long, or nests without end.")
    return prefix + name
