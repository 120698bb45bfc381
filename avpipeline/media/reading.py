"""Media files: what they contain, mono sound at 16 kHz, frames by timestamp, clips written as .mp4.

Everything is decoded by PyAV, which bundles FFmpeg, in a process of its own (`processes`). Second 0 is the start of the
container, for both streams: sound or video that begins later is placed where it belongs. Frames are chosen by their
timestamps, never by index / frame rate, so that variable frame rates are handled correctly.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path, PurePath

import av
import numpy as np

from avpipeline.errors import InputError
from avpipeline.files import atomic_path, require_regular, write_failure
from avpipeline.media.processes import ask
from avpipeline.media.sinks import SAMPLE_RATE

SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".flv", ".wmv", ".3gp", ".ts")
    + (".wav", ".mp3", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".aac")
)
# The largest width of a small frame, as a multiple of its height.
_WIDEST = 8


@dataclasses.dataclass(frozen=True)
class MediaInfo:
    """What a media file contains; values of a missing stream are `None`.

    Attributes:
      seconds: length of the longest stream.
      frame_rate: average number of frames per second.
      width, height: pixels as shown: a phone that was held upright stores its video on its side.
      sample_rate, channels: of the sound as stored.
      sound_format: its codec and number type in FFmpeg's words, e.g. `"flac s16"`.
      comment: what the container's metadata say under that name, at most 200 characters.
    """

    path: Path
    seconds: float
    has_audio: bool
    has_video: bool
    frame_rate: float | None
    width: int | None
    height: int | None
    sample_rate: int | None
    channels: int | None
    sound_format: str | None
    comment: str | None = None

    @property
    def whole_seconds(self) -> int:
        """The length rounded to seconds, at least 1: as many segments are predicted."""
        return max(1, int(self.seconds + 0.5))

    def size_at(self, height: int) -> tuple[int, int]:
        """`(height, width)` of its frames when scaled to that height.

        They are at most 8 times as wide: a file of 2 x 16384 pixels must not make them gigabytes large.
        """
        return height, min(_WIDEST * height, max(1, round(height * self.width / self.height)))


@dataclasses.dataclass(frozen=True)
class Clip:
    """A stretch of a media file, both streams on one clock.

    Attributes:
      path: the file.
      seconds: length of the stretch.
      waveform: mono float32 in [-1, 1], `(seconds * 16000,)`; zeros where there is no sound.
      frames: RGB uint8, `(seconds * frame_rate, height, width, 3)`; zeros where there is no video.
      frame_rate: frames per second of `frames`.
      has_audio, has_video: whether the file has such a stream at all.
      audio_seconds, video_seconds: how much of `waveform` and `frames` comes from the file.
    """

    path: Path
    seconds: float
    waveform: np.ndarray
    frames: np.ndarray
    frame_rate: float
    has_audio: bool
    has_video: bool
    audio_seconds: float
    video_seconds: float


def probe(path) -> MediaInfo:
    """Describes what `path` contains; InputError if it is not a media file."""
    return MediaInfo(path=Path(path), **ask("probe", path)[0])


def read_waveform(path, *, start: float = 0.0, seconds: float | None = None) -> np.ndarray | None:
    """Sound of `path` as mono float32 in [-1, 1] at 16 kHz; None if it has no audio stream.

    Channels are averaged. With `seconds` the result has exactly `seconds * 16000` samples, zero-padded; without, it
    ends where the sound ends.
    """
    _, arrays = ask("read", path, start=start, seconds=seconds, sounds=[(start, seconds)], frames=None)
    return arrays[0] if arrays else None


def read_frames(
    path,
    *,
    frame_rate: float,
    size: tuple[int, int] | None,
    start: float = 0.0,
    seconds: float,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray | None:
    """Frames of `path`, `(seconds * frame_rate, height, width, 3)` RGB uint8; None if it has no video stream.

    Frame i is the one shown at second `start + (i + 0.5) / frame_rate`. The last frame is repeated for up to half a
    second after the end of the video (and the first one before a video that begins late); beyond that, frames are
    zeros.

    Args:
      size: (height, width) to resize to (bilinear); None keeps the video's own.
      transform: replaces that resizing: a function from an upright RGB frame of the video's own size to one of `size`.
    """
    frames = (frame_rate, size, transform is not None, False)
    _, arrays = ask("read", path, transform=transform, start=start, seconds=seconds, sounds=[], frames=frames)
    return arrays[0] if arrays else None


def read_clip(
    path,
    *,
    seconds: float = 10,
    frame_rate: float = 16,
    size: tuple[int, int] | None = (224, 224),
    start: float = 0.0,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
    by_second: bool = False,
    audio: bool = True,
    video: bool = True,
) -> Clip:
    """Decodes both streams of `path` in one pass; see `read_waveform` and `read_frames` for the rules and arguments.

    A missing stream gives zeros and a False flag. A stream that is not requested (`audio=False`, `video=False`) is not
    decoded and comes back empty, with 0 samples or frames. With `by_second` each second of sound is resampled alone.
    """
    format_ = {"frame_rate": frame_rate, "size": size, "transform": transform, "by_second": by_second}
    return read_adjoining(path, [(start, seconds)], audio=audio, video=video, **format_)[0]


def read_adjoining(
    path,
    stretches: Sequence[tuple[float, float]],
    *,
    frame_rate: float = 16,
    size: tuple[int, int] | None = (224, 224),
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
    by_second: bool = False,
    audio: bool = True,
    video: bool = True,
    threads: bool = False,
) -> list[Clip]:
    """The clips that `read_clip` returns for stretches of a file, from one pass over it; see `read_windows`.

    Args:
      stretches: start and seconds of each; each begins where the one before ends.
      threads: whether several threads decode a video of large frames.
    """
    first, length = stretches[0][0], sum(seconds for _, seconds in stretches)
    frames = (frame_rate, size, transform is not None, threads) if video else None
    sounds = list(stretches) if audio else []
    what = {"start": first, "seconds": length, "sounds": sounds, "frames": frames, "by_second": by_second}
    found, arrays = ask("read", path, transform=transform, **what)
    count = round(length * frame_rate) if video else 0
    seen = arrays.pop() if video and found["has_video"] else np.zeros((count, *(size or (0, 0)), 3), np.uint8)
    clips = []
    for index, (start, seconds) in enumerate(stretches):
        before = start - first
        clips.append(
            Clip(
                path=Path(path),
                seconds=seconds,
                waveform=arrays[index] if arrays else np.zeros(round(seconds * SAMPLE_RATE) if audio else 0, "f4"),
                frames=seen[round(before * frame_rate) : round((before + seconds) * frame_rate)],
                frame_rate=frame_rate,
                has_audio=found["has_audio"],
                has_video=found["has_video"],
                audio_seconds=found["audio_seconds"][index] if arrays else 0.0,
                video_seconds=min(max(found["video_seconds"] - before, 0.0), float(seconds)),
            )
        )
    return clips


def list_media(source) -> list[Path]:
    """The media files that `source` names, which is one of

    - a folder: the files in it and below it with the extension of a media file, sorted, without hidden ones,
    - a list, `.txt`: one path a line, relative to the list; the files are not checked here,
    - one media file.

    Raises InputError if `source` does not exist or names no file.
    """
    source = Path(source)
    if source.is_dir():
        found = sorted(path for path in source.rglob("*") if is_media(path.relative_to(source)) and path.is_file())
        if not found:
            raise InputError(f"{source}: holds no media file ({' '.join(sorted(SUFFIXES))}); name another folder.")
        return found
    if not source.exists():
        raise InputError(f"{source}: there is no such file or folder; check the path.")
    require_regular(source)
    if source.suffix.lower() != ".txt":
        return [source]
    return [source.parent / line for line in listed_lines(source)]


def listed_lines(path: Path) -> list[str]:
    """The lines of a list of files; InputError where it has none or cannot be read."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a list of files, one path a line ({error}).") from error
    if not lines:
        raise InputError(f"{path}: lists no file; write one path a line.")
    return lines


def by_id(paths: Iterable[Path]) -> dict[str, Path]:
    """Id (a file's name without extension) -> file; InputError if two files would get the same id."""
    files: dict[str, Path] = {}
    for path in paths:
        other = files.setdefault(path.stem, path)
        if other is not path:
            raise InputError(
                f"{path}: would have the same id '{path.stem}' as {other}; rename one, or keep each in a folder of "
                "its own and name that."
            )
    return files


def write_clip(
    path,
    frames: np.ndarray | Iterable[np.ndarray],
    waveform: np.ndarray | None,
    *,
    frame_rate,
    sample_rate=SAMPLE_RATE,
    comment: str | None = None,
) -> None:
    """Writes an .mp4 (H.264 yuv420p, AAC) that lasts as long as its frames, `count / frame_rate` seconds.

    The file appears at `path` only once it is complete. Its content does not depend on the number of cores.

    Args:
      frames: `(count, height, width, 3)` RGB uint8, or an iterable of such arrays of one size, written one by one (a
        long video need not fit into memory); an odd height or width is padded by repeating the last row or column,
        since H.264 needs even ones.
      waveform: mono float in [-1, 1], cut or zero-padded to the length of the frames; None for no sound.
      comment: kept in the container's metadata.
    """
    pieces = (_even_sized(path, piece) for piece in ([frames] if isinstance(frames, np.ndarray) else frames))
    first = next(pieces, None)
    if first is None:
        raise InputError(f"{path}: there are no frames to write; give at least one.")
    rates = av.Codec("aac", "w").audio_rates
    if waveform is not None and sample_rate not in rates:
        raise InputError(f"{path}: AAC has no sample rate {sample_rate}; take one of {sorted(rates)}.")
    with atomic_path(path) as temporary:
        try:
            with av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container:
                container.metadata.update({"comment": comment} if comment else {})
                _encode(container, first, pieces, waveform, frame_rate, sample_rate)
        except av.FFmpegError as error:
            raise write_failure(path, OSError(error.errno, error.strerror)) from error


def _even_sized(path, frames: np.ndarray) -> np.ndarray:
    """The frames with even height and width; InputError unless they are RGB images."""
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise InputError(
            f"{path}: frames must be a uint8 array (count, height, width, 3), not {frames.dtype} {frames.shape}."
        )
    odd_height, odd_width = frames.shape[1] % 2, frames.shape[2] % 2
    if odd_height or odd_width:
        frames = np.pad(frames, ((0, 0), (0, odd_height), (0, odd_width), (0, 0)), mode="edge")
    return frames


def is_media(path: PurePath) -> bool:
    """Whether a path below a folder is one of a media file that is not hidden."""
    return path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in path.parts)


def fitted(waveform, samples: int) -> np.ndarray:
    """The waveform cut or zero padded to `samples`, clipped to what can be stored."""
    fitted = np.zeros(samples, np.float32)
    waveform = np.asarray(waveform, np.float32).reshape(-1)[:samples]
    fitted[: len(waveform)] = np.clip(waveform, -1.0, 1.0)
    return fitted


def _encode(container, first: np.ndarray, others: Iterator[np.ndarray], waveform, frame_rate, sample_rate: int) -> None:
    rate = Fraction(frame_rate).limit_denominator(100_000)
    video = container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "18"})
    video.height, video.width = first.shape[1:3]
    video.pix_fmt = "yuv420p"
    video.codec_context.thread_count = 1  # x264's output depends on the number of threads
    audio = None if waveform is None else container.add_stream("aac", rate=sample_rate, layout="mono")
    count = 0
    for image in itertools.chain(first, itertools.chain.from_iterable(others)):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts, frame.time_base = count, 1 / rate
        container.mux(video.encode(frame))
        count += 1
    container.mux(video.encode(None))
    if audio is None:
        return
    samples = fitted(waveform, round(count / frame_rate * sample_rate))
    sound = av.AudioFrame.from_ndarray(samples[np.newaxis], format="fltp", layout="mono")
    sound.sample_rate, sound.pts, sound.time_base = sample_rate, 0, Fraction(1, sample_rate)
    container.mux(audio.encode(sound))
    container.mux(audio.encode(None))
