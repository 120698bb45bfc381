"""Who imports whom: the rules of docs/architecture.md."""

import ast
import configparser
import re

import pytest

import avpipeline
from tests.helpers.imports import (
    PAPERS,
    ROOT,
    circles,
    file_arrows,
    files,
    imported_names,
    levels,
    room_arrows,
    room_of,
)

GROUND = {"errors", "files", "cli"}
COMMANDS = {"extract", "validate", "published", "youtube8m", "clip_list", "describe", "weights"}
# What a paper may take from another one: its layers, its models, its rows (with the object that trains them).
SHARED_BY_PAPERS = {"layers", "fusion", "models", "config"}


def test_rooms_levels_and_arrows_are_few():
    arrows = room_arrows()
    assert len(arrows) <= 26, sorted(arrows)
    assert sum(map(len, arrows.values())) <= 142
    assert max(levels(arrows).values()) <= 10


def test_there_is_no_circle():
    assert not circles(file_arrows())
    assert not circles(room_arrows())


def test_a_circle_would_be_seen():
    assert circles({"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("b"), "d": frozenset()}) == ["a", "b", "c"]


def test_flat_modules_are_ground_or_commands():
    flat = {path.stem for path in (ROOT / "avpipeline").glob("*.py")} - {"__init__", "_version"}
    assert flat == GROUND - {"cli"} | COMMANDS
    for name in COMMANDS:
        assert "__main__" in (ROOT / "avpipeline" / f"{name}.py").read_text(encoding="utf-8"), name


def test_avpipeline_neither_imports_nor_names_a_paper():
    for module, path in files().items():
        if not module.startswith("avpipeline"):
            continue
        assert not {name.partition(".")[0] for name, _ in imported_names(path)} & {*PAPERS}, module
        # AVE is a dataset too, and datasets may say whose files they read.
        if not module.startswith("avpipeline.datasets"):
            named = re.search(r"\b(mafnet|jca|attendfusion|eventlayers)\b", path.read_text(encoding="utf-8"), re.I)
            assert not named, (module, named)


@pytest.mark.parametrize("paper", PAPERS)
def test_a_paper_takes_layers_models_and_rows_of_another(paper):
    for module, path in files().items():
        if not module.startswith(f"{paper}."):
            continue
        for source, name in imported_names(path):
            top, _, rest = source.partition(".")
            if top in PAPERS and top != paper:
                wanted = rest or name
                assert wanted in SHARED_BY_PAPERS or (rest, name) == ("train", "PAPER"), (module, source, name)


def test_what_one_paper_alone_uses_lives_with_it():
    """A file of avpipeline, datasets aside, serves several papers, another file of avpipeline or the benchmarks."""
    for module, path in files().items():
        room = room_of(module)
        if room is None or not module.startswith("avpipeline") or path.name == "__init__.py":
            continue
        if room == "avpipeline.datasets" or room.partition(".")[2] in GROUND | COMMANDS:
            continue
        users = {other for other, targets in file_arrows().items() if module in targets}
        papers = {user.partition(".")[0] for user in users if user.partition(".")[0] in PAPERS}
        others = users - {user for user in users if user.partition(".")[0] in PAPERS}
        assert others or len(papers) != 1, (module, sorted(users))


@pytest.mark.parametrize("package", ["avpipeline", *PAPERS])
def test_torch_and_tests_are_needed_nowhere(package):
    for module, path in files().items():
        if module.partition(".")[0] == package:
            tops = {name.partition(".")[0] for name, _ in imported_names(path)}
            assert not tops & {"torch", "torchvision", "pytest", "tests", "avfusion_benchmarks"}, module


def test_every_package_is_installed():
    """setup.cfg lists the packages by name, so that tests and notebooks stay out of a wheel."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = config["options"]["packages"].split()
    there = {".".join(path.parent.relative_to(ROOT).parts) for path in files().values()}
    assert sorted(listed) == sorted(there)
    for package, patterns in config["options.package_data"].items():
        for pattern in patterns.replace(",", " ").split():
            assert list((ROOT / package.replace(".", "/")).glob(pattern)), (package, pattern)


def test_packages_are_small():
    """Files of at most about 400 lines; all packages together do not grow beyond what they are."""
    sizes = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in files().items()}
    assert not {module: size for module, size in sizes.items() if size > 400}
    packages = [module for module in sizes if not module.startswith("avfusion_benchmarks")]
    assert sum(sizes[module] for module in packages) <= 33_800
    assert sum(lines_of_code(files()[module]) for module in packages) <= 21_500


def lines_of_code(path) -> int:
    """Lines with code: neither blank nor a comment nor of a docstring."""
    text = path.read_text(encoding="utf-8")
    bearers = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, bearers)]
    strings = [node.body[0] for node in nodes if ast.get_docstring(node, clean=False) is not None]
    documented = {line for each in strings for line in range(each.lineno, each.end_lineno + 1)}
    lines = enumerate(text.splitlines(), start=1)
    return sum(bool(line.strip()) and line.strip()[0] != "#" for number, line in lines if number not in documented)


def test_there_is_one_version():
    assert f"\nversion: {avpipeline.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first = next(line for line in changes.splitlines() if line.startswith("## "))
    assert first.split()[1] == avpipeline.__version__
