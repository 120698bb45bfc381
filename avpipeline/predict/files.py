"""The media files that a predict command was given, one after the other."""

import contextlib
import contextvars
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from avpipeline import media
from avpipeline.cli.progress import ProgressBar
from avpipeline.errors import InputError
from avpipeline.predict.documents import Tell

T = TypeVar("T")

# Modality -> what its stream is called.
STREAMS = {"audio": "sound", "visual": "frames"}

# Files that were used as far as they go, for the exit status of the command that predicts them.
_DAMAGED: contextvars.ContextVar[list[str]] = contextvars.ContextVar("damaged", default=[])  # noqa: B039


@contextlib.contextmanager
def collected_warnings(path) -> Iterator[list[str]]:
    """Yields a list that is filled at the end with the decoder's warnings about this file, without the file's name.

    They are sorted, since several processes decode a long file.
    """
    damage: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield damage
    told = (str(warning.message) for warning in caught if str(warning.message).startswith(str(path)))
    damage.extend(_joined(sentence.removeprefix(f"{path}: ") for sentence in sorted({*told})))
    if damage:
        _DAMAGED.get().append(str(path))


def _joined(sentences: Iterable[str]) -> Iterator[str]:
    """Merges sentences that differ only in brackets, since a file's sound and frames are read separately."""
    found: dict[tuple[str, str], list[str]] = {}
    for sentence in sentences:
        before, bracket, after = re.fullmatch(r"([^(]*)(?:\((.*)\))?(.*?)", sentence, re.DOTALL).groups()
        found.setdefault((before, after), []).extend([bracket] if bracket else [])
    for (before, after), brackets in found.items():
        yield f"{before}({'; '.join(brackets)}){after}" if brackets else before + after


def in_windows(decoded: Iterable[T], count: int) -> Iterator[T]:
    """The windows of one file, with a bar that shows the progress and the time left of what takes long.

    Args:
      count: how many there are.
    """
    with ProgressBar(total=count, desc="predicting", unit="window", leave=False) as progress:
        for window in decoded:
            yield window
            progress.update()


def for_each_file(sources: Sequence, one: Callable[[Path, Tell], object]) -> int:
    """Calls `one` for every media file of `sources`.

    Args:
      sources: media files, folders of them, or lists (.txt).
      one: predicts a file and writes its results under the file's stem; calls its second argument with the text.

    Returns:
      exit status: 0, or 2 if some of several files could not be used or some are damaged; they are named at the end.

    Raises:
      InputError: a source names no file, two results would have the same name, or the only file cannot be used.
    """
    paths = [path for source in sources for path in media.list_media(source)]
    if not paths:
        raise InputError("no file to predict; name media files, folders of them or lists.")
    first: dict[str, Path] = {}
    for path in paths:
        if (other := first.setdefault(path.stem, path)) is not path:
            raise InputError(f"{path}: would overwrite the results of {other}; write its results to another --out.")
    failed: list[str] = []
    damaged: list[str] = []
    _DAMAGED.set(damaged)
    for path in ProgressBar(paths, desc="predicting", unit="file", disable=len(paths) == 1):
        try:
            one(path, ProgressBar.write)
        except InputError as error:
            if len(paths) == 1:
                raise
            failed.append(str(error))
    if failed:
        print(f"{len(paths) - len(failed)} of {len(paths)} files done; not done:", file=sys.stderr)
        print("\n".join(failed), file=sys.stderr)
    if damaged:
        print(f"damaged, and used as far as they go: {', '.join(dict.fromkeys(damaged))}", file=sys.stderr)
    return 2 if failed or damaged else 0
