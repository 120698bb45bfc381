"""The public names have types that a notebook can rely on."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def public_names() -> set[tuple[str, str]]:
    """(module, name) of docs/api.md."""
    found, module = set(), ""
    for line in (ROOT / "docs" / "api.md").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"## `(.+)`", line):
            module = match[1]
        elif match := re.match(r"- `(\w+)`", line):
            found.add((module, match[1]))
    return found


def used_names(tree: ast.AST) -> set[tuple[str, str]]:
    """(module, name) of what a file imports, or takes from a module that it imports."""
    nodes = [*ast.walk(tree)]
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    names = {(node.module, alias.name) for node in imports for alias in node.names}
    modules = {name: f"{module}.{name}" for module, name in names}
    taken = [node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    return names | {(modules.get(node.value.id, node.value.id), node.attr) for node in taken}


def test_every_public_name_is_used():
    names, tree = public_names(), ast.parse((ROOT / "tests" / "typing" / "notebook.py").read_text(encoding="utf-8"))
    assert len(names) > 150
    assert not sorted(names - used_names(tree))


def test_pyright_finds_no_error():
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is not installed: pip install 'pyright[nodejs]'")
    words = [sys.executable, "-m", "pyright", "--project", str(ROOT), "--pythonpath", sys.executable]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
