"""Figures 3, 4 and 6 of the paper, and Table 4 as bars. Each function writes one .png."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from avpipeline import plots
from avpipeline.media import SAMPLE_RATE, Clip
from avpipeline.plots.style import PALETTE, picture, words
from eventlayers.config import LAYERS
from eventlayers.windows import Window

# The audio-visual layers, which pool some time steps.
CHOOSING = ("instant", "onset", "continuous")
COLOURS = dict(zip(LAYERS, ("#1f77b4", "#2ca02c", "#d62bb0", "#e07b00", "#7f7f7f"), strict=True))
_ONSET = "#e83e9b"
_RIGHT, _WRONG = "#1a7f37", "#b42318"


@dataclasses.dataclass(frozen=True)
class Example:
    """A clip and what each head predicts for it.

    Attributes:
      name: of the video.
      frames: uint8 `(frames, height, width, 3)`, evenly spread over the clip.
      waveform: `(samples,)` at 16 kHz.
      predicted: head -> its label.
      truth: the annotated labels; empty if unknown.
    """

    name: str
    frames: np.ndarray
    waveform: np.ndarray
    predicted: Mapping[str, str]
    truth: tuple[str, ...] = ()


def sampled_time_steps(path, window: Window, clip: Clip, *, title: str = "") -> None:
    """Figure 3: for each audio-visual layer the waveform and the frames, with the time steps that it pools.

    Pooled time steps are shaded on the waveform and have a bar on the frames; the strip between is the correspondence S
    of every time step, and dots on the waveform are onsets.

    Args:
      path: the .png to write.
      window: of a model with both streams.
      clip: the sound and the frames of these seconds.
    """
    start, end = window.start, window.start + window.seconds
    step = window.seconds / len(window.correspondence)
    with picture(path, 11, 7.2, title) as figure:
        axes = figure.subplots(3 * len(CHOOSING), 1, sharex=True, height_ratios=(1.0, 0.22, 0.9) * len(CHOOSING))
        for (sound, strip, film), layer in zip(axes.reshape(-1, 3), CHOOSING, strict=True):
            plots.draw_waveform(sound, clip.waveform, SAMPLE_RATE, start)
            sound.plot(start + (window.onsets + 0.5) * step, np.zeros(len(window.onsets)), ".", color=_ONSET, ms=7)
            sound.set_ylabel("")
            for index, frame in enumerate(clip.frames):
                left = start + index * window.seconds / len(clip.frames)
                right = left + 0.97 * window.seconds / len(clip.frames)
                film.imshow(frame, extent=(left, right, 0, 1), aspect="auto")
            film.set(ylim=(0, 1), yticks=[])
            film.spines[:].set_visible(False)
            image = strip.imshow(window.correspondence[None], aspect="auto", cmap="viridis", extent=(start, end, 0, 1))
            strip.set(yticks=[])
            style = {"color": COLOURS[layer], "linewidth": 0, "zorder": 3}
            for left in start + window.chosen[layer] * step:
                sound.axvspan(left, left + step, alpha=0.3, **style)
                film.axvspan(left, left + step, ymax=0.12, **style)
            said = f"{layer} event layer: {len(window.chosen[layer])} time steps"
            sound.set_title(said, fontsize=10, loc="left", color=COLOURS[layer])
        axes[-1].set(xlim=(start, end), xlabel="time in seconds")
        figure.colorbar(image, ax=axes, label="correspondence S", aspect=40, pad=0.01, shrink=0.6)


def multi_labels(path, example: Example, *, title: str = "") -> None:
    """Figure 4: a clip's frames, its annotated labels, and the union of the heads' labels."""
    heads: dict[str, list[str]] = {}
    for head, label in example.predicted.items():
        heads.setdefault(label, []).append(head)
    given = f"annotated: {', '.join(map(words, example.truth))}\n" if example.truth else ""
    union = ", ".join(f"{words(label)} ({', '.join(own)})" for label, own in heads.items())
    with picture(path, 11, 2.7, title) as figure:
        axis = figure.subplots()
        _draw_row(axis, example.frames)
        axis.set_title(example.name, fontsize=10, loc="left", fontweight="bold")
        axis.set_xlabel(f"{given}predicted: {union}", fontsize=9, loc="left")


def most_activating(path, examples: Mapping[str, Sequence[Example]], *, title: str = "") -> None:
    """Figure 6: videos that activate each layer most, their sound, and what every layer predicts for them.

    Args:
      examples: layer -> its videos, strongest first, with their true labels.
    """
    rows = [(layer, example) for layer, own in examples.items() for example in own]
    with picture(path, 12, 2.3 * len(rows) + 0.6, title) as figure:
        axes = figure.subplots(len(rows), 2, squeeze=False, width_ratios=(2.6, 1))
        for (layer, example), (film, heads) in zip(rows, axes, strict=True):
            _draw_row(film, example.frames, example.waveform)
            label = ", ".join(map(words, example.truth))
            film.set_title(
                f"{layer}: {example.name}, {label}", fontsize=10, loc="left", color=COLOURS[layer], fontweight="bold"
            )
            heads.axis("off")
            for line, (head, predicted) in enumerate(example.predicted.items()):
                mark, colour = ("✓", _RIGHT) if predicted in example.truth else ("✗", _WRONG)
                style = {"color": colour, "fontweight": "bold" if head == layer else "normal"}
                place = {"transform": heads.transAxes, "va": "center", "fontsize": 9}
                heads.text(0.0, 0.9 - 0.19 * line, f"{mark} {head}: {words(predicted)}", **style, **place)


def event_characteristics(path, counts: Mapping[str, Mapping[str, int]], *, title: str = "") -> None:
    """Table 4 as bars: the share of each dataset's categories that a layer dominates.

    Args:
      counts: dataset -> row of Table 4 -> number of categories.
    """
    rows = list(next(iter(counts.values())))
    width = 0.8 / len(counts)
    places = np.arange(len(rows))
    with picture(path, 8, 4.2) as figure:
        axis = figure.subplots()
        for index, (dataset, own) in enumerate(counts.items()):
            total = max(1, sum(own.values()))
            offset = (index - (len(counts) - 1) / 2) * width
            bars = axis.bar(
                places + offset, [100 * own[row] / total for row in rows], width, label=dataset, color=PALETTE[index]
            )
            axis.bar_label(bars, [own[row] for row in rows], fontsize=8, padding=2)
        axis.set_xticks(places, rows)
        axis.set(ylabel="categories in % (number above)", title=title, ylim=(0, 108))
        axis.grid(axis="y", alpha=0.25)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False)


def _draw_row(axis, frames: np.ndarray, waveform: np.ndarray | None = None) -> None:
    """Frames side by side, with the waveform below them if given."""
    gap = np.full((frames.shape[1], max(1, frames.shape[2] // 30), 3), 255, np.uint8)
    pieces = [piece for frame in frames for piece in (frame, gap)][:-1]
    row = np.concatenate(pieces, axis=1)
    height, width = row.shape[:2]
    axis.imshow(row, extent=(0, width, 0, height))
    if waveform is not None:
        below = axis.inset_axes((0, -0.4, 1, 0.35))
        plots.draw_waveform(below, waveform, SAMPLE_RATE)
        below.margins(x=0)
        below.axis("off")
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
