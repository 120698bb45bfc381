"""How a result was obtained: the command, the date, the code and the versions."""

import datetime
import functools
import hashlib
import importlib.util
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from avpipeline import __version__
from avpipeline.training.saved import known_papers

_HERE = Path(__file__).resolve()
_ROUNDING = ("TF_NUM_INTRAOP_THREADS", "TF_ENABLE_ONEDNN_OPTS")


def record() -> dict:
    """How a result is obtained: the command, the date, the commit and the versions."""
    return {
        "command": _command(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "code": code(),
        "versions": {
            "audio-visual-fusion": __version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def code() -> dict[str, str]:
    """Package in use -> hash of its files, `avpipeline` and the papers' that are imported."""
    return {name: _hash_of(name) for name in ("avpipeline", *known_papers()) if name in sys.modules}


@functools.cache
def _hash_of(package: str) -> str:
    """A short hash of the names and contents of a package's files, without its tests."""
    spec = importlib.util.find_spec(package)
    folder = Path(spec.submodule_search_locations[0])
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".csv")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


def different_code(earlier: object) -> list[str]:
    """The packages in use whose files are not those of a record; all where it does not say (earlier versions)."""
    known = earlier if isinstance(earlier, Mapping) else {}
    return [name for name, now in code().items() if known.get(name, None if not known else now) != now]


def _command() -> str:
    """The command line, with the module's name instead of its file's path.

    It starts with the variables that change how sums are rounded, where they were set: the number of threads, and
    oneDNN's kernels.
    """
    module = getattr(sys.modules["__main__"], "__spec__", None)
    program = ["-m", module.name.removesuffix(".__main__")] if module else [Path(sys.argv[0]).name]
    rounding = [f"{name}={os.environ[name]}" for name in _ROUNDING if name in os.environ]
    return " ".join([*rounding, shlex.join(["python", *program, *sys.argv[1:]])])


def _commit(here: Path = _HERE) -> str | None:
    """The commit of the checkout that this code runs from, with '+' if files were changed; None outside one."""

    def git(*words):
        words = ["git", *words]
        return subprocess.run(words, cwd=here.parent, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # An installed copy may be in a virtual environment inside somebody else's checkout.
        git("ls-files", "--error-unmatch", here.name)
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
