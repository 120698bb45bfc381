"""Files at URLs (s3://, gs://, hdfs://, ...), by fsspec, which comes with the extra `[remote]`.

A file is copied here before anything looks into it and removed afterwards; what its storage says of its size is not
relied on. Credentials are fsspec's business: environment variables and the files of the protocol's own tools.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from avpipeline.errors import InputError
from avpipeline.files import PARTIAL, first_line, is_cut_url, write_failure

if TYPE_CHECKING:
    import fsspec

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.:-]+)://(.*)", re.DOTALL)
# Protocols whose files themselves say from where the rest is to be read.
_REFUSED = {"reference", "generic"}
# The most bytes of one media file.
MOST_MEDIA = 1 << 33
_BLOCK = 1 << 20
# Storage without folders, where making one would make a bucket.
_BUCKETS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss"}


def is_url(place) -> bool:
    """Whether a place is a URL; InputError for one that `pathlib` has cut."""
    text = str(place)
    if is_cut_url(text):
        raise InputError(f"{text}: is a URL that lost a slash; give it as text, with '://'.")
    return _URL.match(text) is not None


def _storage(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """fsspec's file system of a URL and the path there; InputError where its package or fsspec is missing."""
    _require_plain(url)
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise InputError(f"{url}: URLs need fsspec; run pip install 'audio-visual-fusion[remote]'.") from error
    try:
        return url_to_fs(url)
    except ImportError as error:
        raise InputError(f"{url}: needs a package that is not installed ({first_line(error)}).") from error
    except ValueError as error:
        raise InputError(f"{url}: is at no storage that fsspec knows ({first_line(error)}); correct it.") from error


def _require_plain(url: str) -> None:
    """Raises InputError for a URL that leads elsewhere than it says."""
    if "::" in url or _URL.match(url)[1].lower() in _REFUSED:
        raise InputError(f"{url}: goes through several places; name one URL, such as s3://bucket/folder.")
    if ".." in url.split("/") or "\0" in url:
        raise InputError(f"{url!r}: has '..' or a zero byte in its name; give the URL without.")


@contextlib.contextmanager
def reaching(url: str) -> Iterator[tuple[fsspec.AbstractFileSystem, str]]:
    """Yields fsspec's file system of a URL and the path there, and turns what it raises into one sentence.

    Raises:
      InputError: the protocol is unknown, its package is missing, or the storage does not answer as it should.
    """
    try:
        yield _storage(url)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{url}: there is no such file or folder; check the URL.") from error
    except Exception as error:
        raise InputError(
            f"{url}: cannot be reached ({first_line(error)}); check the URL, the network and your credentials."
        ) from error


def put(source: Path, url: str) -> None:
    """Copies a file to a URL under a temporary name, and renames it once it is complete."""
    with reaching(url) as (files, path):
        folder, name = path.rsplit("/", 1)
        partial = f"{folder}/.{name}{PARTIAL}{os.urandom(4).hex()}"
        if not _BUCKETS.intersection((files.protocol,) if isinstance(files.protocol, str) else files.protocol):
            files.makedirs(folder, exist_ok=True)
        files.put_file(str(source), partial)
        files.mv(partial, path)


def names_in(url: str) -> list[str]:
    """Names of the files and folders in a folder; none where there is no folder yet."""
    with reaching(url) as (files, path):
        files.invalidate_cache()
        try:
            found = files.ls(path, detail=False)
        except FileNotFoundError:
            return []
    if found == [path]:
        raise InputError(f"{url}: a file of that name is in the way; choose another folder.")
    return [name.rstrip("/").rpartition("/")[2] for name in found]


def remove(url: str) -> None:
    """Removes a file, where there is one."""
    with reaching(url) as (files, path), contextlib.suppress(FileNotFoundError):
        files.rm_file(path)


def told(text: str) -> str:
    """Replaces the paths of local copies in a sentence by the URLs that they were copied from."""
    copied = rf"{re.escape(_copies().name)}/([\w.+-]+?)(_?)/"
    return re.sub(copied, lambda found: f"{found[1]}://{'/' if found[2] else ''}", text)


@functools.cache
def _copies() -> tempfile.TemporaryDirectory:
    """The folder of all copies of this process, which is removed when the process ends."""
    return tempfile.TemporaryDirectory(prefix="avpipeline-", ignore_cleanup_errors=True)


def read_blocks(url: str, most: int) -> Iterator[bytes]:
    """A file block by block, so that no memory is set aside for a declared size; InputError after `most` bytes."""
    size = 0
    with reaching(url) as (files, path), files.open(path, "rb") as file:
        while block := file.read(_BLOCK):
            size += len(block)
            if size > most:
                raise InputError(f"{url}: is larger than such a file ever is ({most:,} bytes); give the right one.")
            yield block


@dataclass(frozen=True)
class RemoteFile:
    """A media file at a URL.

    Attributes:
      url: where it is.
      listed_size: bytes, as the listing of its folder has it; None where it was not listed.
    """

    url: str
    listed_size: int | None = None

    def __post_init__(self):
        """Raises InputError for a name that leads out of its folder, there or here."""
        _require_plain(self.url)

    def __str__(self) -> str:
        return self.url

    @property
    def stem(self) -> str:
        """Its name without extension."""
        return PurePosixPath(self.url).stem

    @contextlib.contextmanager
    def fetched(self) -> Iterator[Path]:
        """A copy on this machine while the block runs; `told` names the URL in sentences about it.

        Raises:
          InputError: it cannot be reached, is larger than any media file, or does not fit on the disk.
        """
        protocol, rest = _URL.fullmatch(self.url).groups()
        copy = Path(_copies().name, protocol + "_" * rest.startswith("/"), rest.lstrip("/"))
        try:
            try:
                copy.parent.mkdir(parents=True, exist_ok=True)
                with open(copy, "wb") as file:
                    file.writelines(read_blocks(self.url, MOST_MEDIA))
            except OSError as error:
                raise write_failure(copy, error) from error
            yield copy
        finally:
            copy.unlink(missing_ok=True)
