"""What all pictures have in common: size, text, colours, and how a file is written.

Matplotlib's figures are made without pyplot, so nothing here opens a window, keeps state between calls or depends on
a notebook's backend.
"""

import contextlib
import io
from collections.abc import Iterator

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from avpipeline.files import atomic_path

DPI = 150
_MARGIN = round(0.15 * DPI)  # pixels of white around a picture
# 28 distinguishable colours, as many as AVE has events; no greys, which mean background.
PALETTE = [
    *(matplotlib.colormaps["tab20"](index) for index in (*range(0, 14, 2), 16, 18, *range(1, 15, 2), 17, 19)),
    *(matplotlib.colormaps["tab20b"](index) for index in range(0, 20, 2)),
]
INK = "#333333"
TEXT = {"font.family": "DejaVu Sans", "font.size": 10, "text.color": INK, "axes.labelcolor": INK}


def new_figure(width: float, height: float) -> Figure:
    """An empty matplotlib figure of `width` x `height` inches, laid out so that its parts do not overlap."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@contextlib.contextmanager
def picture(path, width: float, height: float, title: str | None = None, *, text=TEXT) -> Iterator[Figure]:
    """A `new_figure` to draw in, with a title above; the end of the block writes it to the .png `path`.

    Args:
      text: matplotlib's settings.
    """
    with matplotlib.rc_context(text):
        figure = new_figure(width, height)
        if title is not None:
            figure.suptitle(title, fontsize=13, fontweight="bold")
        yield figure
        save_figure(figure, path)


def save_figure(figure: Figure, path) -> None:
    """Writes `figure` as the .png `path`, whole or not at all, cut to what is drawn in it.

    Matplotlib's own `bbox_inches="tight"` lays a figure out three times, which takes longer than all else.
    """
    figure.canvas.draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    with atomic_path(path) as temporary:
        Image.fromarray(_cut(drawn)).save(temporary, format="png", dpi=(DPI, DPI))


def _cut(picture: np.ndarray) -> np.ndarray:
    """The part of a picture `(height, width, 3)` that is not white, with a margin."""
    inked = (picture < 255).any(-1)
    spans = [np.flatnonzero(inked.any(axis)) for axis in (1, 0)]
    inside = tuple(slice(span[0], span[-1] + 1) if span.size else slice(None) for span in spans)
    return np.pad(picture[inside], ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0)), constant_values=255)


def words(name: str) -> str:
    """A name as it appears in a picture."""
    return name.replace("_", " ")


def as_jpeg(path, width: int = 900) -> bytes:
    """A picture file reduced for storing in a notebook: JPEG, at most `width` pixels wide."""
    with Image.open(path) as picture:
        small = picture.convert("RGB")
    small.thumbnail((width, 4 * width))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
