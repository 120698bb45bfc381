"""`avfusion PAPER COMMAND ...`, installed as a script: the same as `python -m PAPER.COMMAND ...`.

    avfusion                        lists all commands
    avfusion ave train --epochs 5
    avfusion avpipeline extract VIDEOS OUT
"""

import csv
import functools
import importlib.resources
import importlib.util
import re
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from avpipeline import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; without one it lists all of them."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words == ["--version"]:
        print(f"avfusion {__version__}")
        return 0
    found = commands()
    if not words or words[0] in ("-h", "--help"):
        print("usage: avfusion PACKAGE COMMAND [OPTIONS]\n\ncommands (avfusion PACKAGE COMMAND --help tells more):")
        print("\n".join(f"  avfusion {' '.join(name)}" for name in found))
        return 0
    # The longest name first: `ave match predict` is not `ave match`.
    for length in range(min(3, len(words)), 0, -1):
        if module := found.get(tuple(words[:length])):
            sys.argv = [module, *words[length:]]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    print(f"avfusion: error: {' '.join(words[:2])}: there is no such command; avfusion lists them.", file=sys.stderr)
    return 2


@functools.cache
def known_papers() -> dict[str, str]:
    """Name of each paper's package -> the paper's title; the only packages that loading a model file may import."""
    text = importlib.resources.files("avpipeline.training").joinpath("papers.csv").read_text(encoding="utf-8")
    return {line["name"]: line["title"] for line in csv.DictReader(text.splitlines())}


def commands() -> dict[tuple[str, ...], str]:
    """The words of each command -> its module."""
    found = {}
    for package in (*known_papers(), "avpipeline", "avfusion_benchmarks"):
        spec = importlib.util.find_spec(package)
        folder = Path(spec.origin).parent
        for path in sorted(folder.rglob("*.py")):
            if re.search(r"^    raise SystemExit\(run\(", path.read_text(encoding="utf-8"), re.MULTILINE):
                parts = (package, *path.relative_to(folder).with_suffix("").parts)
                words = parts[:-1] if parts[-1] == "__main__" else parts
                found[words] = ".".join(words)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
