"""Pictures: timelines, attention over frames, training curves, confusion matrices, overlays on videos."""

from .predictions import (
    BACKGROUND as BACKGROUND,
)
from .predictions import (
    AttentionRow as AttentionRow,
)
from .predictions import (
    attention_figure as attention_figure,
)
from .predictions import (
    attention_frames as attention_frames,
)
from .predictions import (
    class_colour as class_colour,
)
from .predictions import (
    draw_waveform as draw_waveform,
)
from .predictions import (
    found_window as found_window,
)
from .predictions import (
    stretches as stretches,
)
from .predictions import (
    timeline as timeline,
)
