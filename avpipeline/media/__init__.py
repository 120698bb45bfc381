"""Media files: what they contain, mono sound at 16 kHz, frames by timestamp, clips written as .mp4."""

from avpipeline.media.reading import (
    Clip,
    MediaInfo,
    by_id,
    list_media,
    probe,
    read_clip,
    read_frames,
    read_waveform,
    write_clip,
)
from avpipeline.media.sinks import SAMPLE_RATE
from avpipeline.media.windows import read_windows

__all__ = [
    "SAMPLE_RATE",
    "Clip",
    "MediaInfo",
    "by_id",
    "list_media",
    "probe",
    "read_clip",
    "read_frames",
    "read_waveform",
    "read_windows",
    "write_clip",
]
