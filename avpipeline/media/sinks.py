"""Where decoded data go: the sound as mono at 16 kHz, and the frames shown at the requested times."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
from av.audio.resampler import AudioResampler
from av.sidedata.sidedata import Type
from av.stream import Disposition
from av.video.reformatter import Interpolation, VideoReformatter

from avpipeline.files import Unusable

SAMPLE_RATE = 16000
# The longest file, in seconds, and the largest jump of a stream's timestamps: more is a damaged or hostile file.
MOST_SECONDS, MOST_JUMP = 24 * 3600.0, 600.0
# The most that one reading makes, in bytes.
MOST_BYTES = 1 << 31

_HOLD = 0.5  # seconds for which the first and the last frame stand in for missing ones
_SOUND_GAP = 0.05  # seconds; a larger jump of the sound's timestamps is a gap, a smaller one is rounding


def audio_stream(container):
    """The audio track that players take: the first that is marked as default, else the first."""
    tracks = container.streams.audio
    return next((track for track in tracks if track.disposition & Disposition.default), next(iter(tracks), None))


def video_stream(container):
    """The first video stream that is not a cover image."""
    moving = (stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic)
    return next(moving, None)


@dataclasses.dataclass(frozen=True)
class FrameRequest:
    """Which frames are requested, and in which form.

    Attributes:
      frame_rate: frames per second.
      size: their (height, width); None keeps the video's own.
      transform: a function from an upright RGB frame of the video's own size to one of `size`; None scales it.
      threads: whether several threads, one a frame, decode large frames.
    """

    frame_rate: float
    size: tuple[int, int] | None
    transform: Callable[[np.ndarray], np.ndarray] | None = None
    threads: bool = False

    def count(self, seconds: float) -> int:
        return round(seconds * self.frame_rate)


def _seconds(stamp: int, unit: Fraction) -> float:
    """`float(stamp * unit)` without a fraction for each frame."""
    return stamp * unit.numerator / unit.denominator


def _time(sink, stamp: int | None, unit: Fraction) -> float:
    """The time at which a frame begins; one without a timestamp follows the frame before it."""
    if stamp is None:
        return sink.origin if sink.end is None else sink.end
    time = _seconds(stamp, unit)
    before = sink.origin if sink.end is None else sink.end
    if not abs(time - before) <= (MOST_SECONDS if sink.end is None else MOST_JUMP):
        raise Unusable(
            f"its timestamps jump from {before:.0f} s to {time:.0f} s, by more than {MOST_JUMP:.0f} s; cut it there."
        )
    return time


class Sound:
    """Collects stretches of an audio stream as mono sound at 16 kHz. Times are in seconds of the stream's clock.

    Args:
      stretches: start and seconds of each, in order; None seconds last until the sound ends.
      by_second: resample each second on its own instead of the whole stream, so that a second knows nothing of its
        neighbours.
    """

    def __init__(self, stream, origin: float, stretches: Sequence[tuple[float, float | None]], by_second: bool = False):
        rate = stream.rate if by_second else SAMPLE_RATE
        self.stream, self.origin = stream, origin
        self.stretches = [Stretch(origin + start, seconds, rate) for start, seconds in stretches]
        self.begin: float | None = None  # of what has been decoded so far
        self.end: float | None = None
        self._waiting = list(self.stretches)
        self._alone = video_stream(stream.container) is None

    @property
    def start(self) -> float:
        return self.stretches[0].start

    @property
    def done(self) -> bool:
        return self.stretches[-1].done

    def take(self, frame) -> None:
        time = _time(self, frame.pts, frame.time_base)
        if self._alone and self.begin is None:
            # A file without video begins with its sound; FFmpeg timestamps Vorbis 3 ms late.
            for stretch in self.stretches:
                stretch.start += time - self.origin
            self.origin = time
        self.begin = time if self.begin is None else self.begin
        if self.end is None or abs(time - self.end) > _SOUND_GAP:
            self.end = time
        begin, self.end = self.end, self.end + frame.samples / frame.sample_rate
        while self._waiting and self._waiting[0].done:
            del self._waiting[0]
        for stretch in self._waiting:
            if self.end < stretch.start - _SOUND_GAP:
                break
            stretch.take(frame, begin, self.end)

    def finish(self) -> None:
        for stretch in self.stretches:
            stretch.finish()


class Stretch:
    """A part of the sound, `seconds` from `start` on, resampled from its first frame on."""

    def __init__(self, start: float, seconds: float | None, rate: int):
        self.start, self.seconds, self._rate = start, seconds, rate
        self.done = False
        self._end: float | None = None
        self._pieces: list[tuple[float, list[np.ndarray]]] = []
        self._resampler = self._setup = None

    def take(self, frame, begin: float, end: float) -> None:
        """Adds a frame of sound from second `begin` to `end`."""
        setup = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._end is None or abs(begin - self._end) > _SOUND_GAP or setup != self._setup:
            self.finish()
            # The layout is kept and the channels are averaged below: FFmpeg's own downmix to mono adds float stereo
            # channels with weight 0.707, which exceeds [-1, 1].
            self._resampler = AudioResampler(format="flt", layout=frame.layout, rate=self._rate)
            self._setup = setup
            self._pieces.append((begin, []))
        self._store(self._resampler.resample(frame))
        self._end = end
        self.done = self.seconds is not None and end > self.start + self.seconds + _SOUND_GAP

    def finish(self) -> None:
        """Takes what the resampler still holds."""
        if self._resampler is not None:
            self._store(self._resampler.resample(None))
        self._resampler = self._setup = None

    def waveform(self) -> np.ndarray:
        """The stretch at 16 kHz, zeros where there is no sound."""
        placed = self._placed()
        end = max((first + len(samples) for first, samples in placed), default=0)
        if 4 * end > MOST_BYTES:
            raise Unusable(f"its sound ends at {end / self._rate:.0f} s, too late to be read at once; read a part.")
        whole = np.zeros(max(end, 0) if self.seconds is None else round(self.seconds * self._rate), np.float32)
        for first, samples in placed:
            inside = samples[max(-first, 0) : max(len(whole) - first, 0)]
            whole[max(first, 0) : max(first, 0) + len(inside)] = inside
        if not np.isfinite(whole).all():
            raise Unusable("its sound holds NaN or infinite samples; write it again.")
        return np.clip(self._resampled(whole), -1.0, 1.0)  # lossy codecs overshoot

    def _resampled(self, whole: np.ndarray) -> np.ndarray:
        if self._rate == SAMPLE_RATE:
            return whole
        import librosa  # here, since it takes longer to import than most files take to decode

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
            (round((time - self.start) * self._rate), np.concatenate(chunks)) for time, chunks in self._pieces if chunks
        ]

    def _store(self, frames) -> None:
        # Packed: PyAV reads past the planes of 8 and more channels, and the process dies.
        for frame in filter(None, frames):
            channels = frame.to_ndarray().reshape(frame.samples, -1).T
            mono = channels[0] if len(channels) == 1 else np.ascontiguousarray(channels).mean(axis=0)
            self._pieces[-1][1].append(mono)


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
        turns, is_mirrored = orientation(frame)
        height, width = (None if self._transform else self._size) or (None, None)
        if turns % 2:
            height, width = width, height
        rgb = self._reformatter.reformat(frame, width, height, "rgb24", interpolation=Interpolation.BILINEAR)
        upright = np.rot90(rgb.to_ndarray(), turns)
        upright = upright[:, ::-1] if is_mirrored else upright
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
            return _seconds(frame.duration, frame.time_base)
        return float(1 / self.stream.average_rate) if self.stream.average_rate else 0.0


def orientation(frame) -> tuple[int, bool]:
    """How a stored frame is shown: quarter turns counter-clockwise, then whether left and right are exchanged.

    A display matrix maps (x, y) to (ax + cy, bx + dy); a mirrored one has a negative determinant, and is a turn once
    its x is negated.
    """
    stored = frame.side_data.get(Type.DISPLAYMATRIX)
    if stored is None:
        return 0, False
    a, b, _, c, d = np.frombuffer(bytes(stored), np.int32)[:5].tolist()
    is_mirrored = a * d - b * c < 0
    a = -a if is_mirrored else a
    return round(-math.degrees(math.atan2(b, a)) / 90) % 4, is_mirrored
