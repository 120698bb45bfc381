"""Decoding of one media file in a single pass: its sound, and the frames shown at given times, by timestamp."""

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import librosa
import numpy as np
from av.audio.resampler import AudioResampler
from av.stream import Disposition
from av.video.reformatter import Interpolation, VideoReformatter

from avpipeline.errors import InputError

SAMPLE_RATE = 16000

_HOLD = 0.5  # seconds for which the first and the last frame stand in for missing ones
_SOUND_GAP = 0.05  # seconds; a larger jump of the sound's timestamps is a gap, a smaller one is rounding
_SEEK_MARGIN = 1.0  # seconds decoded before the requested start, so that the decoders have settled
_BROKEN_OFF = 0.5  # seconds by which a file may end before its stated length without a warning
# Containers whose header states the length of each stream; for others FFmpeg estimates it. See also `_shortfall`.
_LENGTH_STATED = frozenset({"mov", "flac"})


@contextlib.contextmanager
def opened(path) -> Iterator[av.container.InputContainer]:
    """The opened file; InputError if there is none, or it has neither sound nor video."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a media file in it.")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; check the path.")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty (0 bytes); copy or download it again.")
    try:
        container = av.open(str(path), metadata_errors="ignore")
    except av.FFmpegError as error:
        raise InputError(
            f"{path}: is not a media file, or is broken at its beginning or cut off ({error.strerror}); "
            "copy or download it again."
        ) from error
    with container:
        if audio_stream(container) is None and video_stream(container) is None:
            raise InputError(f"{path}: holds neither sound nor video; name a media file.")
        yield container


def audio_stream(container):
    return next(iter(container.streams.audio), None)


def video_stream(container):
    """The first video stream that is not a cover image."""
    moving = (stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic)
    return next(moving, None)


def _origin(container) -> float:
    """The start of the container on its streams' clock, in seconds: second 0 of a clip."""
    return (container.start_time or 0) / av.time_base


def length(container) -> float:
    """Length of an opened file in seconds."""
    if container.duration is not None:
        return container.duration / av.time_base
    # Recorders that write as they go (.webm from browsers) state no length: it follows from the packets.
    ends = [
        float((packet.pts + (packet.duration or 0)) * packet.time_base)
        for packet in container.demux()
        if packet.pts is not None
    ]
    return max(ends, default=0.0) - _origin(container)


@dataclasses.dataclass(frozen=True)
class FrameRequest:
    """Which frames are requested, and in which form.

    Attributes:
      frame_rate: frames per second.
      size: their (height, width); None keeps the video's own.
      transform: a function from an upright RGB frame of the video's own size to one of `size`; None scales it.
    """

    frame_rate: float
    size: tuple[int, int] | None
    transform: Callable[[np.ndarray], np.ndarray] | None = None

    def count(self, seconds: float) -> int:
        return round(seconds * self.frame_rate)


@dataclasses.dataclass(frozen=True)
class Decoded:
    """What a file has, and what was decoded of it."""

    has_audio: bool
    has_video: bool
    sound: "Sound | None"
    frames: "Frames | None"


def decode(
    path, *, start: float, seconds: float | None, audio: bool, request: FrameRequest | None, by_second: bool = False
) -> Decoded:
    """Decodes what is requested and present; seeks to a late start if that works for this file.

    Args:
      by_second: see `Sound`.
    """
    if start < 0 or (seconds is not None and seconds <= 0):
        raise InputError(f"{path}: start must be 0 or more and seconds above 0, not {start} and {seconds}.")
    what = (start, seconds, audio, request, by_second)
    decoded = _attempt(path, *what, seek=True) if start > _SEEK_MARGIN else None
    return decoded or _attempt(path, *what, seek=False)


def _attempt(path, start, seconds, audio, request, by_second, *, seek: bool) -> Decoded | None:
    """One pass over the file; None if the seek did not reach the requested start."""
    path = Path(path)
    with opened(path) as container:
        heard, seen = audio_stream(container), video_stream(container)
        origin = _origin(container)
        sound = Sound(heard, origin, start, seconds, by_second) if audio and heard else None
        frames = Frames(seen, origin, start, seconds, request) if request and seen else None
        decoded = Decoded(heard is not None, seen is not None, sound, frames)
        sinks = [sink for sink in (sound, frames) if sink]
        if not sinks:
            return decoded
        if container.duration is not None and start >= length(container) > 0:
            raise InputError(
                f"{path}: ends at {length(container):.2f} s, before the requested start ({start:.2f} s); "
                "choose an earlier start."
            )
        if seek and not (_seekable(container) and _sought(container, origin + start - _SEEK_MARGIN)):
            return None
        problem = _feed(container, sinks)
        if seek and any(sink.begin is None or sink.begin > sink.start for sink in sinks):
            return None
        if all(sink.begin is None for sink in sinks):
            raise InputError(
                f"{path}: nothing in it can be decoded ({problem or 'no data'}); copy or download it again."
            )
        problem = problem or _shortfall(path, container, sinks)
        if problem:
            warnings.warn(f"{path}: is damaged or cut off ({problem}); what can be decoded is used", stacklevel=4)
        return decoded


def _seekable(container) -> bool:
    """Whether timestamps after a seek can be relied on.

    Sound alone is decoded from its beginning: that is fast, and seeking in .mp3 is inexact. In .avi the times of frames
    follow from their order.
    """
    return video_stream(container) is not None and container.format.name != "avi"


def _sought(container, seconds: float) -> bool:
    try:
        container.seek(int(seconds * av.time_base))
    except av.FFmpegError:
        return False
    return True


def _feed(container, sinks) -> str | None:
    """Feeds the sinks until they have enough or the file ends; returns the first problem on the way, if any."""
    by_stream = {sink.stream.index: sink for sink in sinks}
    problem = None
    packets = container.demux([sink.stream for sink in sinks])
    while not all(sink.done for sink in sinks):
        try:
            packet = next(packets, None)
            if packet is None:
                break
            if packet.is_corrupt:
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
    if names & {"avi", "wav"}:
        missing = _riff_size(path) - path.stat().st_size
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


def _time(sink, stamp: int | None, unit: Fraction) -> float:
    """The time at which a frame begins; one without a timestamp follows the frame before it."""
    if stamp is not None:
        return float(stamp * unit)
    return sink.origin if sink.end is None else sink.end


def _riff_size(path: Path) -> int:
    """The size that the header of an .avi or .wav file states, 0 if it states none."""
    with open(path, "rb") as file:
        header = file.read(8)
    size = int.from_bytes(header[4:], "little")
    return size + 8 if header[:4] == b"RIFF" and size != 0xFFFFFFFF else 0


class Sound:
    """Collects an audio stream as mono sound at 16 kHz. Times are in seconds of the stream's clock.

    Args:
      by_second: resample each second on its own instead of the whole stream, so that a second knows nothing of its
        neighbours.
    """

    def __init__(self, stream, origin: float, start: float, seconds: float | None, by_second: bool = False):
        self._rate = stream.rate if by_second else SAMPLE_RATE
        self.stream, self.origin, self.start, self.seconds = stream, origin, origin + start, seconds
        self.begin: float | None = None  # of what has been decoded so far
        self.end: float | None = None
        self.done = False
        self._pieces: list[tuple[float, list[np.ndarray]]] = []
        self._resampler = self._setup = None
        self._alone = video_stream(stream.container) is None

    def take(self, frame) -> None:
        time = _time(self, frame.pts, frame.time_base)
        if self._alone and self.begin is None:
            # A file without video begins with its sound; FFmpeg timestamps Vorbis 3 ms late.
            self.origin, self.start = time, time + self.start - self.origin
        setup = (frame.format.name, frame.layout.name, frame.sample_rate)
        gap = self.end is None or abs(time - self.end) > _SOUND_GAP
        self.begin = time if self.begin is None else self.begin
        self.end = (time if gap else self.end) + frame.samples / frame.sample_rate
        if self.end < self.start - _SOUND_GAP:
            self._flush()
            return
        if gap or setup != self._setup:
            self._flush()
            # The layout is kept and the channels are averaged below: FFmpeg's own downmix to mono adds float stereo
            # channels with weight 0.707, which exceeds [-1, 1].
            self._resampler = AudioResampler(format="fltp", layout=frame.layout, rate=self._rate)
            self._setup = setup
            self._pieces.append((self.end - frame.samples / frame.sample_rate, []))
        self._store(self._resampler.resample(frame))
        self.done = self.seconds is not None and self.end > self.start + self.seconds + _SOUND_GAP

    def finish(self) -> None:
        self._flush()

    def waveform(self) -> np.ndarray:
        placed = self._placed()
        end = max((first + len(samples) for first, samples in placed), default=0)
        whole = np.zeros(max(end, 0) if self.seconds is None else round(self.seconds * self._rate), np.float32)
        for first, samples in placed:
            inside = samples[max(-first, 0) : max(len(whole) - first, 0)]
            whole[max(first, 0) : max(first, 0) + len(inside)] = inside
        return np.clip(self._resampled(whole), -1.0, 1.0)  # lossy codecs overshoot

    def _resampled(self, whole: np.ndarray) -> np.ndarray:
        if self._rate == SAMPLE_RATE:
            return whole
        pieces = [whole[first : first + self._rate] for first in range(0, len(whole), self._rate)]
        return np.concatenate([librosa.resample(x, orig_sr=self._rate, target_sr=SAMPLE_RATE) for x in pieces])

    def covered(self) -> float:
        """Seconds of the waveform that come from the file."""
        total = round(self.seconds * self._rate)
        inside = (min(first + len(piece), total) - max(first, 0) for first, piece in self._placed())
        return min(sum(max(samples, 0) for samples in inside), total) / self._rate

    def _placed(self) -> list[tuple[int, np.ndarray]]:
        """Each continuous piece with the index of its first sample."""
        return [
            (round((time - self.start) * self._rate), np.concatenate(chunks))
            for time, chunks in self._pieces
            if chunks
        ]

    def _flush(self) -> None:
        if self._resampler is not None:
            self._store(self._resampler.resample(None))
        self._resampler = self._setup = None

    def _store(self, frames) -> None:
        self._pieces[-1][1].extend(frame.to_ndarray().mean(axis=0) for frame in frames if frame is not None)


class Frames:
    """Collects the frames of a video stream shown at the requested times. Times are in seconds of its clock."""

    def __init__(self, stream, origin: float, start: float, seconds: float, request: FrameRequest):
        self.stream, self.origin, self.start, self.seconds = stream, origin, origin + start, seconds
        self.begin: float | None = None
        self.end: float | None = None
        self.done = False
        self._times = self.start + (np.arange(request.count(seconds)) + 0.5) / request.frame_rate
        self._size, self._transform = request.size, request.transform
        self._next = 0
        self._current = None
        self._decode_order = stream.container.format.name == "avi"
        self._delay: int | None = None
        self._reformatter = VideoReformatter()
        self.array = np.zeros((len(self._times), *(request.size or (stream.height, stream.width)), 3), np.uint8)

    def take(self, frame) -> None:
        time = _time(self, self._stamp(frame), frame.time_base)
        if self._current is None:
            self.begin = time
            self._current = frame
            self._next = int(np.searchsorted(self._times, time - _HOLD))
        self._fill(time)
        self._current = frame
        self.end = time + self._duration(frame)
        self.done = self.end >= self.start + self.seconds and self._next == len(self._times)

    def finish(self) -> None:
        if self._current is not None:
            self._fill(self.end + _HOLD)

    def covered(self) -> float:
        """Seconds of the frames that come from the file."""
        if self.begin is None:
            return 0.0
        return max(min(self.end, self.start + self.seconds) - max(self.begin, self.start), 0.0)

    def _fill(self, until: float) -> None:
        """Assigns the current frame to the requested times before `until` that have none yet."""
        stop = int(np.searchsorted(self._times, until - 1e-6))
        if stop > self._next:
            image = self._converted(self._current)
            if self._size is None:
                self._size = image.shape[:2]
                self.array = np.zeros((len(self._times), *image.shape), np.uint8)
            self.array[self._next : stop] = image
            self._next = stop

    def _converted(self, frame) -> np.ndarray:
        """The frame upright as RGB, `(height, width, 3)`."""
        turns = round(frame.rotation / 90) % 4
        height, width = (None if self._transform else self._size) or (None, None)
        if turns % 2:
            height, width = width, height
        rgb = self._reformatter.reformat(frame, width, height, "rgb24", interpolation=Interpolation.BILINEAR)
        upright = np.rot90(rgb.to_ndarray(), turns)
        return self._transform(upright) if self._transform else upright

    def _stamp(self, frame) -> int | None:
        """The frame's timestamp in units of its time base.

        An .avi stores only the decoding order. With B-frames (as in UCF101: XviD), FFmpeg passes it on as out-of-order
        presentation times; the frames themselves come in order, one per decoding slot, later by the decoder's delay.
        """
        if not self._decode_order or frame.dts is None:
            return None if self._decode_order else frame.pts
        if self._delay is None:
            self._delay = frame.dts - (self.stream.start_time or 0)
        return frame.dts - self._delay

    def _duration(self, frame) -> float:
        if frame.duration:
            return float(frame.duration * frame.time_base)
        return float(1 / self.stream.average_rate) if self.stream.average_rate else 0.0
