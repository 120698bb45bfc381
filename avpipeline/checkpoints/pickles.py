"""Pickles read as data: an interpreter of pickle instructions that calls nothing a file asks for.

`pickle.load` runs whatever callable a file names. Here the instructions that build plain data are carried
out, and everything that names, calls, creates or fills an object goes through a `Vocabulary`, which answers
from an exact list with inert records of its own. No module is imported and no class of the file exists.
"""

import codecs
import contextlib
import dataclasses
import mmap
import os
import pickletools
from collections.abc import Iterator

from avpipeline.errors import InputError

HIGHEST_PROTOCOL = 5


class BadPickle(Exception):
    """Why a pickle is refused, to follow the file's name in a sentence."""


@dataclasses.dataclass(frozen=True)
class Global:
    """A `module.name` that a pickle mentions and its vocabulary knows; never the thing itself."""

    name: str


class Vocabulary:
    """What a pickle may name, and what comes of it; this base knows nothing, so only plain data passes.

    Make one for every file: records made for one file are then never seen by the next.
    """

    def __init__(self):
        self.size = self.budget = 0

    def begin(self, size: int) -> None:
        """Told the size of the file in bytes before its pickle is read."""
        self.size = size
        # Honest files copy text to bytes and bytes to arrays, each once.
        self.budget = 4 * size

    def spend(self, amount: int) -> None:
        """Called before anything is copied: all copies together may not outgrow the file by far."""
        self.budget -= amount
        if self.budget < 0:
            raise BadPickle("refused, because its pickle would unfold to far more than the file's size.")

    def knows(self, name: str) -> bool:
        return False

    def call(self, name: str, arguments: tuple) -> object:
        """What calling the known global `name` gives (instruction REDUCE)."""
        raise refusal(name)

    def create(self, name: str) -> object:
        """An empty object of the known class `name` (instruction NEWOBJ)."""
        raise refusal(name)

    def fill(self, target: object, state: object) -> None:
        """Gives `target`, which came from this vocabulary, its state (instruction BUILD)."""
        raise BadPickle(f"refused, because its pickle sets the state of a {type(target).__name__}.")

    def persistent(self, identity: object) -> object:
        """The object that lies outside the pickle under `identity`."""
        raise BadPickle("refused, because its pickle names objects outside of itself in an unknown way.")


def refusal(name: str) -> BadPickle:
    """The refusal of one global or instruction, named so that a user can judge the file."""
    return BadPickle(
        f"refused, because its pickle asks for {name[:100]!r}, which no file of this kind needs; nothing of it "
        "was run, get the file from its authors."
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


def load(file, vocabulary: Vocabulary, size: int) -> object:
    """Reads one pickle from the position of `file` and leaves it after the pickle's last byte.

    Python 2's byte strings come as latin-1 text. Keys of dicts and members of sets are plain values only.

    Args:
      file: `read`, `readline`; must not allocate for reads past its end (a map, or bytes in memory).
      size: number of bytes in the file, the limit of what its pickle may unfold to.

    Raises:
      BadPickle: something outside the vocabulary, with its reason.
      Exception: of any other kind for a damaged pickle; call inside `reading`.
    """
    vocabulary.begin(size)
    return _Interpreter(file, vocabulary).run()


def plain_key(value: object) -> object:
    """`value` where it is a plain value; hashing nested tuples of a hostile pickle could take for ever."""
    if not isinstance(value, (str, int, float, type(None))):
        raise BadPickle(f"refused, because its pickle uses a {type(value).__name__} as a key.")
    return value


class _Interpreter:
    """A stack machine; the methods `op_...` are all the instructions it has."""

    def __init__(self, file, vocabulary: Vocabulary):
        self.file = file
        self.vocabulary = vocabulary
        self.stack: list = []
        self.outer: list[list] = []  # the stacks below each open mark
        self.memo: dict[int, object] = {}

    def run(self) -> object:
        while True:
            code = self.file.read(1).decode("latin-1")
            instruction = pickletools.code2op[code]
            if instruction.name == "STOP":
                (result,) = self.stack
                return result
            perform = getattr(self, f"op_{instruction.name.lower()}", None)
            if perform is None:
                raise refusal(self._unsupported(instruction))
            if instruction.name == "STRING":
                argument = self._quoted_line()
            else:
                argument = instruction.arg.reader(self.file) if instruction.arg else None
            perform(argument)

    def _unsupported(self, instruction) -> str:
        if instruction.name == "INST":
            return instruction.arg.reader(self.file).replace(" ", ".")
        return f"instruction {instruction.name}"

    def _quoted_line(self) -> str:
        # pickletools reads STRING as ASCII only, but Python 2 wrote array data this way.
        line = self.file.readline().strip()
        if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
            raise ValueError("STRING without quotes")
        return codecs.escape_decode(line[1:-1])[0].decode("latin-1")

    def _to_mark(self) -> list:
        items = self.stack
        self.stack = self.outer.pop()
        return items

    # Plain values
    def op_proto(self, number):
        if number > HIGHEST_PROTOCOL:
            raise BadPickle(f"is a pickle of the unknown protocol {number}; get the file again.")

    def op_frame(self, _):
        pass

    def _push(self, value):
        self.stack.append(value)

    op_int = op_long = op_long1 = op_long4 = op_binint = op_binint1 = op_binint2 = op_float = op_binfloat = _push
    op_string = op_binstring = op_short_binstring = op_binbytes = op_short_binbytes = op_binbytes8 = _push
    op_bytearray8 = op_unicode = op_binunicode = op_short_binunicode = op_binunicode8 = _push

    def op_none(self, _):
        self.stack.append(None)

    def op_newtrue(self, _):
        self.stack.append(True)

    def op_newfalse(self, _):
        self.stack.append(False)

    # Containers
    def op_mark(self, _):
        self.outer.append(self.stack)
        self.stack = []

    def op_pop(self, _):
        if self.stack:
            self.stack.pop()
        else:
            self._to_mark()

    def op_pop_mark(self, _):
        self._to_mark()

    def op_dup(self, _):
        self.stack.append(self.stack[-1])

    def op_empty_tuple(self, _):
        self.stack.append(())

    def op_tuple(self, _):
        items = self._to_mark()
        self.stack.append(tuple(items))

    def _last_as_tuple(self, count: int):
        if len(self.stack) < count:
            raise IndexError("stack too short")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def op_tuple1(self, _):
        self._last_as_tuple(1)

    def op_tuple2(self, _):
        self._last_as_tuple(2)

    def op_tuple3(self, _):
        self._last_as_tuple(3)

    def op_empty_list(self, _):
        self.stack.append([])

    def op_list(self, _):
        items = self._to_mark()
        self.stack.append(items)

    def op_append(self, _):
        item = self.stack.pop()
        self._last(list).append(item)

    def op_appends(self, _):
        items = self._to_mark()
        self._last(list).extend(items)

    def op_empty_dict(self, _):
        self.stack.append({})

    def op_dict(self, _):
        items = self._to_mark()
        self.stack.append({})
        self._set_items(items)

    def op_setitem(self, _):
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value])

    def op_setitems(self, _):
        self._set_items(self._to_mark())

    def _set_items(self, items: list):
        target = self._last(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[plain_key(key)] = value

    def op_empty_set(self, _):
        self.stack.append(set())

    def op_additems(self, _):
        items = self._to_mark()
        self._last(set).update(plain_key(item) for item in items)

    def _last(self, kind: type):
        if type(self.stack[-1]) is not kind:
            raise BadPickle(f"refused, because its pickle adds items to a {type(self.stack[-1]).__name__}.")
        return self.stack[-1]

    # Memory
    def op_put(self, index):
        self.memo[index] = self.stack[-1]

    op_binput = op_long_binput = op_put

    def op_memoize(self, _):
        self.memo[len(self.memo)] = self.stack[-1]

    def op_get(self, index):
        self.stack.append(self.memo[index])

    op_binget = op_long_binget = op_get

    # Everything that could reach outside goes through the vocabulary
    def op_global(self, module_and_name):
        self._name(module_and_name.replace(" ", "."))

    def op_stack_global(self, _):
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError("STACK_GLOBAL without names")
        self._name(f"{module}.{name}")

    def _name(self, name: str):
        if not self.vocabulary.knows(name):
            raise refusal(name)
        self.stack.append(Global(name))

    def _pop_global_and_arguments(self) -> tuple[str, tuple]:
        arguments, target = self.stack.pop(), self.stack.pop()
        if not isinstance(target, Global) or not isinstance(arguments, tuple):
            raise BadPickle(f"refused, because its pickle calls a {type(target).__name__}; nothing was run.")
        return target.name, arguments

    def op_reduce(self, _):
        name, arguments = self._pop_global_and_arguments()
        self.stack.append(self.vocabulary.call(name, arguments))

    def op_newobj(self, _):
        name, arguments = self._pop_global_and_arguments()
        if arguments:
            raise refusal(f"{name} with arguments")
        self.stack.append(self.vocabulary.create(name))

    def op_build(self, _):
        state = self.stack.pop()
        self.vocabulary.fill(self.stack[-1], state)

    def op_binpersid(self, _):
        self.stack.append(self.vocabulary.persistent(self.stack.pop()))
