"""The import graph of the packages: files, and rooms, which are avpipeline's wings and flat modules and the others."""

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAPERS = ("ave", "mafnet", "jca", "attendfusion", "eventlayers")
PACKAGES = ("avpipeline", *PAPERS, "avfusion_benchmarks")


def module_of(path: Path) -> str:
    """`avpipeline/media/reading.py` -> `avpipeline.media.reading`; a package's `__init__.py` is the package."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def files() -> dict[str, Path]:
    """Module -> its file."""
    return {module_of(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


@functools.cache
def imported_names(path: Path) -> list[tuple[str, str]]:
    """(module, name) of every import in a file, wherever in it; the name is "" for `import module`."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [(node.module, alias.name) for alias in node.names]
    return found


@functools.cache
def file_arrows() -> dict[str, frozenset[str]]:
    """Module -> the project's modules that it imports."""
    arrows = {}
    for module, path in files().items():
        targets = set()
        for source, name in imported_names(path):
            target = f"{source}.{name}" if f"{source}.{name}" in files() else source
            if target in files() and target != module:
                targets.add(target)
        arrows[module] = frozenset(targets)
    return arrows


def room_of(module: str) -> str | None:
    """The wing or flat module of avpipeline, or the package, that a file is in; None for avpipeline's own face."""
    top, _, rest = module.partition(".")
    if top != "avpipeline":
        return top
    first = rest.partition(".")[0]
    return None if first in ("", "_version") else f"avpipeline.{first}"


@functools.cache
def room_arrows() -> dict[str, frozenset[str]]:
    """Room -> the rooms that it imports."""
    arrows: dict[str, set[str]] = {}
    for module, targets in file_arrows().items():
        room = room_of(module)
        if room is not None:
            own = arrows.setdefault(room, set())
            own.update(other for target in targets if (other := room_of(target)) not in (None, room))
    return {room: frozenset(targets) for room, targets in arrows.items()}


def circles(arrows: dict[str, frozenset[str]]) -> list[str]:
    """What lies on a circle of imports: what remains once everything that imports nothing more is taken away."""
    left = {source: set(targets) for source, targets in arrows.items()}
    while free := [source for source, targets in left.items() if not targets & left.keys()]:
        for source in free:
            del left[source]
    return sorted(left)


def levels(arrows: dict[str, frozenset[str]]) -> dict[str, int]:
    """Room -> its level: 1 where it imports no room, else one above the highest that it imports."""

    @functools.cache
    def level(room: str) -> int:
        return 1 + max((level(target) for target in arrows[room]), default=0)

    return {room: level(room) for room in arrows}
