"""Pictures: timelines, attention over frames, training curves, confusion matrices, overlays on videos."""

from .predictions import (
    BACKGROUND as BACKGROUND,
    AttentionRow as AttentionRow,
    attention_figure as attention_figure,
    attention_frames as attention_frames,
    class_colour as class_colour,
    draw_waveform as draw_waveform,
    found_window as found_window,
    stretches as stretches,
    timeline as timeline,
)
