"""The chunks of a .wav file: where its samples are, whatever else the file holds.

A writer that cannot go back (a pipe, a recorder that was switched off) leaves 0 or the largest number as the size of
the data; RF64 keeps sizes beyond 4 GB in a chunk of its own.
"""

import dataclasses
import struct
from pathlib import Path

from avpipeline.files import Unusable, open_regular

# What stands for a size that was never written: SoX leaves a little less than 2 GB, FFmpeg and others all ones.
_UNKNOWN_FROM = 0x7FFF0000
_MOST_CHUNKS = 1000
_MOST_FORMAT = 1 << 12


@dataclasses.dataclass(frozen=True)
class Wav:
    """A .wav file.

    Attributes:
      path: the file.
      format: its "fmt " chunk.
      start, size: the first byte of its samples, and how many bytes there are.
      missing: bytes that it states and does not have.
    """

    path: Path
    format: bytes
    start: int
    size: int
    missing: int

    def plain(self) -> bytes:
        """The same sound as the simplest .wav: a format, and the samples."""
        with open(self.path, "rb") as file:
            file.seek(self.start)
            samples = file.read(self.size)
        body = b"WAVEfmt " + struct.pack("<I", len(self.format)) + self.format
        body += b"data" + struct.pack("<I", len(samples)) + samples
        return b"RIFF" + struct.pack("<I", len(body)) + body


def read_wav(path) -> Wav:
    """Finds format and samples; Unusable where there are none."""
    with open_regular(path) as file:
        end = file.seek(0, 2)
        file.seek(0)
        kind, _, form = struct.unpack("<4sI4s", file.read(12).ljust(12))
        if kind not in (b"RIFF", b"RF64") or form != b"WAVE":
            raise Unusable("is no .wav file (RIFF or RF64).")
        found, large = b"", None
        for _ in range(_MOST_CHUNKS):
            name, size = struct.unpack("<4sI", file.read(8).ljust(8, b"\0"))
            start = file.tell()
            if name == b"ds64":
                large = struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))[1]
            elif name == b"fmt ":
                found = file.read(min(size, _MOST_FORMAT))
            elif name == b"data" and found:
                stated = large if kind == b"RF64" and size == 0xFFFFFFFF else size
                is_unknown = not stated or _UNKNOWN_FROM <= stated < 1 << 32 and start + stated > end
                there = end - start if is_unknown else min(stated, end - start)
                return Wav(Path(path), found, start, there, 0 if is_unknown else stated - there)
            # Chunks begin at even places.
            file.seek(start + size + size % 2)
        raise Unusable("is a .wav file without a format or samples; copy it again.")
