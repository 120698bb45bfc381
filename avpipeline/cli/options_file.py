"""`--config FILE.yaml`: options from a file, and the file that a run leaves to be started again."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from avpipeline.cli.importing import without_files
from avpipeline.cli.parsing import is_hidden, option_names
from avpipeline.cli.ranges import annotations_of
from avpipeline.errors import InputError
from avpipeline.files import Unusable, read_bytes, reading, write_text

FLAG = "--config"
# Far more bytes than the options of a command take.
_MOST = 1 << 18
_HEAD = "# The options of this run: its command with --config and this file starts it again.\n"


def with_file(argv: Sequence[str], settings_class: type) -> list[str]:
    """The words of a command line, where `--config FILE.yaml` stands for the options in the file.

    Options on the command line win over those in the file.

    Raises:
      InputError: no such file, not a YAML file of options, or an option that the command lacks.
    """
    words, paths = without_files(argv, FLAG, "settings.yaml")
    if not paths:
        return words
    if len(paths) > 1:
        raise InputError(f"{FLAG}: is given {len(paths)} files; give one.")
    mine = {word.partition("=")[0].replace("_", "-") for word in words if word.startswith("--")}
    known = option_names(settings_class)
    found = []
    for name, value in _read(paths[0]).items():
        if name.replace("-", "_") not in known:
            raise InputError(f"{paths[0]}: {name}: is no option of this command; --help-all lists them.")
        flag = name.replace("_", "-")
        if mine.isdisjoint((f"--{flag}", f"--no-{flag}")):
            found += _words(flag, value)
    return [*words, *found]


def _read(path: Path) -> dict[str, object]:
    """Option -> its value, a plain one or a list of such."""
    import yaml

    fault, remedy = "is no YAML file of options", "write a line OPTION: VALUE for each"
    with reading(path, fault, remedy):
        options = yaml.safe_load(read_bytes(path, _MOST)) or {}
        if not isinstance(options, dict) or not all(isinstance(name, str) for name in options):
            raise Unusable(f"{fault}; {remedy}.")
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        if not all(each is None or isinstance(each, bool | int | float | str) for each in values):
            raise InputError(f"{path}: {name}: has no plain value; give a number, a text or a list of them.")
    return options


def _words(flag: str, value) -> Iterator[str]:
    """An option and its value as words of a command line."""
    if isinstance(value, bool):
        yield f"--{flag}" if value else f"--no-{flag}"
    elif isinstance(value, list):
        yield from (f"--{flag}", *map(str, value))
    else:
        yield f"--{flag}={value}"


def options_to_write(settings, unchanged) -> dict[str, object]:
    """The options that give `settings`, as YAML values.

    Args:
      unchanged: the same settings without the changes on the command line; options that --help never shows are left
        out if they have the same value in both.
    """
    hidden, shown = {}, {}
    for (name, value, never_shown), (_, planned, _) in zip(_values(settings), _values(unchanged), strict=True):
        flag = name.replace("_", "-")
        if not never_shown:
            shown[flag] = value
        elif value != planned:
            hidden[flag] = value
    return hidden | shown


def _values(settings) -> Iterator[tuple[str, object, bool]]:
    """Name and YAML value of every option, and whether --help never shows it."""
    for name, annotation in annotations_of(type(settings)).items():
        value = getattr(settings, name)
        if dataclasses.is_dataclass(value):
            yield from _values(value)
        else:
            plain = list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value
            yield name, plain, is_hidden(annotation)


def write_options(path, options: Mapping[str, object]) -> None:
    """Writes options as a file for `--config`, atomically."""
    import yaml

    write_text(path, _HEAD + yaml.safe_dump(dict(options), sort_keys=False, allow_unicode=True, width=120))
