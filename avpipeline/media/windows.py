"""A long file window by window, without decoding every frame twice.

A window's frames are decoded from the keyframe before it, which in most files is some seconds earlier: a block of
several windows, as many as fit into `_BLOCK_BYTES` but not more than `_BLOCK_SECONDS`, is therefore decoded in one
pass. While a block's windows are used, two processes decode the next two, so at most three are in memory. Sound is
resampled from each window's own beginning; sound alone, which cannot be sought, is decoded in longer blocks.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence

from avpipeline.errors import InputError
from avpipeline.media.ahead import in_order
from avpipeline.media.reading import Clip, read_adjoining, read_clip

_BLOCK_BYTES = 64 << 20
_BLOCK_SECONDS, _SOUND_SECONDS = 60, 1200
_PROCESSES = 2


def read_windows(
    path, windows: Sequence[tuple[int, int]], *, audio: bool = True, video: bool = True, **format_
) -> Generator[Clip, None, None]:
    """The clips that `read_clip` returns for each of some windows, decoded ahead of their use.

    Where a container rounds times to milliseconds, as Matroska does, the sound may begin up to one earlier or later
    than that of `read_clip`.

    Args:
      windows: first second and number of seconds of each; each begins where the one before ends.
      audio, video, format_: as for `read_clip`; a `size` is needed with `video`. A `transform` is called by two threads
        at a time, and not in the order of the frames.

    Raises:
      InputError: as `read_clip`, at the first window that cannot be read.
    """
    form = {"audio": audio, "video": video, **format_}

    def clips(block) -> Iterable[Clip]:
        try:
            return read_adjoining(path, block, threads=True, **form)
        except InputError:
            # What cannot be read in one pass, such as a stream without a single frame, is left to `read_clip`.
            return (read_clip(path, start=start, seconds=seconds, **form) for start, seconds in block)

    for block in in_order(clips, _blocks(windows, **form), threads=_PROCESSES, ready=_PROCESSES):
        yield from block


def _blocks(windows: Sequence[tuple[int, int]], **form) -> Iterator[Sequence[tuple[int, int]]]:
    rest = list(windows)
    while rest:
        block, rest = _block(rest, **form)
        yield block


def _block(windows, *, video: bool, frame_rate: float = 16, size: tuple[int, int] = (224, 224), **_):
    """The windows of one pass, and those after it."""
    height, width = size
    seen = min(int(_BLOCK_BYTES / (frame_rate * height * width * 3)), _BLOCK_SECONDS)
    fitting = seen if video else _SOUND_SECONDS
    taken, length = 0, 0
    while taken < len(windows) and (not taken or length + windows[taken][1] <= fitting):
        length += windows[taken][1]
        taken += 1
    return windows[:taken], windows[taken:]
