""".wav files byte by byte, as writers of all kinds leave them."""

import struct
from pathlib import Path

import numpy as np

UNKNOWN = 0xFFFFFFFF
LARGE = b"ds64" + struct.pack("<IQQQI", 28, 0, 32000, 16000, 0)


def sine(samples: int = 16000, channels: int = 1) -> np.ndarray:
    """`(samples, channels)` int16, a quiet 440 Hz tone at 16 kHz in every channel."""
    tone = 8000 * np.sin(2 * np.pi * 440 * np.arange(samples) / 16000)
    return np.repeat(tone.astype("<i2")[:, None], channels, axis=1)


def write_wav(
    path: Path,
    samples: np.ndarray,
    *,
    rate: int = 16000,
    kind: bytes = b"RIFF",
    before: bytes = b"",
    riff_size: int | None = None,
    data_size: int | None = None,
    after: bytes = b"",
) -> Path:
    """Writes `(samples, channels)` int16 or float32.

    Args:
      rate: what the header states, whatever was meant.
      before, after: further chunks before the format and after the data.
      riff_size, data_size: what the header states; None for the truth.
    """
    channels, width = samples.shape[1], samples.dtype.itemsize
    form = struct.pack("<HHI", 3 if samples.dtype.kind == "f" else 1, channels, rate)
    form += struct.pack("<IHH", rate * channels * width & UNKNOWN, channels * width, 8 * width)
    data = samples.tobytes()
    content = b"WAVE" + before + b"fmt " + struct.pack("<I", len(form)) + form
    content += b"data" + struct.pack("<I", len(data) if data_size is None else data_size) + data + after
    path.write_bytes(kind + struct.pack("<I", len(content) if riff_size is None else riff_size) + content)
    return path


# Ways in which the same second of sound is written.
VARIANTS = {
    "plain": {},
    "JUNK before the format": {"before": b"JUNK\4\0\0\0odd!"},
    "bext of odd length": {"before": b"bext\3\0\0\0odd\0"},
    "size 0": {"data_size": 0, "riff_size": 0},
    "size 0 in a RIFF of 36": {"data_size": 0, "riff_size": 36},
    "all ones": {"data_size": UNKNOWN, "riff_size": UNKNOWN},
    "all ones in a true RIFF": {"data_size": UNKNOWN},
    "as SoX streams": {"data_size": 0x7FFFF000, "riff_size": 0x7FFFF024},
    "RF64": {"kind": b"RF64", "riff_size": UNKNOWN, "data_size": UNKNOWN, "before": LARGE},
    "a list after the data": {"after": b"LIST\4\0\0\0INFO"},
}
