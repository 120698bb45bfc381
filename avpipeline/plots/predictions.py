"""Pictures of predictions: timelines and attention over frames. Each function writes one .png, `path`."""

import contextlib
import dataclasses
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from avpipeline.media import SAMPLE_RATE
from avpipeline.plots.overlays import ATTENTION_COLOURS, attention_limits, overlay_attention
from avpipeline.plots.style import INK, PALETTE, picture, words

BACKGROUND = "background"

_BACKGROUND_COLOUR = "#e4e4e4"
_FRAMES_A_ROW = 5
_FRAMES_A_STRIP = 20
_STRIP_WIDTH = 8.1  # inches of a timeline between its row names and its colour bar
_SPANS = {"asked": "#1f77b4", "found": "#e07b00"}


def class_colour(name: str, class_names: Sequence[str]) -> tuple | str:
    """The colour of a class, the same in all pictures of a dataset; background is light grey."""
    if name == BACKGROUND:
        return _BACKGROUND_COLOUR
    return PALETTE[list(class_names).index(name) % len(PALETTE)]


def stretches(labels: Sequence) -> list[tuple[int, int, object]]:
    """Runs of equal labels: `(first segment, one past the last, label)`."""
    starts = [index for index in range(len(labels)) if index == 0 or labels[index] != labels[index - 1]]
    return [(start, end, labels[start]) for start, end in pairwise([*starts, len(labels)])]


def timeline(
    path,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    *,
    truth: Sequence[int] | None = None,
    waveform: np.ndarray | None = None,
    sample_rate: int = 16_000,
    frames: np.ndarray | None = None,
    attention: np.ndarray | None = None,
    title: str = "",
    shown_classes: int = 6,
) -> None:
    """Predicted class over time as coloured stretches, with the waveform above and the probabilities below.

    With `frames` and `attention` it has the layout of the joint co-attention paper's Figure 3: waveform, frames, frames
    with attention, labels.

    Args:
      probabilities: `(seconds, classes)`; one segment a second, the most probable class is the prediction.
      class_names: in the order of the probabilities.
      truth: class index of each second, drawn above the prediction.
      waveform: `(samples,)` in [-1, 1].
      frames: uint8 `(frames, height, width, 3)`, evenly spaced in time, in a row below the waveform.
      attention: `(frames, rows, columns)` weights, overlaid on the frames in a second row.
      shown_classes: rows of the heat map, the classes with the highest probability anywhere in the clip.
    """
    bands = {"truth": truth, "predicted": probabilities.argmax(1)}
    bands = {name: [class_names[index] for index in own] for name, own in bands.items() if own is not None}
    rows = _shown_rows(probabilities, shown_classes)
    strips = {} if frames is None else {"frames": frames}
    if frames is not None and attention is not None:
        strips["attention"] = _overlaid(frames, attention)
    heights = [1.1] * (waveform is not None) + [_strip_height(strip) for strip in strips.values()]
    heights += [0.75] * len(bands) + [0.26 * len(rows) + 0.1]

    with over_time(path, heights, len(probabilities), title) as (figure, axes):
        below = iter(axes)
        if waveform is not None:
            draw_waveform(next(below), waveform, sample_rate)
        for strip, images in strips.items():
            _draw_strip(next(below), strip, images, len(probabilities))
        names = []
        for band, labels in bands.items():
            names += _draw_band(next(below), band, labels, class_names)
        image = _draw_probabilities(axes[-1], probabilities[:, rows], [class_names[row] for row in rows])
        figure.colorbar(image, ax=axes[-1], label="probability", ticks=[0, 0.5, 1], pad=0.01, aspect=10)
        _legend_of_what_does_not_fit(figure, names, class_names)


def described_timeline(
    path,
    seconds: int,
    scores: Mapping[str, tuple[np.ndarray, Sequence[str]]],
    *,
    waveform: np.ndarray | None,
    frames: np.ndarray | None,
    title: str,
) -> None:
    """What is heard and seen: waveform, frames, and a map of scores over time for each of "heard", "seen", ...

    Args:
      seconds: number of seconds shown.
      scores: name -> scores `(seconds, classes)` and the names of these classes, most important first.
      waveform: `(samples,)` in [-1, 1] at 16 kHz; None where there is no sound.
      frames: uint8 `(frames, height, width, 3)`, evenly spaced in time; None where there are none.
    """
    heights = [1.0] * (waveform is not None) + ([] if frames is None else [_strip_height(frames)])
    heights += [0.26 * len(names) + 0.15 for _, names in scores.values()]
    with over_time(path, heights, seconds, title) as (figure, axes):
        below = iter(axes)
        if waveform is not None:
            draw_waveform(next(below), waveform, SAMPLE_RATE)
        if frames is not None:
            _draw_strip(next(below), "frames", frames, seconds)
        for axis, (name, (values, names)) in zip(below, scores.items(), strict=True):
            image = _draw_probabilities(axis, values, names)
            axis.set_title(name, fontsize=10, loc="left", fontweight="bold")
        figure.colorbar(image, ax=list(axes[-len(scores) :]), label="score", ticks=[0, 0.5, 1], pad=0.01, aspect=20)


@contextlib.contextmanager
def over_time(
    path, heights: Sequence[float], seconds: int, title: str, start: int = 0
) -> Iterator[tuple[Figure, np.ndarray]]:
    """A `picture` of plots one below the other, each `heights[i]` inches high; also yields their axes."""
    with picture(path, 11, sum(heights) + 1.5, title) as figure:
        axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
        axes[-1].set(xlim=(start, start + seconds), xlabel="time in seconds")
        axes[-1].xaxis.set_major_locator(MaxNLocator(20, integer=True))
        yield figure, axes


def attention_frames(
    path,
    frames: np.ndarray,
    attention: np.ndarray,
    labels: Sequence[str],
    *,
    class_names: Sequence[str],
    start: int = 0,
    scale_label: str | None = None,
    title: str = "",
) -> None:
    """A grid: each second's frame, below it the same frame overlaid with the attention, and the prediction.

    One colour scale serves the whole clip, so that seconds can be compared; the colour bar gives the weights.

    Args:
      frames: uint8 `(seconds, height, width, 3)`, one frame a second.
      attention: `(seconds, rows, columns)` weights; each map sums to 1.
      labels: the predicted class of each second.
      class_names: in the order of the model's outputs, for the colours.
      start: second of the first frame.
      scale_label: what the colours mean if `attention` holds anything but weights.
    """
    limits = attention_limits(attention)
    columns = min(len(frames), _FRAMES_A_ROW)
    rows = -(-len(frames) // columns)
    high = 2.2 * frames.shape[1] / frames.shape[2]
    with picture(path, 2.3 * columns + 1.2, rows * (2 * high + 0.9) + 0.5, title) as figure:
        figure.get_layout_engine().set(h_pad=0.12)
        axes = _grid(figure, rows, columns)
        for second, axis in enumerate(axes.flat[: len(frames)]):
            overlaid = overlay_attention(frames[second], attention[second], limits)
            gap = np.full((max(1, frames.shape[1] // 40), frames.shape[2], 3), 255, np.uint8)
            axis.imshow(np.concatenate([frames[second], gap, overlaid]))
            axis.set_title(f"{start + second}-{start + second + 1} s", fontsize=10)
            _label_below(axis, labels[second], class_names)
        scale = ScalarMappable(Normalize(*limits), ATTENTION_COLOURS)
        bar = figure.colorbar(scale, ax=axes, aspect=30, pad=0.01, shrink=0.8)
        bar.set_label(scale_label or f"attention weight (even: {1 / attention[0].size:.3f})")


@dataclasses.dataclass(frozen=True)
class AttentionRow:
    """Some seconds of one video in `attention_figure`.

    Attributes:
      name: of the video.
      frames: uint8 `(seconds, height, width, 3)`.
      attention: `(seconds, rows, columns)` weights.
      labels: the predicted class of each second.
    """

    name: str
    frames: np.ndarray
    attention: np.ndarray
    labels: Sequence[str]


def attention_figure(path, rows: Sequence[AttentionRow], *, class_names: Sequence[str], title: str = "") -> None:
    """Several videos in one picture, a row each: frames overlaid with the attention (AVE's Figure 5).

    Each video has a colour scale of its own, over the seconds shown.
    """
    columns = max(len(row.frames) for row in rows)
    high = max(2.3 * row.frames.shape[1] / row.frames.shape[2] for row in rows)
    with picture(path, 2.4 * columns, len(rows) * (high + 0.75) + 0.5, title) as figure:
        axes = _grid(figure, len(rows), columns)
        for row, line in zip(rows, axes, strict=True):
            overlaid = _overlaid(row.frames, row.attention)
            for axis, image, label in zip(line, overlaid, row.labels, strict=False):
                axis.imshow(image)
                _label_below(axis, label, class_names)
            line[0].set_title(row.name, fontsize=10, loc="left")


def found_window(
    path,
    *,
    asked: np.ndarray,
    query: tuple[int, int],
    searched: np.ndarray,
    costs: np.ndarray,
    title: str = "",
) -> None:
    """A query and where it was found: both streams over time, and below them the distance at each position.

    Args:
      asked, searched: each either a waveform `(samples,)` in [-1, 1] or frames `(seconds, height, width, 3)` uint8,
        one a second.
      query: the query in `asked`, from its first second up to, not including, its last.
      costs: `(positions,)`, one for each second from 0; the query was found where it is smallest.
    """
    length, best = query[1] - query[0], int(costs.argmin())
    with picture(path, 11, 5.4, title) as figure:
        axes = figure.subplots(3, 1, height_ratios=(1.2, 1.2, 1))
        streams = ((axes[0], "asked", asked, query), (axes[1], "found", searched, (best, best + length)))
        for axis, name, stream, span in streams:
            seconds = _draw_stream(axis, stream)
            axis.set_ylabel(name, rotation=0, ha="right", va="center", fontweight="bold")
            axis.set(xlim=(0, seconds), yticks=[])
            axis.axvspan(*span, fill=False, ec=_SPANS[name], linewidth=4, zorder=3)
            axis.xaxis.set_major_locator(MaxNLocator(20, integer=True))
        colours = [_SPANS["found"] if place == best else "#b8c0cc" for place in range(len(costs))]
        axes[2].bar(np.arange(len(costs)) + length / 2, costs, width=0.8, color=colours)
        axes[2].sharex(axes[1])
        axes[2].set(xlabel=f"time in seconds (each bar: the middle of a window of {length} s)", ylabel="distance")
        axes[2].spines[["top", "right"]].set_visible(False)


def draw_waveform(axis, waveform: np.ndarray, sample_rate: int, start: float = 0.0) -> None:
    """Draws the envelope from second `start`: lowest and highest sample of each of about 2000 blocks."""
    length = max(1, len(waveform) // 2000)
    blocks = waveform[: len(waveform) // length * length].reshape(-1, length)
    seconds = start + np.arange(len(blocks)) * length / sample_rate
    axis.fill_between(seconds, blocks.min(1), blocks.max(1), color="#4c566a", linewidth=0.3)
    highest = max(0.05, float(np.abs(waveform).max(initial=0)) * 1.05)
    axis.set(ylim=(-highest, highest), yticks=[])
    axis.set_ylabel("sound", rotation=0, ha="right", va="center")
    axis.spines[["top", "right", "left"]].set_visible(False)


def _draw_stream(axis, stream: np.ndarray) -> float:
    """Draws a waveform's envelope, or at most `_FRAMES_A_STRIP` frames in a row; returns its length in seconds."""
    if stream.ndim == 1:
        draw_waveform(axis, stream, SAMPLE_RATE)
        return len(stream) / SAMPLE_RATE
    step = -(-len(stream) // _FRAMES_A_STRIP)
    for second in range(0, len(stream), step):
        axis.imshow(stream[second], extent=(second, min(second + step, len(stream)), 0, 1), aspect="auto")
    axis.set(ylim=(0, 1))
    return len(stream)


def _overlaid(frames: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """Frames with their maps laid over, all in one range of colours."""
    limits = attention_limits(attention)
    pairs = zip(frames, attention, strict=True)
    return np.stack([overlay_attention(frame, weights, limits) for frame, weights in pairs])


def _strip_height(frames: np.ndarray) -> float:
    """Inches at which frames side by side keep their aspect ratio, within limits."""
    count, height, width = frames.shape[:3]
    return float(np.clip(_STRIP_WIDTH / count * height / width, 0.4, 1.6))


def _draw_strip(axis, name: str, frames: np.ndarray, seconds: float) -> None:
    """Draws frames in a row along the time axis, each centred in its share of it, aspect ratio kept."""
    count, height, width = frames.shape[:3]
    share = seconds / count
    wide = min(0.97, _strip_height(frames) * width / height / (_STRIP_WIDTH / count)) * share
    for index, frame in enumerate(frames):
        middle = (index + 0.5) * share
        axis.imshow(frame, extent=(middle - wide / 2, middle + wide / 2, 0, 1), aspect="auto")
    _name_row(axis, name)


def _draw_band(axis, name: str, labels: Sequence[str], class_names: Sequence[str]) -> list:
    """Draws a coloured stretch for each run of a class; returns (axis, the name's text, seconds it may span)."""
    texts = []
    for start, end, label in stretches(labels):
        colour = class_colour(label, class_names)
        axis.axvspan(start, end, color=colour, ec="white", linewidth=1.5)
        wrapped = textwrap.fill(words(label), max(8, 110 * (end - start) // len(labels)))
        ink = _ink_on(colour)
        text = axis.text((start + end) / 2, 0.5, wrapped, ha="center", va="center", fontsize=9, color=ink, gid=label)
        texts.append((axis, text, end - start))
    _name_row(axis, name, fontweight="bold")
    return texts


def _name_row(axis, name: str, **style) -> None:
    """Puts a name beside a row from 0 to 1, in place of a frame and ticks."""
    axis.set(ylim=(0, 1), yticks=[])
    axis.set_ylabel(name, rotation=0, ha="right", va="center", **style)
    axis.spines[:].set_visible(False)
    axis.tick_params(axis="x", length=0)


def _legend_of_what_does_not_fit(figure: Figure, names: list, class_names: Sequence[str]) -> None:
    """Shrinks names that do not fit into their stretch, or moves them to a legend below the picture."""
    figure.draw_without_rendering()
    moved = {}
    for axis, text, seconds in names:
        room = (axis.transData.transform((seconds, 1)) - axis.transData.transform((0, 0))) * 0.96
        for size in (text.get_fontsize(), 7.5):
            text.set_fontsize(size)
            box = text.get_window_extent()
            if box.width <= room[0] and box.height <= room[1]:
                break
        else:
            text.remove()
            moved[text.get_gid()] = None
    if moved:
        patches = [Patch(color=class_colour(name, class_names), label=words(name)) for name in moved]
        columns = max(1, min(len(moved), 110 // (max(map(len, moved)) + 6)))
        figure.legend(handles=patches, loc="outside lower center", ncols=columns, frameon=False)
    else:
        # The layout is final: saving need not compute it again.
        figure.set_layout_engine("none")


def _shown_rows(probabilities: np.ndarray, count: int) -> np.ndarray:
    """Classes of the heat map: every predicted one, then the most probable anywhere; at least `count`."""
    predicted = np.unique(probabilities.argmax(1))
    rank = probabilities.max(0)
    rank[predicted] += 1
    return np.argsort(-rank, kind="stable")[: max(count, len(predicted))]


def _draw_probabilities(axis, probabilities: np.ndarray, names: Sequence[str]):
    extent = (0, len(probabilities), len(names) - 0.5, -0.5)
    image = axis.imshow(
        probabilities.T, aspect="auto", cmap="Blues", vmin=0, vmax=1, extent=extent, interpolation="nearest"
    )
    axis.set_yticks(range(len(names)), [words(name) for name in names], fontsize=9)
    axis.tick_params(axis="y", length=0)
    axis.spines[:].set_color("#bbbbbb")
    return image


def _grid(figure: Figure, rows: int, columns: int) -> np.ndarray:
    """Axes without ticks and frame; ticks that are merely hidden would still count in the layout."""
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.axis("off")
    return axes


def _label_below(axis, label: str, class_names: Sequence[str]) -> None:
    colour = class_colour(label, class_names)
    axis.annotate(
        textwrap.fill(words(label), 24), (0.5, 0), xycoords="axes fraction", xytext=(0, -8),
        textcoords="offset points", ha="center", va="top", fontsize=9, color=_ink_on(colour),
        bbox={"facecolor": colour, "edgecolor": "none", "boxstyle": "round"},
    )  # fmt: skip


def _ink_on(colour) -> str:
    """Dark or white, whichever is easier to read on `colour`."""
    red, green, blue = matplotlib.colors.to_rgb(colour)
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.55 else INK
