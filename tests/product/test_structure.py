"""Who imports whom, and that nothing is where it should not be."""

import ast
import configparser
from pathlib import Path

import pytest

import avpipeline

ROOT = Path(__file__).resolve().parents[2]
# In the order in which they may build on one another.
PAPERS = [name for name in ("ave", "mafnet", "jca", "attendfusion", "eventlayers") if (ROOT / name).is_dir()]


def imported(path: Path) -> set[str]:
    """Top-level names that a module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module.partition(".")[0])
    return names


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    return found


def test_avpipeline_imports_no_paper():
    for path in modules("avpipeline"):
        assert not imported(path) & {*PAPERS}, path


@pytest.mark.parametrize("paper", PAPERS)
def test_a_paper_imports_only_earlier_ones(paper):
    later = PAPERS[PAPERS.index(paper) + 1 :]
    for path in modules(paper):
        assert not imported(path) & {*later}, path


@pytest.mark.parametrize("package", ["avpipeline", *PAPERS])
def test_torch_and_tests_are_needed_nowhere(package):
    for path in modules(package):
        assert not imported(path) & {"torch", "torchvision", "pytest", "tests", "benchmarks"}, path


def test_every_package_is_installed():
    """setup.cfg lists the packages by name, so that tests, benchmarks and notebooks stay out of a wheel."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = config["options"]["packages"].split()
    top = ("avpipeline", *PAPERS)
    there = {".".join(path.parent.relative_to(ROOT).parts) for name in top for path in modules(name)}
    assert sorted(listed) == sorted(there)
    for package, patterns in config["options.package_data"].items():
        for pattern in patterns.split():
            assert list((ROOT / package.replace(".", "/")).glob(pattern)), (package, pattern)


def test_there_is_one_version():
    assert f"\nversion: {avpipeline.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first = next(line for line in changes.splitlines() if line.startswith("## "))
    assert first.split()[1] == avpipeline.__version__
