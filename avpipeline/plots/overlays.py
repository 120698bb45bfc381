"""Attention maps and captions overlaid on frames, and a clip with sound that shows them."""

from collections.abc import Iterator, Sequence

import matplotlib
import matplotlib.font_manager
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from avpipeline import media

ATTENTION_COLOURS = matplotlib.colormaps["turbo"]

# Ships with matplotlib, so every machine has it.
_FONT = matplotlib.font_manager.findfont("DejaVu Sans")
_WIDTH = 640
_RATE = 60.0
_PIECE = 5  # seconds in memory at a time


def attention_limits(attention: np.ndarray) -> tuple[float, float]:
    """Smallest and largest weight of a clip's maps: the range of its colour scale."""
    return float(attention.min()), float(attention.max())


def in_own_range(attention: np.ndarray) -> np.ndarray:
    """Maps `(maps, rows, columns)`, each scaled to 0..1 by its own smallest and largest weight; an even map to 0."""
    low, high = (limit(attention, axis=(1, 2), keepdims=True) for limit in (np.min, np.max))
    return (attention - low) / np.maximum(high - low, 1e-12)


def overlay_attention(frame: np.ndarray, attention: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """A frame overlaid with one attention map, from blue (low) to red (high).

    The map is upsampled bicubically, with each weight at the centre of its region.

    Args:
      frame: uint8 `(height, width, 3)`.
      attention: `(rows, columns)`.
      limits: the weights drawn blue and red.

    Returns:
      uint8 `(height, width, 3)`.
    """
    low, high = limits
    scaled = (attention.astype(np.float32) - low) / max(high - low, 1e-12)
    height, width = frame.shape[:2]
    large = np.asarray(Image.fromarray(scaled).resize((width, height), Image.Resampling.BICUBIC)).clip(0, 1)
    colours = ATTENTION_COLOURS(large)[..., :3] * 255
    # A paler frame below keeps the colour scale readable; where attention is low, the frame shows through.
    base = 0.4 * frame + 0.6 * frame.mean(-1, keepdims=True)
    alpha = 0.6 * np.sqrt(large)[..., None]
    return ((1 - alpha) * base + alpha * colours).round().astype(np.uint8)


def caption(frame: np.ndarray, text: str, *, top: bool = False) -> np.ndarray:
    """A copy of a uint8 frame `(height, width, 3)` with a line of text in its lower (or upper) left corner."""
    image = Image.fromarray(frame)
    height, width = frame.shape[:2]
    font = ImageFont.truetype(_FONT, max(8, height // 18))
    if font.getlength(text) > 0.9 * width:
        font = font.font_variant(size=max(6, int(font.size * 0.9 * width / font.getlength(text))))
    margin = font.size // 3
    _, above, right, bottom = font.getbbox(text, anchor="ls")
    corner = (2 * margin, 2 * margin - above if top else height - 2 * margin - bottom)
    box = (margin, corner[1] + above - margin, corner[0] + right + margin, corner[1] + bottom + margin)
    draw = ImageDraw.Draw(image)
    draw.rectangle(box, fill=(20, 20, 20))
    draw.text(corner, text, font=font, fill=(255, 255, 255), anchor="ls")
    return np.asarray(image)


def write_overlay(
    path,
    about: media.MediaInfo,
    attention: np.ndarray,
    labels: Sequence[str],
    *,
    maps_a_second: float = 1.0,
    warning: str | None = None,
) -> None:
    """The clip with its sound, frame rate and size (at most 640 pixels wide), overlaid with maps and labels.

    Args:
      path: the .mp4 to write.
      about: the clip.
      attention: `(maps, rows, columns)`, from the beginning of the clip.
      labels: one for each map.
      maps_a_second: how many maps there are for each second.
      warning: a line above every frame's content.
    """
    rate = min(about.frame_rate or 25.0, _RATE)
    waveform = media.read_waveform(about.path, seconds=about.seconds)
    frames = _overlaid_frames(about, attention, labels, rate, maps_a_second)
    if warning:
        # What to do instead is in the text: the whole sentence would be too small to read.
        said = warning.partition(";")[0]
        frames = (np.stack([caption(frame, said, top=True) for frame in piece]) for piece in frames)
    media.write_clip(path, frames, waveform, frame_rate=rate)


def _overlaid_frames(
    about: media.MediaInfo, attention: np.ndarray, labels: Sequence[str], rate: float, maps_a_second: float
) -> Iterator[np.ndarray]:
    """The overlaid frames, a few seconds at a time, so that memory does not grow with the video."""
    scale = min(1.0, _WIDTH / about.width)
    # H.264 needs even sizes.
    size = tuple(max(2, 2 * round(scale * side / 2)) for side in (about.height, about.width))
    limits = attention_limits(attention)
    total, piece = max(1, round(about.seconds * rate)), max(1, int(_PIECE * rate))
    for first in range(0, total, piece):
        count = min(piece, total - first)
        frames = media.read_frames(about.path, frame_rate=rate, size=size, start=first / rate, seconds=count / rate)
        for index, frame in enumerate(frames):
            # The last map stays to the end: a file of 10.3 s has 10 predicted seconds.
            step = min(int(maps_a_second * (first + index + 0.5) / rate), len(attention) - 1)
            frames[index] = caption(overlay_attention(frame, attention[step], limits), labels[step])
        yield frames
