"""Who imports whom, and that nothing is where it should not be."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
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
