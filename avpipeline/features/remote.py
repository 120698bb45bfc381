"""Extraction from and to URLs: media files are listed there, shards uploaded as they are finished."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TypeVar, cast

import h5py

from avpipeline.errors import InputError
from avpipeline.features.parts import FOLDER
from avpipeline.features.shards import (
    ClipRecord,
    ShardWriter,
    records_of,
    shard_number,
    shard_path,
    shard_paths,
)
from avpipeline.features.store import MANIFEST
from avpipeline.files import MOST_JSON, PARTIAL, atomic_path, cache_dir, locked, make_folder, reading
from avpipeline.media.reading import is_media, list_media, listed_lines
from avpipeline.media.remote import RemoteFile, is_url, names_in, put, reaching, read_blocks, remove

_Extract = TypeVar("_Extract", bound=Callable)

# Files in which a run describes its clips.
_REPORTS = (MANIFEST, "failed.json")


def list_files(source) -> list[Path | RemoteFile]:
    """The media files that a folder, a list (.txt) or a file names, here or at a URL; see `media.list_media`.

    Lines of a list may be URLs; a list itself is a file of this machine.

    Raises:
      InputError: nothing is there, the storage cannot be reached, a name with '..'.
    """
    if is_url(source):
        return _at_url(str(source))
    path = Path(source)
    if path.suffix.lower() != ".txt" or not path.is_file():
        return list_media(path)
    return [RemoteFile(line) if is_url(line) else path.parent / line for line in listed_lines(path)]


def _at_url(url: str) -> list[RemoteFile]:
    """The file at a URL, or the media files in and below a folder."""
    with reaching(url) as (files, root):
        files.invalidate_cache()
        found = files.find(root, detail=True)
    if not found:
        raise InputError(f"{url}: there is no such file or folder, or it is empty; check the URL.")
    if [*found] == [root]:
        if root.lower().endswith(".txt"):
            raise InputError(f"{url}: is a list at a URL; copy it here, its lines may be URLs.")
        return [RemoteFile(url, found[root].get("size"))]
    chosen = [path for path in sorted(found) if is_media(PurePosixPath(path).relative_to(root))]
    if not chosen:
        raise InputError(f"{url}: holds no media file; name another folder.")
    return [RemoteFile(files.unstrip_protocol(path), found[path].get("size")) for path in chosen]


def to_urls(extract: _Extract) -> _Extract:
    """Decorator that lets an extraction into a folder also write to a URL, by uploading a local folder."""

    @functools.wraps(extract)
    def extracted(source, out, **settings):
        if not is_url(out):
            return extract(source, out, **settings)
        if settings.get("format") == "h5":
            raise InputError(f"{out}: AVE's HDF5 files are written into folders alone; take --format shards.")
        url = str(out).rstrip("/")
        with _uploaded(url, settings.get("part")) as upload:
            summary = extract(source, upload, **settings)
        return dataclasses.replace(summary, out=url)

    return cast(_Extract, extracted)


@contextlib.contextmanager
def _uploaded(url: str, part: str | None) -> Iterator[Upload]:
    """Yields an upload; its local folder is kept if the block ends with an error, so that no work is repeated."""
    key = hashlib.sha256(f"{url} {part}".encode()).hexdigest()[:16]
    folder = cache_dir() / "uploads" / key
    try:
        with locked(folder, wait=False):
            upload = Upload(url, make_folder(folder))
            yield upload
            upload.finish()
            shutil.rmtree(folder, ignore_errors=True)
    except InputError as error:
        raise InputError(str(error).replace(str(folder), url)) from error


class Upload:
    """A local folder whose shards, `features.json` and `failed.json` are uploaded to a URL; an `os.PathLike`.

    Attributes:
      url: of the folder.
    """

    def __init__(self, url: str, folder: Path):
        """Downloads each `features.json` at the URL, which an extraction reads first."""
        self._url = url
        self._folder = folder
        self._written: list[Path] = []
        self._mirror(folder)
        for name in names_in(url):
            if FOLDER.fullmatch(name):
                self._mirror(make_folder(folder / name))

    def __fspath__(self) -> str:
        return str(self._folder)

    def writer(self, folder: Path, *settings) -> ShardWriter:
        """A `ShardWriter` of the folder or of a part in it, whose shards are uploaded."""
        self._written.append(folder)
        put(folder / MANIFEST, f"{self._at(folder)}/{MANIFEST}")
        return _UploadingWriter(self._at(folder), folder, *settings)

    def finish(self) -> None:
        """Uploads the files in which the run describes its clips, after its shards."""
        for folder in self._written:
            for path in map(folder.joinpath, _REPORTS):
                if path.exists():
                    put(path, f"{self._at(folder)}/{path.name}")
                else:
                    remove(f"{self._at(folder)}/{path.name}")

    def _at(self, folder: Path) -> str:
        return "/".join((self._url, *folder.relative_to(self._folder).parts))

    def _mirror(self, folder: Path) -> None:
        """Removes what killed uploads left at the URL, and copies its `features.json` here."""
        url = self._at(folder)
        names = names_in(url)
        for name in names:
            if name.startswith(".") and PARTIAL in name:
                remove(f"{url}/{name}")
        if MANIFEST in names:
            with atomic_path(folder / MANIFEST) as temporary:
                temporary.write_bytes(b"".join(read_blocks(f"{url}/{MANIFEST}", MOST_JSON)))
            return
        (folder / MANIFEST).unlink(missing_ok=True)
        if any(shard_number(name) is not None for name in names):
            raise InputError(f"{url}: holds shards but no {MANIFEST} that says of what; choose another folder.")


class _UploadingWriter(ShardWriter):
    """Writes shards as `ShardWriter`, and moves each to a URL as soon as it is whole."""

    def __init__(self, url: str, folder: Path, *settings):
        self._url = url
        super().__init__(folder, *settings)

    def _finished(self) -> dict[int, list[ClipRecord]]:
        """The finished shards at the URL, after uploading any that a killed process had finished here."""
        found = {
            number: self._records_at(f"{self._url}/{name}")
            for name in sorted(names_in(self._url))
            if (number := shard_number(name)) is not None
        }
        known = {record.id for records in found.values() for record in records}
        for number, records in super()._finished().items():
            path = shard_path(self._folder, number)
            if known.isdisjoint(record.id for record in records):
                found[max(found, default=-1) + 1] = records
                put(path, f"{self._url}/{shard_path(self._folder, max(found)).name}")
            path.unlink()
        return found

    def _records_at(self, url: str) -> list[ClipRecord]:
        """The clips of a shard at a URL, reading little else of it."""
        with reaching(url) as (files, path):
            content = files.open(path, "rb")
        remedy = "delete it and extract again"
        with content, reading(url, "is cut off or damaged", remedy), h5py.File(content, "r") as file:
            return records_of(file, self._shapes, self._made_of)

    def _finish_shard(self) -> None:
        super()._finish_shard()
        for path in shard_paths(self._folder):
            put(path, f"{self._url}/{path.name}")
            path.unlink()
