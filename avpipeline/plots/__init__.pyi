"""Pictures: timelines, attention over frames, training curves, confusion matrices, overlays on videos."""

from .predictions import (
    BACKGROUND,
    AttentionRow,
    attention_figure,
    attention_frames,
    class_colour,
    draw_waveform,
    found_window,
    stretches,
    timeline,
)

__all__ = [
    "BACKGROUND", "AttentionRow", "attention_figure", "attention_frames", "class_colour", "draw_waveform",
    "found_window", "stretches", "timeline"
]  # fmt: skip
