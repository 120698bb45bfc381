"""Small media files whose content is known: grey levels that tell a frame's number, tones and clicks."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile

SIZE = (48, 64)  # height and width of the frames unless said otherwise
LEVEL_STEP = 7  # between the grey levels of two frames, far above the codecs' errors
FIRST_LEVEL = 20

# name, codec, sample rate, error of a tone's amplitude, error of a moment in seconds. LAME lowers the sound by 5 %;
# .avi and .ts cannot say that an encoder's first 25 ms are not part of the sound.
_PCM = {"pcm_s16le": (44100, 1e-3), "pcm_s24le": (48000, 1e-3), "pcm_f32le": (22050, 1e-3), "pcm_u8": (8000, 1e-2)}
FORMATS = [
    *(("a.wav", codec, rate, error, 0.002) for codec, (rate, error) in _PCM.items()),
    ("a.flac", "flac", 44100, 1e-3, 0.002),
    ("a.mp3", "libmp3lame", 44100, 4e-2, 0.004),
    ("a.m4a", "aac", 16000, 2e-2, 0.004),
    ("a.ogg", "libopus", 48000, 2e-2, 0.004),
    ("a.ogg", "vorbis", 44100, 2e-2, 0.004),
    ("a.mkv", "libopus", 48000, 2e-2, 0.004),
    ("a.avi", "libmp3lame", 44100, 4e-2, 0.03),
    ("a.ts", "aac", 44100, 2e-2, 0.03),
]


def level(index) -> np.ndarray:
    """Grey level of frame `index`, as `grey_frames` paints it."""
    return FIRST_LEVEL + LEVEL_STEP * np.asarray(index)


def grey_frames(count: int, height: int = 48, width: int = 64) -> np.ndarray:
    """`(count, height, width, 3)` uint8, frame i uniformly at `level(i)`."""
    return np.broadcast_to(level(np.arange(count)).astype(np.uint8)[:, None, None, None], (count, height, width, 3))


def shown_index(frames: np.ndarray) -> list[int]:
    """The number that each of the decoded `grey_frames` carries."""
    return np.rint((frames.mean(axis=(1, 2, 3)) - FIRST_LEVEL) / LEVEL_STEP).astype(int).tolist()


def tone(seconds: float, rate: int, *, frequency: float = 440.0, gain: float = 0.5) -> np.ndarray:
    """`(1, seconds * rate)` float32."""
    return (gain * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)[None]


def bursts(times, seconds: float, rate: int) -> np.ndarray:
    """Silence with a loud 50 ms tone at each of `times`; `(1, seconds * rate)` float32."""
    sound = np.zeros((1, round(seconds * rate)), np.float32)
    for time in times:
        first = round(time * rate)
        sound[:, first : first + rate // 20] = tone(0.05, rate, frequency=1000.0, gain=0.8)
    return sound


def burst_times(waveform: np.ndarray, rate: int = 16000) -> list[float]:
    """Seconds at which silence ends."""
    loud = np.flatnonzero(np.abs(waveform) > 0.25)
    return (loud[np.diff(loud, prepend=-rate) > rate // 10] / rate).tolist()


def write_media(
    path: Path,
    *,
    video: str | None = None,
    times=(),
    audio: str | None = None,
    samples: np.ndarray | None = None,
    rate: int = 16000,
    layout: str = "mono",
    audio_start: float = 0.0,
    b_frames: int = 0,
    size: tuple[int, int] = SIZE,
    options: dict | None = None,
) -> Path:
    """Writes a file of any container and codec that PyAV has.

    Args:
      video: codec name; its frames are `grey_frames(len(times), *size)`, frame i shown from second `times[i]` on.
      audio: codec name of `samples`, `(channels, count)` float32, which begin at second `audio_start`.
      b_frames: the most B-frames in a row: then the frames are not stored in the order in which they are shown.
    """
    with av.open(str(path), "w", options=options or {}) as container:
        pictures = container.add_stream(video, rate=25) if video else None
        sound = container.add_stream(audio, rate=rate, layout=layout) if audio else None
        if pictures:
            frames = grey_frames(len(times), *size)
            pictures.height, pictures.width, pictures.pix_fmt = *frames.shape[1:3], "yuv420p"
            pictures.bit_rate, pictures.codec_context.max_b_frames = 2_000_000, b_frames
            pictures.codec_context.time_base = Fraction(1, 1000 if len(set(np.diff(times).round(6))) > 1 else 25)
        packets = []
        if pictures:
            for image, time in zip(frames, times, strict=True):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
                frame.time_base = pictures.codec_context.time_base
                frame.pts = round(time / frame.time_base)
                packets += pictures.encode(frame)
            packets += pictures.encode(None)
        if sound:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
            frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), round(audio_start * rate)
            packets += sound.encode(frame)
            packets += sound.encode(None)
        # In the order of time, as recorders write them, so that a file cut off loses the end of both streams.
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def write_sound(path, codec, samples, rate):
    if codec == "vorbis":  # FFmpeg's own encoder for it is experimental
        soundfile.write(path, samples.T, rate, format="OGG", subtype="VORBIS")
        return path
    return write_media(path, audio=codec, samples=samples, rate=rate)


def constant(count: int, rate: float = 25) -> np.ndarray:
    """Seconds at which the frames of a constant rate begin."""
    return np.arange(count) / rate


def expected_index(times, *, rate, seconds, start=0.0):
    """The definition: the last frame that began at or before the middle of each wanted interval."""
    wanted = start + (np.arange(round(seconds * rate)) + 0.5) / rate
    return (np.searchsorted(np.asarray(times), wanted + 1e-6, side="right") - 1).tolist()


def one_sentence(error, path) -> str:
    """The message of a caught error, which must name the path and be one sentence."""
    message = str(error.value)
    assert str(path) in message and "\n" not in message and message.endswith(".")
    return message
