"""Reading files that others wrote, atomic writes, locks, hashes and the cache folder."""

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import filelock
import numpy as np

from avpipeline.errors import InputError

CACHE_VARIABLE = "AVPIPELINE_CACHE"
# In the name of every unfinished file, so that what a killed process left is recognised.
PARTIAL = ".partial-"
# The most bytes of JSON that are read: a list of a million clips takes fewer.
MOST_JSON = 1 << 26
# The most bytes of stored predictions: those of a million videos of YouTube-8M take less than 300 MB.
MOST_PREDICTIONS = 1 << 32


class Unusable(Exception):
    """Why a file cannot be used, to follow its name in a sentence; raise it inside `reading`."""


@contextlib.contextmanager
def reading(path, fault: str, remedy: str = "get the file again") -> Iterator[None]:
    """Turns whatever goes wrong while a file is parsed into one sentence that names the file.

    Every reader of files that somebody else may have made works inside it: a damaged or hostile file can break the
    parsing anywhere, with any exception.

    Args:
      fault: what is wrong with a file that breaks the parsing, e.g. "is not a torch checkpoint, or is damaged".
      remedy: what to do then.
    """
    try:
        yield
    except InputError:
        raise
    except Unusable as error:
        raise InputError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file; check the path.") from error
    except PermissionError as error:
        raise InputError(f"{path}: cannot be read (permission denied); change its permissions.") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno and error.strerror:  # HDF5's have no number or no words of it
            raise InputError(f"{path}: cannot be read ({error.strerror}); {remedy}.") from error
        told = f" ({first_line(error)})" if str(error) else ""
        raise InputError(f"{path}: {fault}{told}; {remedy}.") from error


def first_line(error: Exception) -> str:
    """The beginning of an error's message, to stand in brackets."""
    text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200].rstrip(".")


def require_regular(path) -> Path:
    """`path`; InputError where it is no regular file: a pipe or a device can hang or never end.

    Raises:
      FileNotFoundError, PermissionError: as `stat`; call it inside `reading`.
    """
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise InputError(f"{path}: cannot be read, since it is a folder; name a file.")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: cannot be read, since it is a pipe or a device; copy its content into a file.")
    return Path(path)


def open_regular(path) -> BinaryIO:
    """A regular file, opened for reading; raises as `require_regular`."""
    return open(require_regular(path), "rb")


def read_bytes(path, most: int = MOST_JSON) -> bytes:
    """The content of a regular file of at most `most` bytes; call it inside `reading`."""
    with open_regular(path) as file:
        # Python sets aside as many bytes as it is asked for, and most files are small.
        return bounded(file, min(most, os.fstat(file.fileno()).st_size))


def bounded(file, most: int) -> bytes:
    """The rest of an open file; Unusable if it has more than `most` bytes, whatever was declared."""
    content = file.read(most + 1)
    if len(content) > most:
        raise Unusable(f"is larger than such a file ever is ({most:,} bytes); give the right one.")
    return content


def parse_json(content: bytes) -> object:
    """JSON in UTF-8 whose numbers are finite; ValueError or RecursionError for anything else."""

    def finite(text: str) -> float:
        if abs(value := float(text)) < float("inf"):
            return value
        raise ValueError(f"{text[:20]} is no finite number")

    return json.loads(content.decode("utf-8"), parse_float=finite, parse_constant=finite)


def read_record(path, remedy: str) -> dict:
    """A JSON object that a command left in the folder of a run, e.g. settings.json.

    Args:
      remedy: what to do where it cannot be used.

    Raises:
      InputError: no such file, no regular file, or damaged.
    """
    fault = "is damaged or not what a command wrote"
    with reading(path, fault, remedy):
        record = json.loads(read_bytes(path))
        if not isinstance(record, dict):
            raise Unusable(f"{fault}; {remedy}.")
    return record


def read_predictions(path, *names: str) -> dict[str, np.ndarray]:
    """The arrays of a predictions.npz that a run or an evaluation stored, `names` at least.

    Raises:
      InputError: no such file, no regular file, damaged, or larger than the labels and predictions of any dataset.
    """
    with reading(path, "is damaged or not what a command wrote", "run the command that wrote it into another folder"):
        with open_regular(path) as content, zipfile.ZipFile(content) as archive:
            if sum(member.file_size for member in archive.infolist()) > MOST_PREDICTIONS:
                raise Unusable(f"declares more than {MOST_PREDICTIONS:,} bytes of arrays; give the right one.")
            stored = {name.removesuffix(".npy"): npy_array(archive.read(name)) for name in archive.namelist()}
        if missing := sorted({*names} - {*stored}):
            raise Unusable(f"has no {', '.join(missing)}; run the command that wrote it into another folder.")
        return stored


def npy_array(content: bytes) -> np.ndarray:
    """The array of an .npy file of numbers or text; ValueError or KeyError where it does not hold what it declares.

    NumPy's own reader sets aside whatever memory a file declares.
    """
    file, form = io.BytesIO(content), np.lib.format
    header = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}[form.read_magic(file)]
    shape, is_fortran, dtype = header(file)
    if dtype.kind not in "biufU" or math.prod(shape) * dtype.itemsize != len(content) - file.tell():
        raise ValueError(f"an array of {dtype} {shape} is not there")
    array = np.frombuffer(content, dtype, offset=file.tell()).reshape(shape, order="F" if is_fortran else "C")
    return array.copy()  # else it could not be written to


def is_cut_url(path) -> bool:
    """Whether a path is a URL that has passed through pathlib, which turns s3://bucket/clips into s3:/bucket/clips."""
    return re.match("[A-Za-z][A-Za-z0-9+.-]+:/[^/]", str(path)) is not None and not Path(path).exists()


def cache_dir() -> Path:
    """Folder for everything that can be regenerated: `$AVPIPELINE_CACHE`, else `~/.cache/avpipeline`."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "avpipeline")


def write_failure(path, error: OSError) -> InputError:
    """The sentence for a failed write to `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"{path}: the disk is full; free some space or choose another place, then run again.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return InputError(f"{path}: cannot be written (permission denied); choose a folder you may write to.")
    return InputError(f"{path}: cannot be written ({error.strerror or error}); choose another place.")


def make_folder(path) -> Path:
    """Creates `path` and its parents; raises InputError where that fails."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise InputError(f"{path}: a file of that name is in the way; choose another folder.") from error
    except OSError as error:
        raise write_failure(path, error) from error
    return path


@contextlib.contextmanager
def atomic_path(path, create: Callable[[Path], None] = Path.touch) -> Iterator[Path]:
    """Yields a temporary path beside `path`, moved to `path` when the block ends without an exception.

    A kill, an exception or a full disk leaves either the old file or none, never a partial one. The temporary
    name keeps the extension of `path`, since many writers choose their format by it.

    Raises:
      InputError: `path` cannot be written. An OSError about another file propagates unchanged.
    """
    path = Path(path)
    temporary = make_folder(path.parent) / f".{path.stem}{PARTIAL}{os.urandom(4).hex()}{path.suffix}"
    try:
        create(temporary)
    except OSError as error:
        raise write_failure(path, error) from error
    try:
        yield temporary
        temporary.chmod(0o755 if temporary.is_dir() else 0o644)
        temporary.replace(path)
    except OSError as error:
        # It is about writing if it names the temporary path or one inside it, or no path at all.
        if error.filename is None or Path(os.fsdecode(error.filename)).is_relative_to(temporary):
            raise write_failure(path, error) from error
        raise
    finally:
        _remove(temporary)


def atomic_folder(path) -> contextlib.AbstractContextManager[Path]:
    """Like `atomic_path`, for a whole folder that must not exist yet."""
    return atomic_path(path, Path.mkdir)


def write_text(path, text: str) -> None:
    """Writes a text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(path, table, **options) -> None:
    """Writes a pandas table as CSV atomically, without its index unless `options` of `DataFrame.to_csv` say so."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, **{"index": False, **options})


def write_json(path, value) -> None:
    """Writes indented JSON atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def remove_partial(folder, *, below: bool = True) -> None:
    """Removes what killed processes left half-written in `folder` and `below`; call it while holding its lock."""
    pattern = f".*{PARTIAL}*"
    for leftover in Path(folder).rglob(pattern) if below else Path(folder).glob(pattern):
        _remove(leftover)


def _remove(path: Path) -> None:
    """Removes a file or a folder, where there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path, *, wait: bool = True) -> Iterator[None]:
    """Holds the lock file `path` + '.lock', so that two processes do not write the same thing at once.

    Raises:
      InputError: with `wait=False`, when another process holds it.
    """
    path = Path(path)
    make_folder(path.parent)
    lock = filelock.FileLock(f"{path}.lock", timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise InputError(f"{path}: another process is working there; wait for it or choose another.") from error
    except OSError as error:
        raise write_failure(lock.lock_file, error) from error
    try:
        yield
    finally:
        lock.release()


def sha256_file(path) -> str:
    """Hexadecimal SHA-256 of a file's contents."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
