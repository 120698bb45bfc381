"""Small media files whose content is known: grey levels that tell a frame's number, tones and clicks."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

LEVEL_STEP = 7  # between the grey levels of two frames, far above the codecs' errors
FIRST_LEVEL = 20


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
    options: dict | None = None,
) -> Path:
    """Writes a file of any container and codec that PyAV has.

    Args:
      video: codec name; its frames are `grey_frames(len(times))`, frame i shown from second `times[i]` on.
      audio: codec name of `samples`, `(channels, count)` float32, which begin at second `audio_start`.
      b_frames: the most B-frames in a row: then the frames are not stored in the order in which they are shown.
    """
    with av.open(str(path), "w", options=options or {}) as container:
        pictures = container.add_stream(video, rate=25) if video else None
        sound = container.add_stream(audio, rate=rate, layout=layout) if audio else None
        if pictures:
            frames = grey_frames(len(times))
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
