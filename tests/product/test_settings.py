"""Every number that any command takes has a range, is accepted at its ends and refused beyond them in one sentence."""

import copy
import dataclasses
import importlib
import math
import types
import typing
from typing import Annotated

import annotated_types
import pytest
import tyro

from avpipeline import cli
from avpipeline.errors import InputError
from tests.helpers.imports import PAPERS, ROOT

COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("avpipeline", *PAPERS)
    for path in (ROOT / package).rglob("*.py")
    if "raise SystemExit(run(" in path.read_text(encoding="utf-8")
)
CONFIGURATIONS = [
    ("ave", "ModelConfig"),
    ("ave", "TrainConfig"),
    ("ave.match.config", "MatchModelConfig"),
    ("ave.match.config", "MatchTrainConfig"),
    *((paper, name) for paper in PAPERS[1:] for name in ("ModelConfig", "TrainConfig")),
]


def numbers(settings_class) -> dict[str, tuple[type, annotated_types.Interval | None, bool]]:
    """The numeric fields of a dataclass and the dataclasses in it: name -> kind, range, whether it is an option."""
    found = {}
    hints = typing.get_type_hints(settings_class, include_extras=True)
    for field in dataclasses.fields(settings_class):
        if dataclasses.is_dataclass(hints[field.name]):
            found |= numbers(hints[field.name])
        else:
            shown = tyro.conf.Suppress[int].__metadata__[0] not in getattr(hints[field.name], "__metadata__", ())
            for kind, interval in leaves(hints[field.name]):
                if kind in (int, float):
                    found[field.name] = kind, interval, shown
    return found


def leaves(annotation, interval=None):
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        own = [item for item in inner[1:] if isinstance(item, annotated_types.Interval)]
        yield from leaves(inner[0], own[0] if own else interval)
    elif origin in (typing.Union, types.UnionType, tuple):
        for option in inner:
            yield from leaves(option, interval)
    else:
        yield annotation, interval


def settings_of(command: str):
    annotations = typing.get_type_hints(importlib.import_module(command).main, include_extras=True)
    annotation = next(value for name, value in annotations.items() if name != "return")
    return typing.get_args(annotation) or (annotation,)


def beyond(kind, interval) -> list[float]:
    """Values outside of a range."""
    step = 1 if kind is int else 1e-3
    low = interval.ge - step if interval.gt is None else interval.gt
    high = interval.le + step if interval.lt is None else interval.lt
    return [low, high, *([] if kind is int else [math.nan, math.inf, -math.inf])]


def ends(kind, interval) -> list[float]:
    low = interval.ge if interval.gt is None else interval.gt + 1e-3
    return [low, interval.le if interval.lt is None else interval.lt - 1e-3]


def words_for(settings_class) -> list[str]:
    """What must be given for a command to be understood."""
    given = []
    for field in dataclasses.fields(settings_class):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            hint = typing.get_type_hints(settings_class, include_extras=True)[field.name]
            choices = [item for kind, _ in leaves(hint) for item in typing.get_args(kind)]
            is_number = any(kind in (int, float) for kind, _ in leaves(hint))
            value = "1" if is_number else str(choices[0]) if choices else "x"
            is_positional = any("Positional" in str(item) for item in getattr(hint, "__metadata__", ()))
            given += [value] if is_positional else [f"--{field.name.replace('_', '-')}", value]
    return given


@pytest.mark.parametrize(
    ("place", "settings_class"),
    [(command, settings) for command in COMMANDS for settings in settings_of(command)]
    + [(module, getattr(importlib.import_module(module), name)) for module, name in CONFIGURATIONS],
)
def test_every_number_states_its_range(place, settings_class):
    assert not {name for name, (_, interval, _) in numbers(settings_class).items() if interval is None}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_refuses_numbers_beyond_their_range(command, capsys):
    module = importlib.import_module(command)
    for settings_class in settings_of(command):
        has_defaults = command.endswith(".train") and hasattr(module, "PAPER")
        defaults = {"defaults": module.PAPER.defaults} if has_defaults else {}

        given: list = []

        def main(settings, given=given) -> int:
            """Takes the settings and does nothing with them."""
            given.append(settings)
            return 0

        main.__annotations__["settings"] = settings_class
        first = words_for(settings_class)
        assert cli.run(main, prog="it", argv=first, **defaults) == 0
        for name, (kind, interval, shown) in numbers(settings_class).items():
            if not shown:
                continue
            # One value through the parser, which takes a while; the others are checked as it checks them.
            flag = f"--{name.replace('_', '-')}"
            values = beyond(kind, interval)
            assert cli.run(main, prog="it", argv=[*first, f"{flag}={values[1]}"], **defaults) == 2, flag
            said = capsys.readouterr().err
            assert said.startswith(f"it: error: {flag} ") and said.count("\n") == 1, said
            for value in values:
                with pytest.raises(InputError, match=f"^{flag} .*must be "):
                    cli.check_ranges(changed(given[0], name, value))
            for value in ends(kind, interval):
                # Some settings do not go together with the others' defaults, which is said in other words.
                try:
                    cli.check_ranges(changed(given[0], name, value))
                except InputError as error:
                    assert "must be a" not in str(error), (flag, value)


def changed(settings, name: str, value):
    """Unchecked settings with another value, of a dataclass inside too, where a list has it as its only item."""
    other = copy.copy(settings)
    for field in dataclasses.fields(settings):
        own = getattr(settings, field.name)
        if dataclasses.is_dataclass(own):
            object.__setattr__(other, field.name, changed(own, name, value))
        elif field.name == name:
            hint = typing.get_type_hints(type(settings), include_extras=True)[name]
            is_list = tuple in {typing.get_origin(part) for part in (hint, *typing.get_args(hint))}
            object.__setattr__(other, name, (value,) if is_list else value)
    return other


@pytest.mark.parametrize(("module", "name"), CONFIGURATIONS)
def test_a_configuration_made_in_python_refuses_numbers_beyond_their_range(module, name):
    configuration = getattr(importlib.import_module(module), name)
    for field, (kind, interval, _) in numbers(configuration).items():
        default = getattr(configuration(), field)
        for value in beyond(kind, interval):
            changed = (value,) * len(default) if isinstance(default, tuple) else value
            with pytest.raises(InputError, match=f"^--{field.replace('_', '-')} "):
                configuration(**{field: changed})
