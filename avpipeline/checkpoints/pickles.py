"""Pickles read as data: Python's own unpickler, with stand-ins for everything that a file may name.

No module is imported, and no class or function of the file exists: names are answered from an exact list, and what
they are called with goes to functions of ours. The unpickler is the standard library's in Python. The one in C cannot
be held back: it takes memory for as many memo entries as a file declares, answers registered extension codes without
asking `find_class`, and hashes a tuple that nests itself 60 times as a key for years.
"""

import contextlib
import dataclasses
import functools
import mmap
import os
import pickle
import pickletools
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping

from avpipeline.errors import InputError

HIGHEST_PROTOCOL = 5
# What a pickle may make beside its values as they stand in the file, in bytes: this and twice the file's size, since
# honest ones copy text to bytes and bytes to arrays of this machine's byte order, each once.
MEMORY = 10**8
# The most that one instruction, or one entry of a container, makes: an empty set.
ENTRY = 250
LONG_TEXT = 10**6
MAX_AXES = 32


class BadPickle(Exception):
    """Why a pickle is refused, to follow the file's name in a sentence."""


def refusal(name: str) -> BadPickle:
    """The refusal of one name or instruction, named so that a user can judge the file."""
    return BadPickle(
        f"refused, because its pickle asks for {name[:100]!r}, which no file of this kind needs; nothing of it "
        "was run, give a file of this kind as its authors wrote it."
    )


@contextlib.contextmanager
def reading(path, kind: str) -> Iterator[None]:
    """Turns whatever goes wrong while a file is taken apart into one sentence that names it.

    Args:
      kind: what the file should be, with its article.
    """
    try:
        yield
    except InputError:
        raise
    except BadPickle as error:
        raise InputError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; check the path.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the file.") from error
    except Exception as error:
        # A damaged or hostile file can break the parsing anywhere; the cause stays chained.
        raise InputError(f"{path}: is not {kind}, or is damaged or cut short; get the file again.") from error


@contextlib.contextmanager
def mapped(path) -> Iterator[mmap.mmap]:
    """The file as a read-only map: reads past its end come back short and allocate nothing."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise InputError(f"{path}: is empty; get the file again.")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content


def plain_key(value: object) -> object:
    """`value` where it is a plain value; hashing nested tuples of a hostile pickle could take for ever."""
    if not isinstance(value, (str, int, float, type(None))):
        raise BadPickle(f"refused, because its pickle uses a {type(value).__name__} as a key.")
    return value


def require_counts(numbers: tuple) -> None:
    """Raises ValueError unless `numbers` can be the sizes or strides of an array's axes."""
    is_short = type(numbers) is tuple and len(numbers) <= MAX_AXES
    if not is_short or any(type(number) is not int or not 0 <= number < 2**63 for number in numbers):
        raise ValueError("no counts where counts are needed")


@dataclasses.dataclass(frozen=True, eq=False)
class Global:
    """Stand-in for a `module.name` of a file.

    Attributes:
      call: what calling it gives, None where it must not be called.
      instance: an empty instance of the class that it names, None where it is no class.
    """

    name: str
    call: Callable | None = None
    instance: Callable | None = None


def _apply(machine, kind: str) -> None:
    """REDUCE and NEWOBJ: the `kind`, "call" or "instance", of the name that lies below its arguments."""
    arguments, target = machine.stack.pop(), machine.stack.pop()
    if not isinstance(target, Global) or type(arguments) is not tuple:
        raise BadPickle(f"refused, because its pickle calls a {type(target).__name__}; nothing was run.")
    function = getattr(target, kind)
    if function is None or (kind == "instance" and arguments):
        raise refusal(f"{kind} of {target.name}")
    machine.append(function(*arguments))


def _require_items(target: object, kind: type, keys=()) -> None:
    if type(target) is not kind:
        raise BadPickle(f"refused, because its pickle adds items to a {type(target).__name__}.")
    for key in keys:
        plain_key(key)


def _build(machine) -> None:
    state = machine.stack.pop()
    machine.fill(machine.stack[-1], state)


def _proto(machine) -> None:
    (number,) = machine.read(1)
    if number > HIGHEST_PROTOCOL:
        raise BadPickle(f"is a pickle of the unknown protocol {number}; get the file again.")


def _line(file) -> bytes:
    line = file.readline()
    if not line.endswith(b"\n"):
        raise EOFError("line cut short")
    return line


def _counted(machine, width: int) -> bytes:
    return machine.read(int.from_bytes(machine.read(width), "little"))


def _text(machine, raw: bytes, codec: str, wide: bytes) -> None:
    """Text, whose characters must all fit a byte where it is long: so do those of bytes that NumPy wrote as text.

    One `wide` character (a regular expression) makes all of them take up to four bytes.
    """
    if len(raw) > LONG_TEXT and re.search(wide, raw):
        raise BadPickle("holds very long text, or is damaged; get the file again.")
    text = raw.decode(codec, "surrogatepass")
    machine.spend(max(0, sys.getsizeof(text) - len(raw)))
    machine.append(text)


def _utf8(machine, width: int) -> None:
    _text(machine, _counted(machine, width), "utf-8", b"[\xc4-\xff]")


# Instructions that are carried out here rather than by the standard library, ...
_OWN = {
    "REDUCE": lambda machine: _apply(machine, "call"),
    "NEWOBJ": lambda machine: _apply(machine, "instance"),
    "BUILD": _build,
    "PROTO": _proto,
    # Frames are there for reading ahead; each would be one more copy of what it holds.
    "FRAME": lambda machine: machine.read(8),
    # No float is longer; Python's error would repeat the line, whatever its length.
    "FLOAT": lambda machine: machine.append(float(machine.readline()[:100])),
    "BYTEARRAY8": lambda machine: machine.append(bytearray(_counted(machine, 8))),
    "UNICODE": lambda machine: _text(machine, machine.readline()[:-1], "raw-unicode-escape", rb"\\u(?!00)|\\U"),
    "SHORT_BINUNICODE": lambda machine: _utf8(machine, 1),
    "BINUNICODE": lambda machine: _utf8(machine, 4),
    "BINUNICODE8": lambda machine: _utf8(machine, 8),
}
# ... those that are looked at before, ...
_CHECKS = {
    "APPEND": lambda machine: _require_items(machine.stack[-2], list),
    "APPENDS": lambda machine: _require_items(machine.metastack[-1][-1], list),
    "SETITEM": lambda machine: _require_items(machine.stack[-3], dict, machine.stack[-2:-1]),
    "SETITEMS": lambda machine: _require_items(machine.metastack[-1][-1], dict, machine.stack[::2]),
    "DICT": lambda machine: _require_items({}, dict, machine.stack[::2]),
    "ADDITEMS": lambda machine: _require_items(machine.metastack[-1][-1], set, machine.stack),
}
# ... and those that no file of data has.
_REFUSED = frozenset(
    ("EXT1", "EXT2", "EXT4", "OBJ", "NEWOBJ_EX", "FROZENSET", "PERSID", "NEXT_BUFFER", "READONLY_BUFFER")
)


def _instruction(code: int, stock: Callable) -> Callable:
    """The standard library's instruction, paid for, and checked or replaced where it has to be."""
    name = pickletools.code2op[chr(code)].name
    perform, check = _OWN.get(name, stock), _CHECKS.get(name)

    def instruction(machine) -> None:
        machine.spend(ENTRY)
        if name in _REFUSED:
            raise refusal(f"instruction {name}")
        if check is not None:
            check(machine)
        perform(machine)

    return instruction


class DataUnpickler(pickle._Unpickler):
    """Unpickles plain data and what a subclass knows; Python 2's byte strings come as latin-1 text.

    `load` leaves the file after the pickle's last byte. It raises BadPickle with its reason, or any other exception
    for a damaged pickle: call inside `reading`. Make one for every file, so that stand-ins made for one are never seen
    by the next.

    Args:
      file: `read`, `readline`; must not allocate for reads past its end (a map, or bytes in memory).
      size: number of bytes in the file.
    """

    # "module.name" -> method that gives what a call of it gives.
    functions: Mapping[str, Callable] = {}
    dispatch = {code: _instruction(code, stock) for code, stock in pickle._Unpickler.dispatch.items()}

    def __init__(self, file, size: int):
        super().__init__(types.SimpleNamespace(read=file.read, readline=lambda: _line(file)), encoding="latin1")
        self.size = size
        self.budget = MEMORY + 2 * size

    def load(self) -> object:
        try:
            value = super().load()
            if self.stack:
                raise ValueError("more than one value")
            return value
        finally:
            # Stand-ins that are remembered hold this unpickler, and it them.
            self.memo = {}

    def spend(self, amount: int) -> None:
        """Called before anything is made or copied, with its bytes."""
        self.budget -= amount
        if self.budget < 0:
            raise BadPickle(
                "refused, because its pickle would unfold to far more than the file's size; keep numbers in arrays, "
                "not in lists."
            )

    def find_class(self, module: str, name: str) -> Global:
        full = f"{module}.{name}"
        if full not in self.functions:
            raise refusal(full)
        return Global(full, functools.partial(self.functions[full], self))

    def persistent_load(self, identity: object) -> object:
        raise BadPickle("refused, because its pickle names objects outside of itself in an unknown way.")

    def fill(self, target: object, state: object) -> None:
        """Gives `target`, a stand-in of this unpickler, its state."""
        raise BadPickle(f"refused, because its pickle sets the state of a {type(target).__name__}.")
