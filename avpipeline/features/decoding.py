"""A media file on its way to the networks: decoded, or the sentence that says why it cannot be.

Without TensorFlow, which takes seconds to import, so that a process that only decodes starts at once.
"""

import dataclasses
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from avpipeline.errors import InputError
from avpipeline.media import Clip, read_clip
from avpipeline.media.remote import RemoteFile, told


@dataclasses.dataclass(frozen=True)
class Decoded:
    """What became of a file.

    Attributes:
      id: of the clip.
      path: the file.
      clip: its sound and frames, or why there are none.
      file_size: bytes of the file.
      spent: seconds that decoding took.
      notes: what the decoder says about a file that is damaged and was used as far as it goes.
    """

    id: str
    path: Path | RemoteFile
    clip: Clip | InputError
    file_size: int
    spent: float
    notes: tuple[str, ...] = ()


def decode(name: str, path: Path | RemoteFile, seconds: int, clip_format: Mapping) -> Decoded:
    """Decodes the first `seconds` of a file in a form that the networks take (`extractor.clip_format`)."""
    if isinstance(path, RemoteFile):
        return _decode_remote(name, path, seconds, clip_format)
    # Looked at first: a file that is still being copied has another size the next time.
    size = file_size(path)
    clip, spent = timed(_clip, path, seconds, clip_format)
    return Decoded(name, path, clip, size, spent)


def _decode_remote(name: str, remote: RemoteFile, seconds: int, clip_format: Mapping) -> Decoded:
    """Decodes a temporary copy, which is kept no longer than needed."""
    try:
        with remote.fetched() as copy:
            decoded = decode(name, copy, seconds, clip_format)
    except InputError as error:
        return Decoded(name, remote, error, 0, 0.0)
    clip = decoded.clip
    clip = InputError(told(str(clip))) if isinstance(clip, InputError) else dataclasses.replace(clip, path=remote)
    return dataclasses.replace(decoded, path=remote, clip=clip)


def decode_with_notes(name: str, path: Path | RemoteFile, seconds: int, clip_format: Mapping) -> Decoded:
    """As `decode`, with the decoder's warnings as notes; for a process that decodes one file at a time."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        decoded = decode(name, path, seconds, clip_format)
    return dataclasses.replace(decoded, notes=user_warnings(caught))


def user_warnings(caught: list[warnings.WarningMessage]) -> tuple[str, ...]:
    """The texts of the warnings that are for the user."""
    return tuple(told(str(warning.message)) for warning in caught if issubclass(warning.category, UserWarning))


def timed(function: Callable, *arguments) -> tuple[object, float]:
    """The function's result and the seconds that it took."""
    started = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - started


def file_size(path: Path) -> int:
    """Bytes of a file; 0 if it is not there."""
    return path.stat().st_size if path.exists() else 0


def _clip(path: Path, seconds: int, clip_format: Mapping) -> Clip | InputError:
    try:
        return read_clip(path, seconds=seconds, **clip_format)
    except InputError as error:
        return error
    except Exception as error:
        # One file that crashes the decoder must not end a night's work on thousands of files.
        return InputError(f"{path}: cannot be decoded ({type(error).__name__}: {error}); leave it out.")
