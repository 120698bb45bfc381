"""Reads pickles as data, with an interpreter of pickle's instructions that never runs code.

No module is imported, and no class or function named in a file is called: a name that a subclass knows becomes a
`Global`, and its arguments go to our own functions; every other name is refused. Python's own unpicklers cannot be
restricted enough: they allocate as many memo entries as a file declares, resolve registered extension codes without
asking, and would spend years hashing a key that is a tuple nested in itself 60 times.
"""

import codecs
import dataclasses
import mmap
import pickletools
import re
import sys
from collections.abc import Callable, Mapping

from avpipeline.errors import InputError
from avpipeline.files import Unusable, open_regular

HIGHEST_PROTOCOL = 5
# Bytes that a pickle may allocate beyond its values as stored in the file: this plus twice the file's size, since an
# honest one copies text to bytes and bytes to arrays of this machine's byte order, each once.
MEMORY = 10**8
# The most bytes that one instruction, or one entry of a container, allocates: an empty set.
ENTRY = 250
LONG_TEXT = 10**6
MAX_AXES = 32


class BadPickle(Unusable):
    """Why a pickle is refused, to follow the file's name in a sentence."""


def refusal(name: str) -> BadPickle:
    """The refusal of one name or instruction, named so that a user can judge the file."""
    return BadPickle(
        f"refused, because its pickle asks for {name[:100]!r}, which no file of this kind needs; nothing of it "
        "was run, give a file of this kind as its authors wrote it."
    )


def mapped(path) -> mmap.mmap:
    """The file as a read-only map: reads past its end come back short and allocate nothing."""
    with open_regular(path) as file:
        if not file.seek(0, 2):
            raise InputError(f"{path}: is empty; get the file again.")
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def plain_key(value: object) -> object:
    """Returns `value` if it is a plain value; hashing the nested tuples of a hostile pickle could take forever."""
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
    """Stand-in for a `module.name` of a file."""

    name: str


class Machine:
    """Unpickles plain data and what a subclass knows; Python 2's byte strings become latin-1 text.

    `load` leaves the file after the pickle's last byte. It raises BadPickle with its reason, or any other exception
    for a damaged pickle: call it inside `files.reading`.

    Args:
      file: `read`, `readline`; must not allocate for reads past its end (a map, or bytes in memory).
      size: number of bytes in the file.
    """

    # "module.name" -> method that returns what calling it would return.
    functions: Mapping[str, Callable] = {}

    def __init__(self, file, size: int):
        self.file, self.size, self.budget = file, size, MEMORY + 2 * size

    def load(self) -> object:
        self.stack, self.below, self.memo = [], [], {}
        while True:
            instruction = _INSTRUCTIONS[self.file.read(1)]
            self.spend(ENTRY)
            name = instruction.name
            if name == "STOP":
                (value,) = self.stack
                if self.below:
                    raise ValueError("a mark is left")
                return value
            if name in _TEXTS:
                self.push(self._text(*_TEXTS[name]))
                continue
            argument = instruction.arg.reader(self.file) if instruction.arg and name != "STRING" else None
            if name in _ACTIONS:
                _ACTIONS[name](self, argument)
            elif name in _VALUES:
                self.push(argument)
            else:
                raise refusal(f"{name} {argument or ''}".strip())

    def spend(self, amount: int) -> None:
        """Charges `amount` bytes to the budget; called before anything is allocated or copied."""
        self.budget -= amount
        if self.budget < 0:
            raise BadPickle(
                "refused, because its pickle would unfold to far more than the file's size; keep numbers in arrays, "
                "not in lists."
            )

    # What a subclass may know

    def knows(self, name: str) -> bool:
        return name in self.functions

    def call(self, name: str, *arguments: object) -> object:
        if name not in self.functions:
            raise refusal(f"call of {name}")
        return self.functions[name](self, *arguments)

    def instance(self, name: str) -> object:
        """An empty instance of the class `name`."""
        raise refusal(f"instance of {name}")

    def outside(self, identity: object) -> object:
        """The object that a persistent id refers to: one stored outside of the pickle."""
        raise BadPickle("refused, because its pickle names objects outside of itself in an unknown way.")

    def fill(self, target: object, state: object) -> None:
        """Sets the state of `target`, a stand-in made by this machine."""
        raise BadPickle(f"refused, because its pickle sets the state of a {type(target).__name__}.")

    # Instructions

    def _text(self, width: int, codec: str, wide: bytes) -> str:
        """Reads text; long text may hold one-byte characters only, like the bytes that NumPy writes as text.

        A single character that matches the pattern `wide` would make all of them take up to four bytes.
        """
        if width:
            count = int.from_bytes(self.file.read(width), "little")
            raw = self.file.read(count)
            is_whole = len(raw) == count
        else:
            line = self.file.readline()
            raw, is_whole = line[:-1], line.endswith(b"\n")
        if not is_whole:
            raise EOFError("text cut short")
        if len(raw) > LONG_TEXT and re.search(wide, raw):
            raise BadPickle("holds very long text, or is damaged; get the file again.")
        text = raw.decode(codec, "surrogatepass")
        self.spend(max(0, sys.getsizeof(text) - len(raw)))
        return text

    def _string(self, _) -> None:
        line = self.file.readline().rstrip(b"\r\n")
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
            raise ValueError("string without quotes")
        self.push(codecs.escape_decode(line[1:-1])[0].decode("latin-1"))

    def push(self, value: object) -> None:
        self.stack.append(value)

    def _marked(self) -> list:
        """Takes everything above the last mark off the stack."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def _mark(self, _) -> None:
        self.below.append(self.stack)
        self.stack = []

    def _top(self, count: int) -> list:
        items = self.stack[-count:]
        if len(items) < count:
            raise IndexError("empty stack")
        del self.stack[-count:]
        return items

    def _named(self, name: str) -> None:
        if not self.knows(name):
            raise refusal(name)
        self.push(Global(name))

    def _stack_global(self, _) -> None:
        module, name = self._top(2)
        self._named(f"{module}.{name}")

    def _apply(self, method: Callable, kind: str) -> None:
        """REDUCE and NEWOBJ: calls the name that lies below its arguments, or makes an instance of it."""
        target, arguments = self._top(2)
        if not isinstance(target, Global) or type(arguments) is not tuple:
            raise BadPickle(f"refused, because its pickle calls a {type(target).__name__}; nothing was run.")
        if kind == "instance" and arguments:
            raise refusal(f"{kind} of {target.name}")
        self.push(method(self, target.name, *arguments))

    def _build(self, _) -> None:
        (state,) = self._top(1)
        self.fill(self.stack[-1], state)

    def _add(self, kind: type, items: list) -> None:
        target = self.stack[-1]
        if type(target) is not kind:
            raise BadPickle(f"refused, because its pickle adds items to a {type(target).__name__}.")
        if kind is list:
            target.extend(items)
        elif kind is set:
            target.update(map(plain_key, items))
        else:
            target.update(zip(map(plain_key, items[::2]), items[1::2], strict=True))

    def _dict(self, _) -> None:
        items = self._marked()
        self.push({})
        self._add(dict, items)

    def _protocol(self, number: int) -> None:
        if number > HIGHEST_PROTOCOL:
            raise BadPickle(f"is a pickle of the unknown protocol {number}; get the file again.")


_INSTRUCTIONS = {code.code.encode("latin-1"): code for code in pickletools.opcodes}
# Text -> bytes of its length (0: to the end of the line), codec, and a pattern of characters that do not fit a byte.
_UTF8 = ("utf-8", b"[\xc4-\xff]")
_TEXTS = {"SHORT_BINUNICODE": (1, *_UTF8), "BINUNICODE": (4, *_UTF8), "BINUNICODE8": (8, *_UTF8)}
_TEXTS["UNICODE"] = (0, "raw-unicode-escape", rb"\\u(?!00)|\\U")
# Instructions whose argument is the value.
_VALUES = frozenset(
    ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "BINSTRING")
    + ("SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8")
)


def _put(machine: Machine, place: int) -> None:
    machine.memo[place] = machine.stack[-1]


def _pushing(make: Callable) -> Callable:
    return lambda machine, argument: machine.push(make(machine))


# All others: extension codes, OBJ, INST, NEWOBJ_EX, FROZENSET, PERSID and buffers are in no file of data.
_ACTIONS = {
    **{name: _pushing(lambda _, value=value: value) for name, value in
       {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}.items()},
    **{f"EMPTY_{kind.__name__.upper()}": _pushing(lambda _, kind=kind: kind()) for kind in (list, dict, set)},
    **{f"TUPLE{count}": _pushing(lambda machine, count=count: tuple(machine._top(count))) for count in (1, 2, 3)},
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, place: machine.push(machine.memo[place])),
    "MEMOIZE": lambda machine, _: _put(machine, len(machine.memo)),
    "STRING": Machine._string,
    "MARK": Machine._mark,
    "POP": lambda machine, _: machine.stack.pop() if machine.stack else machine._marked(),
    "POP_MARK": lambda machine, _: machine._marked(),
    "DUP": lambda machine, _: machine.push(machine.stack[-1]),
    "LIST": lambda machine, _: machine.push(machine._marked()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine._marked())),
    "DICT": Machine._dict,
    "APPEND": lambda machine, _: machine._add(list, machine._top(1)),
    "APPENDS": lambda machine, _: machine._add(list, machine._marked()),
    "SETITEM": lambda machine, _: machine._add(dict, machine._top(2)),
    "SETITEMS": lambda machine, _: machine._add(dict, machine._marked()),
    "ADDITEMS": lambda machine, _: machine._add(set, machine._marked()),
    "GLOBAL": lambda machine, names: machine._named(names.replace(" ", ".")),
    "STACK_GLOBAL": Machine._stack_global,
    "REDUCE": lambda machine, _: machine._apply(type(machine).call, "call"),
    "NEWOBJ": lambda machine, _: machine._apply(type(machine).instance, "instance"),
    "BUILD": Machine._build,
    "BINPERSID": lambda machine, _: machine.push(machine.outside(*machine._top(1))),
    "PROTO": Machine._protocol,
    # Frames are there for reading ahead.
    "FRAME": lambda machine, _: None,
}
