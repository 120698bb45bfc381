"""How every command of the project starts, fails and ends, and the ranges of its settings."""

import argparse
import contextlib
import contextvars
import dataclasses
import functools
import math
import numbers
import os
import re
import signal
import sys
import threading
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, TypeVar

import annotated_types
import tyro

from avpipeline import __version__
from avpipeline.errors import InputError
from avpipeline.files import first_line, write_failure


def shown(interval: annotated_types.Interval, kind: str) -> object:
    """How --help shows an option with values in `interval`."""
    return tyro.conf.arg(metavar=f"{kind} {_in_words(interval)}")


def _in_words(interval: annotated_types.Interval) -> str:
    if interval.ge is None:
        return f"above {interval.gt} and at most {interval.le}"
    return f"from {interval.ge} to " + (f"{interval.le}" if interval.lt is None else f"below {interval.lt}")


_COUNT = annotated_types.Interval(ge=1, le=1_000_000)
_UNITS = annotated_types.Interval(ge=1, le=65_536)
_NATURAL = annotated_types.Interval(ge=0, le=1_000_000)
_SEED = annotated_types.Interval(ge=0, le=2**32 - 1)
_POSITIVE = annotated_types.Interval(gt=0, le=1_000_000)
_RATE = annotated_types.Interval(gt=0, le=10)
_SHARE = annotated_types.Interval(ge=0, le=1)
_DROPOUT = annotated_types.Interval(ge=0, lt=1)
_PENALTY = annotated_types.Interval(ge=0, le=10)

Count = Annotated[int, _COUNT, shown(_COUNT, "INT")]
"""Of things that there must be one of at least: epochs, videos in a batch, layers."""
Units = Annotated[int, _UNITS, shown(_UNITS, "INT")]
"""The width of a layer."""
Natural = Annotated[int, _NATURAL, shown(_NATURAL, "INT")]
"""Of things that there may be none of."""
Seed = Annotated[int, _SEED, shown(_SEED, "INT")]
"""A seed, as NumPy's generators take it."""
Positive = Annotated[float, _POSITIVE, shown(_POSITIVE, "FLOAT")]
"""A number above 0."""
Rate = Annotated[float, _RATE, shown(_RATE, "FLOAT")]
"""A learning rate, or an optimizer's epsilon."""
Share = Annotated[float, _SHARE, shown(_SHARE, "FLOAT")]
"""A probability, or a share of a whole."""
MaybeCount = Annotated[Count | None, shown(_COUNT, "None|INT")]
MaybeUnits = Annotated[Units | None, shown(_UNITS, "None|INT")]
MaybeShare = Annotated[Share | None, shown(_SHARE, "None|FLOAT")]
Dropout = Annotated[float, _DROPOUT, shown(_DROPOUT, "FLOAT")]
"""The share of values that a dropout layer drops."""
Penalty = Annotated[float, _PENALTY, shown(_PENALTY, "FLOAT")]
"""A weight of regularisation; 0 is none."""


_Settings = TypeVar("_Settings", bound="Checked")


class Checked:
    """Base of every dataclass of settings: a value outside the range of its field is an InputError.

    A field states its range as its type: `epochs: Count = 300`.
    """

    def __post_init__(self):
        if not _PARSING.get():
            check_ranges(self)

    def changed(self: _Settings, **changes) -> _Settings:
        """A copy with other values; InputError for a setting that there is not."""
        for name in changes:
            if name not in _annotations(type(self)):
                raise InputError(f"--{name.replace('_', '-')}: is no setting; choose from {_dashed(type(self))}.")
        return dataclasses.replace(self, **changes)

    def check_together(self) -> None:
        """Raises InputError for settings that are in range each but do not go together."""


# Tyro would put the sentence of a value refused while it parses into a box of its own.
_PARSING = contextvars.ContextVar("parsing", default=False)


@contextlib.contextmanager
def _unchecked() -> Iterator[None]:
    """Settings made inside are not checked until `check_ranges` is called."""
    token = _PARSING.set(True)
    try:
        yield
    finally:
        _PARSING.reset(token)


def check_ranges(settings) -> None:
    """Checks every field of a settings dataclass, and of the dataclasses in it, against its type.

    Raises:
      InputError: a number is outside its range, not finite or not whole, or a name is not one of the choices.
    """
    for name, annotation in _annotations(type(settings)).items():
        value = getattr(settings, name)
        if dataclasses.is_dataclass(value):
            check_ranges(value)
            continue
        problem = _problem(value, annotation)
        if problem:
            raise InputError(f"--{name.replace('_', '-')} {value}: must be {problem}.")
    if isinstance(settings, Checked):
        settings.check_together()


@functools.cache
def _annotations(settings_class: type) -> dict[str, object]:
    hints = typing.get_type_hints(settings_class, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(settings_class)}


def _dashed(settings_class: type) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in _annotations(settings_class))


def _problem(value, annotation, interval: annotated_types.Interval | None = None) -> str | None:
    """What `value` must be to agree with its type; None where it does."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        found = [item for item in inner[1:] if isinstance(item, annotated_types.Interval)]
        return _problem(value, inner[0], found[0] if found else interval)
    if origin in (typing.Union, types.UnionType):
        problems = [_problem(value, option, interval) for option in inner]
        return None if None in problems else next(problem for problem in problems if problem != "none")
    if annotation is type(None):
        return None if value is None else "none"
    if origin is typing.Literal:
        return None if value in inner else f"one of {', '.join(map(str, inner))}"
    if origin is tuple:
        if not isinstance(value, tuple | list):
            return "a list"
        each = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        if len(value) != len(each):
            return f"a list of {len(each)}"
        problems = (_problem(item, option, interval) for item, option in zip(value, each, strict=True))
        return next((f"a list of which each is {problem}" for problem in problems if problem), None)
    if annotation is bool:
        return None if isinstance(value, bool) else "true or false"
    if annotation in (int, float):
        return _number_problem(value, annotation, interval)
    return None


def _number_problem(value, kind: type, interval: annotated_types.Interval | None) -> str | None:
    number = isinstance(value, numbers.Integral if kind is int else numbers.Real) and not isinstance(value, bool)
    words = ("a whole number" if kind is int else "a finite number") + (f" {_in_words(interval)}" if interval else "")
    if not number or not math.isfinite(value):
        return words
    if interval is None:
        return None
    below = value < interval.ge if interval.ge is not None else value <= interval.gt
    above = interval.le is not None and value > interval.le or interval.lt is not None and value >= interval.lt
    return words if below or above else None


def run(
    main: Callable,
    *,
    prog: str,
    argv: Sequence[str] | None = None,
    defaults: Callable[[list[str]], object] | None = None,
) -> int:
    """Runs `main`, whose one argument is a settings dataclass, from the command line; returns the exit status.

    Flags, defaults and help are generated from the dataclass, so that every setting is declared once. An
    `InputError` (including one raised inside tf.data) becomes one sentence on stderr and status 2.

    Args:
      main: function of one dataclass, or of a union (`Check | Write`: one subcommand each); its docstring is the
        description that --help shows.
      prog: name shown in help and errors, e.g. `"python -m ave.train"`.
      argv: command-line arguments; None takes those of the process.
      defaults: `argv` -> default settings, where some defaults depend on other flags (see `chosen`).
    """
    from_shell = argv is None
    argv = list(sys.argv[1:] if from_shell else argv)
    if from_shell and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    if "--version" in argv:
        print(f"{prog} {__version__}")
        return 0
    if "" in argv:
        # As a path it would be the current folder.
        before = argv[argv.index("") - 1] if argv.index("") else "the first argument"
        return _fail(prog, f"{before}: has an empty value; give one, or leave the option out.")
    settings_class = next(value for name, value in main.__annotations__.items() if name != "return")
    description = (main.__doc__ or "").strip()
    try:
        with _unchecked():
            settings = tyro.cli(
                settings_class,
                prog=prog,
                description=f"{description}\n\n--version prints the version.",
                args=argv,
                **({"default": defaults(argv)} if defaults else {}),
                config=(tyro.conf.OmitArgPrefixes,),
            )
        check_ranges(settings)
        return int(main(settings) or 0)
    except InputError as error:
        return _fail(prog, str(error), error.exit_status)
    except KeyboardInterrupt as interrupt:
        status = 143 if isinstance(interrupt, _Terminated) else 130
        _fail(prog, "interrupted; finished work is kept, and the same command resumes from there.")
        if from_shell:
            # TensorFlow's threads have been seen to hang in the interpreter's own exit for good.
            sys.stdout.flush()
            os._exit(status)
        return status
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        if isinstance(error, FileNotFoundError):
            return _fail(prog, f"{error.filename}: there is no such file or folder; check the path.")
        return _fail(prog, str(write_failure(error.filename or "output", error)))
    except Exception as error:
        if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            return _fail(prog, f"the memory does not suffice ({first_line(error)}); choose smaller layers or batches.")
        sentence = sentence_of(error)
        if sentence is None:
            raise
        return _fail(prog, sentence)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command like Ctrl-C does."""


def _terminate(number, frame) -> None:
    raise _Terminated


def chosen(argv: Sequence[str], **defaults: str | None) -> dict[str, str | None]:
    """The values that `argv` gives to a few flags on which the defaults of other flags depend.

    A preset, for example, decides many defaults: it is read first, then the whole command line is parsed.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name, default in defaults.items():
        # A flag without its value is left to the parser of the whole command line, which says so.
        parser.add_argument(f"--{name}", default=default, const=default, nargs="?")
    return vars(parser.parse_known_args(list(argv))[0])


def sentence_of(error: Exception) -> str | None:
    """The message of an InputError that TensorFlow re-raised from a tf.data function, or None."""
    match = re.search(r"InputError: (.+?)\]?\s*$", str(error), re.MULTILINE)
    return match.group(1).strip() if match else None


def _fail(prog: str, sentence: str, status: int = 2) -> int:
    print(f"{prog}: error: {sentence}", file=sys.stderr, flush=True)
    return status
