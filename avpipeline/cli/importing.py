"""`--import FILE.py`: a user's own file, which registers models, fusion methods or datasets before a command starts.

Only what is named on a command line is run, never a name that a model or a file of settings holds.
"""

import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from avpipeline.errors import InputError
from avpipeline.files import first_line

FLAG = "--import"


def without_imports(argv: Sequence[str]) -> list[str]:
    """Runs the files that `argv` imports, each once in a process; returns the other words.

    Raises:
      InputError: an option without a file, no such file, or one that raises an exception.
    """
    left, files = without_files(argv, FLAG, "mymodels.py")
    for file in files:
        _import(file)
    return left


def without_files(argv: Sequence[str], flag: str, example: str) -> tuple[list[str], list[Path]]:
    """The words of a command line without an option that takes a file, and the files that are given to it."""
    left, files, words = [], [], iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if name != flag:
            left.append(word)
            continue
        value = value if equals else next(words, "")
        if not value or value.startswith("--"):
            raise InputError(f"{flag}: needs a file; give e.g. {flag} {example}.")
        files.append(Path(value))
    return left, files


def _import(path: Path) -> None:
    """Runs a file as a module named after it."""
    if path.suffix != ".py" or not path.is_file():
        raise InputError(f"{FLAG} {path}: is no Python file; give the path of a .py file.")
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    found = importlib.util.find_spec(path.stem) if path.stem.isidentifier() else None
    if not path.stem.isidentifier() or found and Path(found.origin or "").resolve() != Path(spec.origin):
        raise InputError(f"{FLAG} {path}: its name is that of another module or of none; give the file another name.")
    if path.stem in sys.modules:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[path.stem]
        lines = [place.lineno for place in traceback.extract_tb(error.__traceback__) if place.filename == spec.origin]
        where = f", line {lines[-1]}" if lines else ""
        if isinstance(error, InputError):
            raise InputError(f"{path}{where}: {error}") from error
        raise InputError(f"{path}{where}: {type(error).__name__}: {first_line(error)}; correct the file.") from error
