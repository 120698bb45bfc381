"""Names that the parser refuses, and advice in error messages: each names only options that there are."""

import ast
import dataclasses
import importlib
import re
import typing

import pytest

from avpipeline.cli import run
from tests.helpers.imports import PAPERS, file_arrows, files

COMMANDS = {
    module: path
    for module, path in files().items()
    if "__main__" in path.read_text(encoding="utf-8") and not module.startswith("avfusion_benchmarks")
}
# What `cli.run` takes from every command line.
EVERY = {"help", "help-all", "import", "config"}
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*[a-z])")


def options_of(settings) -> set[str]:
    """The options of a dataclass of settings, of those in it, or of a union."""
    inner = typing.get_args(settings)
    if not dataclasses.is_dataclass(settings):
        return set().union(*(options_of(each) for each in inner)) if inner else set()
    hints, found = typing.get_type_hints(settings), set()
    for field in dataclasses.fields(settings):
        name = field.name.replace("_", "-")
        found |= {name, f"no-{name}"} if hints[field.name] is bool else {name}
        found |= options_of(hints[field.name])
    return found


def main_of(module: str):
    made = importlib.import_module(module)
    return getattr(made, "main", None)


def settings_of(main):
    return typing.get_type_hints(main)[next(name for name in main.__annotations__ if name != "return")]


OPTIONS = {module: options_of(settings_of(main)) for module in COMMANDS if (main := main_of(module)) is not None}


def users(module: str) -> set[str]:
    """The commands that import a module, directly or through others."""
    found, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        for other, names in file_arrows().items():
            if name in names and other not in found:
                found.add(other)
                waiting.append(other)
    return found & OPTIONS.keys() | ({module} & OPTIONS.keys())


def advised(path):
    """The options in texts of raised errors; those of another command that the text names are left out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Raise):
            texts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
            text = "".join(each for each in texts if isinstance(each, str))
            if "python -m" not in text:
                yield from _OPTION.findall(text)


def test_advice_names_options_of_a_command_that_gives_it():
    assert {"dataset", "data", "no-noisy", "epochs"} <= OPTIONS["ave.train"]
    wrong = {}
    for module, path in files().items():
        if module.startswith("avfusion_benchmarks"):
            continue
        named = set(advised(path))
        if named:
            mine = {module} if module in OPTIONS else users(module)
            there = set().union(*(OPTIONS[command] for command in mine)) if mine else set()
            wrong |= {(module, option): sorted(mine) for option in named - there - EVERY}
    assert not wrong


@pytest.mark.parametrize(
    "module",
    [f"{paper}.{name}" for paper in PAPERS for name in ("train", "tables")]
    + ["ave.match.train", "ave.evaluate", "jca.evaluate", "mafnet.evaluate", "eventlayers.evaluate", "mafnet.sweep"],
)
def test_a_dataset_that_there_is_not_is_refused_by_the_parser(module, capsys, recwarn):
    """With the names that there are, before anything else is looked at."""
    made = importlib.import_module(module)
    defaults = {"defaults": made.PAPER.defaults} if module.endswith("train") else {}
    words = ["--dataset", "nonsense", *(["--weights", "x"] if module.endswith("evaluate") else [])]
    assert run(made.main, prog=module, argv=words, **defaults) == 2
    said = capsys.readouterr().err
    assert "nonsense" in said and "rendered" in said
    assert not [warning for warning in recwarn if "nonsense" in str(warning.message)]
