"""Decoding of one media file in a single pass: its sound, and the frames shown at given times, by timestamp.

A decoder can die of a hostile file: everything here runs in the process of `worker`.
"""

import contextlib
import functools
import itertools
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from avpipeline.files import Unusable, require_regular
from avpipeline.media.sinks import (
    MOST_BYTES,
    MOST_SECONDS,
    SAMPLE_RATE,
    FrameRequest,
    Frames,
    Sound,
    audio_stream,
    orientation,
    video_stream,
)
from avpipeline.media.wav import read_wav

# Sample rates and channels of sound, and pixels of a frame, that are decoded (SECURITY.md).
RATES, MOST_CHANNELS, MOST_PIXELS = range(4000, 384_001), 64, 1 << 26

# Threads that decode one video of large frames; each holds frames of its own. On small ones they wait for each other as
# long as they save.
_LARGE_PIXELS, _MOST_THREADS = 1280 * 720, 4
_MOST_COMMENT = 200  # characters
_MOST_PACKETS = 500  # in which a first frame is looked for
_SEEK_MARGIN = 1.0  # seconds decoded before the requested start, so that the decoders have settled
_BROKEN_OFF = 0.5  # seconds by which a file may end before its stated length without a warning
# Containers whose header states the length of each stream; for others FFmpeg estimates it. See also `_shortfall`.
_LENGTH_STATED = frozenset({"mov", "flac"})
# FFmpeg's readers that are used: of files that hold their data themselves, unlike playlists.
_FORMATS = (
    "mov,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,asf,wav,w64,mp3,flac,ogg,aac,ac3,eac3,amr,aiff,au,caf,"
    "h264,hevc,m4v,ivf,nut,srt,png_pipe,bmp_pipe,webp_pipe,gif,image2"
)


@contextlib.contextmanager
def opened(path) -> Iterator[av.container.InputContainer]:
    """The opened file; Unusable if it is no media file within the bounds above."""
    path = Path(path)
    if path.is_dir():
        raise Unusable("is a folder; name a media file in it.")
    if require_regular(path).stat().st_size == 0:
        raise Unusable("is empty (0 bytes); copy or download it again.")
    # An image is a video of one frame; without a pattern, %d in its name stands for no other files.
    options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS, "pattern_type": "none"}
    try:
        container = av.open(f"file:{path}", metadata_errors="ignore", options=options)
    except av.FFmpegError as error:
        raise Unusable(
            f"is not a media file, or is broken at its beginning or cut off ({error.strerror}); "
            "copy or download it again."
        ) from error
    with container:
        _require_bounds(container)
        yield container


def _require_bounds(container) -> None:
    audio, video = audio_stream(container), video_stream(container)
    if audio is None and video is None:
        raise Unusable("holds neither sound nor video; name a media file.")
    if audio is not None and (audio.sample_rate not in RATES or not 1 <= audio.channels <= MOST_CHANNELS):
        raise Unusable(
            f"its sound has {audio.channels} channels at {audio.sample_rate} Hz where 1 to {MOST_CHANNELS} at "
            f"{RATES[0]} to {RATES[-1]} Hz can be decoded; convert it."
        )
    if video is not None and not 0 <= video.width * video.height <= MOST_PIXELS:
        raise Unusable(f"its frames have {video.width} x {video.height} pixels, too many to be decoded; convert it.")
    if container.duration is not None and not 0 <= container.duration / av.time_base <= MOST_SECONDS:
        raise Unusable(_too_long(container.duration / av.time_base))


def _too_long(seconds: float) -> str:
    return f"lasts {seconds:.0f} s by its timestamps where at most {MOST_SECONDS:.0f} s are decoded; cut it."


def _origin(container) -> float:
    """The start of the container on its streams' clock, in seconds: second 0 of a clip."""
    return (container.start_time or 0) / av.time_base


def length(container, progress: Callable[[], object]) -> float:
    """Length of an opened file in seconds; Unusable where its timestamps make no sense."""
    if container.duration is not None:
        return container.duration / av.time_base
    # Recorders that write as they go (.webm from browsers) state no length: it follows from the packets.
    end = 0.0
    for packet in container.demux():
        progress()
        if packet.pts is not None:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    seconds = end - _origin(container)
    if not seconds <= MOST_SECONDS:
        raise Unusable(_too_long(seconds))
    return seconds


def describe(path, progress: Callable[[], object]) -> dict:
    """The fields of `reading.MediaInfo`."""
    with opened(path) as container:
        audio, video = audio_stream(container), video_stream(container)
        rate = video and (video.average_rate or video.guessed_rate)
        height, width = _shown_size(path, video, progress) if video else (None, None)
        return {
            "seconds": length(container, progress),
            "has_audio": audio is not None,
            "has_video": video is not None,
            "frame_rate": float(rate) if rate else None,
            "width": width,
            "height": height,
            "sample_rate": audio.sample_rate if audio else None,
            "channels": audio.channels if audio else None,
            "sound_format": f"{audio.codec_context.name} {audio.format.name}" if audio and audio.format else None,
            "comment": container.metadata.get("comment", "")[:_MOST_COMMENT] or None,
        }


def _shown_size(path, video, progress: Callable[[], object]) -> tuple[int, int]:
    """Height and width of the frames once they are upright, which only a frame itself tells."""
    with opened(path) as container, contextlib.suppress(av.FFmpegError):
        for packet in itertools.islice(container.demux(video_stream(container)), _MOST_PACKETS):
            progress()
            for frame in packet.decode():
                sideways = orientation(frame)[0] % 2
                return (video.width, video.height) if sideways else (video.height, video.width)
    return video.height, video.width


def decode(
    path,
    *,
    start: float,
    seconds: float | None,
    sounds: Sequence[tuple[float, float | None]],
    request: FrameRequest | None,
    progress: Callable[[], object],
    by_second: bool = False,
) -> tuple[dict, list[np.ndarray]]:
    """Decodes what is requested and present; seeks to a late start if that works for this file.

    Args:
      start, seconds: the stretch that is decoded, of which frames are taken.
      sounds: start and seconds of each stretch of sound in it, in order.
      progress: called with every packet.
      by_second: see `sinks.Sound`.

    Returns:
      which streams the file has, and seconds of what was requested that come from it; then each stretch of sound, and
      the frames.

    Raises:
      Unusable, or any other exception for a damaged file: call it inside `files.reading`.
    """
    if not start >= 0 or not (seconds is None or seconds > 0):
        raise Unusable(f"start must be 0 or more and seconds above 0, not {start} and {seconds}.")
    attempt = functools.partial(_attempt, Path(path), start, seconds, sounds, request, progress, by_second)
    return (attempt(seek=True) if start > _SEEK_MARGIN else None) or attempt(seek=False)


def _attempt(path, start, seconds, sounds, request, progress, by_second, *, seek: bool):
    """One pass over the file; None if the seek did not reach the requested start."""
    with opened(path) as container:
        heard, seen = audio_stream(container), video_stream(container)
        _require_room(seconds, seen if request else None, request)
        is_large = seen and seen.width * seen.height >= _LARGE_PIXELS
        if is_large and request and request.threads and container.format.name != "avi":
            # In .avi the times of frames follow from their order, which threads delay.
            seen.thread_type, seen.codec_context.thread_count = "AUTO", min(os.cpu_count() or 1, _MOST_THREADS)
        origin = _origin(container)
        sound = Sound(heard, origin, sounds, by_second) if sounds and heard else None
        frames = Frames(seen, origin, start, seconds, request) if request and seen else None
        sinks = [sink for sink in (sound, frames) if sink]
        about = {"has_audio": heard is not None, "has_video": seen is not None}
        if not sinks:
            return about | {"audio_seconds": [], "video_seconds": 0.0}, []
        latest = max([start, *(begin for begin, _ in sounds)])
        if container.duration is not None and latest >= container.duration / av.time_base > 0:
            raise Unusable(
                f"ends at {container.duration / av.time_base:.2f} s, before the requested start ({latest:.2f} s); "
                "choose an earlier start."
            )
        if seek and not _sought(container, origin + start - _SEEK_MARGIN):
            return None
        problem = _feed(container, sinks, progress)
        if seek and any(sink.begin is None or sink.begin > sink.start for sink in sinks):
            return None
        if all(sink.begin is None for sink in sinks):
            raise Unusable(f"nothing in it can be decoded ({problem or 'no data'}); copy or download it again.")
        problem = _shortfall(path, container, sinks) or problem
        if problem:
            warnings.warn(f"{path}: is damaged or cut off ({problem}); what can be decoded is used", stacklevel=2)
        stretches = sound.stretches if sound else []
        about["audio_seconds"] = [stretch.covered() for stretch in stretches if seconds]
        about["video_seconds"] = frames.covered() if frames else 0.0
        return about, [stretch.waveform() for stretch in stretches] + ([frames.array] if frames else [])


def _require_room(seconds: float | None, video, request: FrameRequest | None) -> None:
    """Raises Unusable if the requested clip would take too much memory at once."""
    height, width = (request and request.size) or ((video.height, video.width) if video else (0, 0))
    frames = request.count(seconds) * height * width * 3 if request else 0
    if frames + 4 * SAMPLE_RATE * (seconds or 0) > MOST_BYTES:
        raise Unusable(f"{seconds:.0f} s of it take more than {MOST_BYTES >> 30} GB at once; read a shorter stretch.")


def _sought(container, seconds: float) -> bool:
    """Seeks, if timestamps after that can be relied on.

    Sound alone is decoded from its beginning: that is fast, and seeking in .mp3 is inexact. In .avi the times of frames
    follow from their order.
    """
    if video_stream(container) is None or container.format.name == "avi":
        return False
    try:
        container.seek(int(seconds * av.time_base))
    except av.FFmpegError:
        return False
    return True


def _feed(container, sinks, progress: Callable[[], object]) -> str | None:
    """Feeds the sinks until they have enough or the file ends; returns the first problem on the way, if any."""
    by_stream = {sink.stream.index: sink for sink in sinks}
    problem = None
    packets = container.demux([sink.stream for sink in sinks])
    # FFmpeg calls the last packet of a .wav whose writer could not go back to its header corrupt.
    is_wav = container.format.name == "wav"
    while not all(sink.done for sink in sinks):
        try:
            packet = next(packets, None)
            if packet is None:
                break
            progress()
            if packet.is_corrupt and not is_wav:
                problem = problem or "a part is missing"
            sink = by_stream[packet.stream.index]
            if not sink.done:
                for frame in packet.decode():
                    sink.take(frame)
        except av.FFmpegError as error:
            problem = problem or error.strerror
    for sink in sinks:
        sink.finish()
    return problem


def _shortfall(path, container, sinks) -> str | None:
    """Says where the file breaks off, if its header states more and all of it was requested."""
    if any(sink.done for sink in sinks):
        return None
    names = set(container.format.name.split(","))
    if names & {"wav", "avi"}:
        missing = read_wav(path).missing if "wav" in names else _riff_size(path) - path.stat().st_size
        return f"{missing} bytes are missing" if missing > 0 else None
    ends = [0.0 if sink.end is None else sink.end - _origin(container) for sink in sinks]
    stated = []
    if _LENGTH_STATED & names:
        stated = [(f"its {sink.stream.type}", sink.stream.duration, sink.stream.time_base) for sink in sinks]
    elif "matroska" in names and len(sinks) == len(container.streams.audio) + len(container.streams.video):
        stated, ends = [("it", container.duration, Fraction(1, av.time_base))], [max(ends)]
    for (what, duration, unit), end in zip(stated, ends, strict=False):
        if duration is not None and duration * unit - end > _BROKEN_OFF:
            return f"{what} ends at {end:.2f} s of {float(duration * unit):.2f} s"
    return None


def _riff_size(path: Path) -> int:
    """The size that the header of an .avi states, 0 if it states none."""
    with open(path, "rb") as file:
        header = file.read(8)
    return int.from_bytes(header[4:], "little") + 8 if header[:4] == b"RIFF" else 0
