"""Parses a command line into settings, and prints the help."""

import ast
import contextlib
import copy
import dataclasses
import functools
import inspect
import io
import itertools
import re
import textwrap
import typing
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Annotated

import tyro

from avpipeline.cli.ranges import annotations_of, flag_of, problem_with, shown, unchecked
from avpipeline.errors import InputError

# Options of the network and its training that --help shows; --help-all shows the others too.
OFTEN_SET = ("epochs", "batch_size", "learning_rate", "dataset", "data")
HELP_ALL = "--help-all"

_RULE = re.compile("[─-]{3}")


def parsed(settings_class, default, *, prog: str, argv: Sequence[str]):
    """The settings that a command line gives; InputError where it cannot be understood."""
    try:
        with unchecked(), contextlib.redirect_stderr(io.StringIO()):
            return _tyro(settings_class, default, prog=prog, argv=argv)
    except SystemExit:
        said = io.StringIO()
    with unchecked(), contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
        _tyro(*_for_help(settings_class, default, everything=True), prog=prog, argv=argv)
    wrong = _in_a_sentence(said.getvalue())
    if re.match("invalid choice .* for argument '--(model|dataset)'", wrong):
        wrong += "; one of your own needs --import and its file"
    raise InputError(f"{wrong}; see {prog} --help.")


def _tyro(settings_class, default, *, prog: str, argv: Sequence[str], **more):
    given = {} if default is None else {"default": default}
    return tyro.cli(settings_class, prog=prog, args=argv, config=(tyro.conf.OmitArgPrefixes,), **given, **more)


def _in_a_sentence(box: str) -> str:
    """The error in the box that tyro draws: the error, a rule, then suggestions or the option's help."""
    # The title is dropped; on an ASCII-only terminal the border consists of spaces.
    lines = (line[2:].rstrip("│ ") for line in box.splitlines()[1:])
    groups = itertools.groupby(lines, lambda line: bool(_RULE.match(line)))
    parts = [list(part) for is_rule, part in groups if not is_rule]
    wrong = parts[0]
    if wrong[0].startswith("Missing from "):
        wrong = ["Missing:", *(line.strip() + "," for line in wrong[1:] if re.match("    [^ ]", line))]
    sentence = " ".join(" ".join(wrong).split()).rstrip(".,")
    if parts[1:] and parts[1][0] == "Perhaps you meant:":
        sentence += f" (perhaps {parts[1][1].split()[0]})"
    return sentence


def show_help(main: Callable, settings_class, default, *, prog: str, argv: Sequence[str]) -> None:
    """Prints the help of a command: what it does, the options that matter (all with --help-all), examples."""
    everything = HELP_ALL in argv
    description, _, examples = inspect.cleandoc(main.__doc__ or "").partition("\nExamples:\n")
    classes = typing.get_args(settings_class) or (settings_class,)
    left_out = any(dataclasses.is_dataclass(kind) for own in classes for kind in annotations_of(own).values())
    more = f"; {HELP_ALL} shows every option" if left_out and not everything else ""
    more += "; --import FILE.py runs a file of yours that registers models or datasets"
    more += "; --config FILE.yaml reads options from a file, e.g. the settings.yaml of a run"
    with unchecked(), contextlib.suppress(SystemExit):
        _tyro(
            *_for_help(settings_class, default, everything=everything),
            prog=prog,
            description=f"{description.strip()}\n\n--version prints the version{more}.",
            argv=["--help" if word == HELP_ALL else word for word in argv],
        )
    if examples:
        print(f"examples:\n{textwrap.indent(textwrap.dedent(examples).strip(), '  ')}")


def _for_help(settings_class, default, *, everything: bool) -> tuple[object, object]:
    """Settings (of one dataclass, or a union of some) and their default as --help shows them."""
    shown = {own: _shown(own, everything) for own in typing.get_args(settings_class) or (settings_class,)}
    together = typing.Union[tuple(shown.values())]  # noqa: UP007  of any number of classes
    return together, None if default is None else _as_shown(default, shown[type(default)])


def _shown(settings_class: type, everything: bool, names: Collection[str] | None = None) -> type:
    """A dataclass of settings as --help shows it.

    A positional argument is named after its field, a default of None is left to the text, and nested dataclasses keep
    only the options that people often set.

    Args:
      everything: whether all options are shown.
      names: of the fields to show; None for all.
    """
    fields, texts = [], _field_texts(settings_class)
    for name, annotation in annotations_of(settings_class).items():
        field = next(field for field in dataclasses.fields(settings_class) if field.name == name)
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        if dataclasses.is_dataclass(annotation):
            annotation = _shown(annotation, everything, None if everything else OFTEN_SET)
            default = default if default is dataclasses.MISSING else _as_shown(default, annotation)
        else:
            words = _is_positional(annotation)
            notes = {"help": texts[name]} if name in texts else {}
            if default in (None, ()) or words and _is_list(annotation):
                notes["help_behavior_hint"] = ""
            if words:
                notes["metavar"] = f"{name.upper().removesuffix('S')}..." if _is_list(annotation) else name.upper()
            elif interval := shown(annotation):
                notes["metavar"] = interval
            annotation = Annotated[annotation, tyro.conf.arg(**notes)] if notes else annotation
            if names is not None and name not in names:
                annotation = tyro.conf.Suppress[annotation]
        given = {} if default is dataclasses.MISSING else {"default_factory": functools.partial(copy.copy, default)}
        fields.append((name, annotation, dataclasses.field(**given)))
    frozen = settings_class.__dataclass_params__.frozen
    name, bases = settings_class.__name__, (settings_class,)
    made = dataclasses.make_dataclass(name, fields, bases=bases, frozen=frozen, kw_only=True)
    for name in ("__module__", "__qualname__", "__doc__"):  # by which tyro finds the texts
        setattr(made, name, getattr(settings_class, name))
    return made


def _field_texts(settings_class: type) -> dict[str, str]:
    """Field -> the string under it as one paragraph; tyro would break the help where the source has line breaks."""
    texts = {}
    for kind in reversed(settings_class.__mro__[:-1]):
        (defined,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        for field, text in itertools.pairwise(defined.body):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                texts[field.target.id] = " ".join(ast.literal_eval(text.value).split())
    return texts


def _as_shown(settings, shown: type):
    """The same settings as a dataclass of `_shown`."""
    hints = annotations_of(shown)
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    inside = {name: _as_shown(value, hints[name]) for name, value in values.items() if dataclasses.is_dataclass(value)}
    return shown(**{**values, **inside})


def _is_positional(annotation) -> bool:
    return typing.get_origin(annotation) is Annotated and any(
        item in tyro.conf.Positional[int].__metadata__ for item in typing.get_args(annotation)[1:]
    )


def require_numbers(settings_class, argv: Sequence[str]) -> None:
    """Raises InputError if an option that takes a number is given something else; tyro's own message is technical."""
    for words in typing.get_args(settings_class) or (settings_class,):
        for name, annotation in _options(words):
            if is_hidden(annotation):
                continue
            flag = flag_of(name)
            for value in _values(flag, argv, None if _is_list(annotation) else 1):
                number = _number(value)
                problem = problem_with((number,) if _is_list(annotation) else number, annotation) or ""
                if isinstance(number, str) and "number" in problem or "whole" in problem and isinstance(number, float):
                    raise InputError(f"{flag} {value}: must be {problem}.")


def _number(word: str) -> int | float | str | None:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(word)
    return None if word == "None" else word


def option_names(settings_class: type) -> set[str]:
    """The fields that are options, including those of nested dataclasses and those that --help never shows."""
    return {name for name, annotation in _options(settings_class) if not _is_positional(annotation)}


def is_hidden(annotation) -> bool:
    """Whether --help never shows the option of this type."""
    return tyro.conf.Suppress[int].__metadata__[0] in typing.get_args(annotation)


def _options(settings_class: type) -> Iterator[tuple[str, object]]:
    """Name and type of every option, those of nested dataclasses included."""
    for name, annotation in annotations_of(settings_class).items():
        if dataclasses.is_dataclass(annotation):
            yield from _options(annotation)
        else:
            yield name, annotation


def _is_list(annotation) -> bool:
    if typing.get_origin(annotation) is Annotated:
        return _is_list(typing.get_args(annotation)[0])
    return typing.get_origin(annotation) is tuple


def _values(flag: str, argv: Sequence[str], most: int | None) -> Iterator[str]:
    """The words that `argv` gives to an option, at most `most` of them; None for all."""
    for place, word in enumerate(argv):
        if word == flag:
            given = itertools.takewhile(lambda word: not word.startswith("--"), argv[place + 1 :])
            yield from itertools.islice(given, most)
        elif word.startswith(f"{flag}="):
            yield word.partition("=")[2]
