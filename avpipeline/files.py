"""Atomic writes, locks, hashes and the cache folder."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import filelock

from avpipeline.errors import InputError

CACHE_VARIABLE = "AVPIPELINE_CACHE"
# In the name of everything that is being written, so that what a killed process left is known for what it is.
_PARTIAL = ".partial-"


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
def atomic_path(path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, moved to `path` when the block ends without an exception.

    A kill, an exception or a full disk leaves either the old file or none, never a partial one. The temporary
    name keeps the extension of `path`, since many writers choose their format by it.

    Raises:
      InputError: `path` cannot be written. An OSError about another file propagates unchanged.
    """
    path = Path(path)
    make_folder(path.parent)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}{_PARTIAL}", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise write_failure(path, error) from error
    temporary = Path(name)
    try:
        with _put_in_place(temporary, path, mode=0o644):
            yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path, value) -> None:
    """Writes indented JSON atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


@contextlib.contextmanager
def atomic_folder(path) -> Iterator[Path]:
    """Like `atomic_path`, for a whole folder that must not exist yet."""
    path = Path(path)
    make_folder(path.parent)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}{_PARTIAL}", dir=path.parent))
    except OSError as error:
        raise write_failure(path, error) from error
    try:
        with _put_in_place(temporary, path, mode=0o755):
            yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_partial(folder) -> None:
    """Removes what killed processes left half-written in `folder` and below; call it while holding its lock."""
    for leftover in Path(folder).rglob(f".*{_PARTIAL}*"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def _put_in_place(temporary: Path, path: Path, *, mode: int) -> Iterator[None]:
    """Sets the mode of `temporary` and renames it to `path` once the block has succeeded."""
    try:
        yield
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except OSError as error:
        if not _concerns(temporary, error):
            raise
        raise write_failure(path, error) from error


def _concerns(temporary: Path, error: OSError) -> bool:
    """Whether an error is about writing `temporary`: it names that path or one inside it, or no path at all."""
    return error.filename is None or Path(os.fsdecode(error.filename)).is_relative_to(temporary)


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
