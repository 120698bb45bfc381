"""Ranges of settings, and the check that every value is in its own."""

import contextlib
import contextvars
import dataclasses
import math
import numbers
import operator
import types
import typing
from collections.abc import Iterator
from typing import Annotated, TypeVar

from annotated_types import Interval

from avpipeline.errors import InputError

Count = Annotated[int, Interval(ge=1, le=1_000_000)]
"""A number of things of which there must be at least one: epochs, videos in a batch, layers."""
Units = Annotated[int, Interval(ge=1, le=65_536)]
"""The width of a layer."""
Natural = Annotated[int, Interval(ge=0, le=1_000_000)]
"""A number of things of which there may be none."""
Seed = Annotated[int, Interval(ge=0, le=2**32 - 1)]
"""A seed, as NumPy's generators take it."""
Positive = Annotated[float, Interval(gt=0, le=1_000_000)]
"""A number above 0."""
Rate = Annotated[float, Interval(gt=0, le=10)]
"""A learning rate, or an optimizer's epsilon."""
Share = Annotated[float, Interval(ge=0, le=1)]
"""A probability, or a share of a whole."""
Dropout = Annotated[float, Interval(ge=0, lt=1)]
"""The share of values that a dropout layer drops."""
Penalty = Annotated[float, Interval(ge=0, le=10)]
"""The weight of a regularisation term; 0 switches it off."""
MaybeCount, MaybeUnits, MaybeShare = Count | None, Units | None, Share | None


def shown(annotation) -> str | None:
    """How --help shows an option with values in an interval, e.g. "None|INT from 1 to 9"; None for any other."""
    inner = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Union and inner[1:] == (type(None),):
        words = shown(inner[0])
        return words and f"None|{words}"
    interval = _interval_of(inner)
    return interval and f"{inner[0].__name__.upper()} {_in_words(interval)}"


def _interval_of(inner: tuple) -> Interval | None:
    """The interval among what a type is annotated with."""
    return next((item for item in inner[1:] if isinstance(item, Interval)), None)


def _in_words(interval: Interval) -> str:
    if interval.ge is None:
        return f"above {interval.gt} and at most {interval.le}"
    return f"from {interval.ge} to " + (f"{interval.le}" if interval.lt is None else f"below {interval.lt}")


_Settings = TypeVar("_Settings", bound="Checked")


class Checked:
    """Base of every dataclass of settings: a value outside the range of its field is an InputError.

    A field states its range as its type: `epochs: Count = 300`.
    """

    def __post_init__(self):
        if not _PARSING.get():
            check_ranges(self)

    def changed(self: _Settings, **changes) -> _Settings:
        """A copy with some values changed; InputError for an unknown setting."""
        known = annotations_of(type(self))
        if unknown := [name for name in changes if name not in known]:
            names = ", ".join(map(flag_of, known))
            raise InputError(f"{flag_of(unknown[0])}: is no setting; choose from {names}.")
        return dataclasses.replace(self, **changes)

    def check_together(self) -> None:
        """Raises InputError for settings that are each in range but do not go together."""


# If a value were refused while tyro parses, tyro would print the sentence in a box of its own.
_PARSING = contextvars.ContextVar("parsing", default=False)


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
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
    for name, annotation in annotations_of(type(settings)).items():
        value = getattr(settings, name)
        if dataclasses.is_dataclass(value):
            check_ranges(value)
            continue
        problem = problem_with(value, annotation)
        if problem:
            raise InputError(f"{flag_of(name)} {value}: must be {problem}.")
    if isinstance(settings, Checked):
        settings.check_together()


def flag_of(name: str) -> str:
    """The option of a command line that is the setting `name`."""
    return f"--{name.replace('_', '-')}"


def annotations_of(settings_class: type) -> dict[str, object]:
    """Field -> its type; read anew each time, since the choices of a name grow with what a user registers."""
    hints = typing.get_type_hints(settings_class, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(settings_class)}


def problem_with(value, annotation, interval: Interval | None = None) -> str | None:
    """What `value` must be to agree with its type; None where it does."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return problem_with(value, inner[0], _interval_of(inner))
    if origin in (typing.Union, types.UnionType):
        problems = [problem_with(value, option) for option in inner]
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
        problems = (problem_with(item, option) for item, option in zip(value, each, strict=True))
        return next((f"a list of which each is {problem}" for problem in problems if problem), None)
    if annotation is bool:
        return None if isinstance(value, bool) else "true or false"
    if annotation in (int, float):
        return _number_problem(value, annotation, interval)
    return None


def _number_problem(value, kind: type, interval: Interval | None) -> str | None:
    number = isinstance(value, numbers.Integral if kind is int else numbers.Real) and not isinstance(value, bool)
    # An interval's bounds have the names of the operators: ge, gt, le, lt.
    bounds = dataclasses.asdict(interval).items() if interval else ()
    finite = number and (isinstance(value, numbers.Integral) or math.isfinite(value))
    if finite and all(bound is None or getattr(operator, name)(value, bound) for name, bound in bounds):
        return None
    return ("a whole number" if kind is int else "a finite number") + (f" {_in_words(interval)}" if interval else "")
