"""A long file window by window, without decoding every frame twice.

A window's frames are decoded from the keyframe before it, which in most files is some seconds earlier: several windows
are therefore decoded in one pass, as many as fit into `_BLOCK_BYTES`, by several threads. Sound costs little, and is
read for each window alone: it is resampled from the window's own beginning.
"""

import dataclasses
from collections.abc import Generator, Sequence

import numpy as np

from avpipeline.errors import InputError
from avpipeline.media.reading import Clip, read_clip
from avpipeline.media.sinks import SAMPLE_RATE

_BLOCK_BYTES = 96 << 20


def read_windows(
    path, windows: Sequence[tuple[int, int]], *, audio: bool = True, video: bool = True, **format_
) -> Generator[Clip, None, None]:
    """The clips that `read_clip` returns for each of some windows.

    Args:
      windows: first second and number of seconds of each; each begins where the one before ends.
      audio, video, format_: as for `read_clip`; a `size` is needed with `video`.

    Raises:
      InputError: as `read_clip`, at the first window that cannot be read.
    """
    if not video:
        for start, seconds in windows:
            yield read_clip(path, start=start, seconds=seconds, audio=audio, video=False, **format_)
        return
    yield from _in_blocks(path, windows, audio, format_)


def _in_blocks(
    path, windows: Sequence[tuple[int, int]], audio: bool, format_, most: int = _BLOCK_BYTES
) -> Generator[Clip, None, None]:
    """The windows, with at most `most` bytes of frames in memory where a window itself has no more."""
    rest = list(windows)
    while rest:
        block, rest = _block(rest, most, **format_)
        yield from _windows_of_block(path, block, audio, format_)


def _windows_of_block(path, block: Sequence[tuple[int, int]], audio: bool, format_) -> Generator[Clip, None, None]:
    (first, _), length = block[0], sum(seconds for _, seconds in block)
    try:
        seen = read_clip(path, start=first, seconds=length, audio=False, threads=True, **format_)
    except InputError:
        seen = None
    for start, seconds in block:
        clip = seen and _window(seen, path, start - first, start, seconds, audio, format_)
        # What cannot be read alone, such as a stream without a single frame, is left to `read_clip`.
        yield clip or read_clip(path, start=start, seconds=seconds, audio=audio, **format_)


def _window(seen: Clip, path, first: int, start: int, seconds: int, audio: bool, format_) -> Clip | None:
    """A window that begins `first` seconds after the block `seen`, with its sound; None if that cannot be read."""
    heard = np.zeros(seconds * SAMPLE_RATE if audio else 0, np.float32), 0.0
    if audio and seen.has_audio:
        try:
            alone = read_clip(path, start=start, seconds=seconds, video=False, **format_)
        except InputError:
            return None
        heard = alone.waveform, alone.audio_seconds
    return dataclasses.replace(
        seen,
        seconds=seconds,
        waveform=heard[0],
        audio_seconds=heard[1],
        frames=seen.frames[round(first * seen.frame_rate) : round((first + seconds) * seen.frame_rate)],
        video_seconds=float(np.clip(seen.video_seconds - first, 0, seconds)),
    )


def _block(windows, most: int, *, frame_rate: float = 16, size: tuple[int, int] = (224, 224), **_):
    """The windows of one pass, and those after it."""
    height, width = size
    fitting = int(most / (frame_rate * height * width * 3))
    taken, length = 0, 0
    while taken < len(windows) and (not taken or length + windows[taken][1] <= fitting):
        length += windows[taken][1]
        taken += 1
    return windows[:taken], windows[taken:]
