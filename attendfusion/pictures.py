"""Pictures: videos with true and predicted labels (Figure 4), and accuracy against size."""

import dataclasses
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import EngFormatter, LogLocator

from avpipeline.plots.style import INK, PALETTE, picture, words

_COLUMNS = 3
# Size of a video's cell in the picture of examples.
_CELL_INCHES, _FRAMES_INCHES, _LINE_INCHES, _CHARACTERS_AN_INCH = 6.0, 1.2, 0.17, 12
_RIGHT, _WRONG = "#1a7f37", "#b42318"
TRUTH = "ground truth"


@dataclasses.dataclass(frozen=True)
class Example:
    """One video of the picture.

    Attributes:
      name: of the video.
      frames: some of its frames, `(frames, height, width, 3)` uint8; None if not available.
      truth: its labels; None if unknown.
      predicted: model's name -> its most probable labels with their probabilities, in descending order.
      warning: what a reader must know of it first.
    """

    name: str
    frames: np.ndarray | None
    truth: tuple[str, ...] | None
    predicted: Mapping[str, Sequence[tuple[str, float]]]
    warning: str | None = None


def examples(path, shown: Sequence[Example], *, title: str = "") -> None:
    """Figure 4: for each video its frames, its labels and each model's most probable ones; correct ones are green."""
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    texts = [_columns(example) for example in shown]
    # Two lines each for the heading and for every label.
    lines = 2 * (1 + max(len(labels) for written in texts for labels in written.values()))
    heights = [_FRAMES_INCHES if any(example.frames is not None for example in shown) else 0.01, _LINE_INCHES * lines]
    with picture(path, _CELL_INCHES * columns, (sum(heights) + 0.4) * rows + 0.4, title) as figure:
        cells = figure.subfigures(rows, columns, squeeze=False).flat
        for cell, example, written in zip(cells, shown, texts, strict=False):
            above, below = cell.subplots(2, 1, height_ratios=heights)
            above.axis("off")
            below.axis("off")
            if example.frames is not None:
                above.imshow(np.concatenate(list(example.frames), axis=1))
                above.set_anchor("W")
            above.set_title(words(example.name), fontsize=10, loc="left")
            _write_columns(below, written, lines)


def _columns(example: Example) -> dict[str, list[tuple[str, str]]]:
    """Heading -> (text, colour) of its lines: the true labels, if known, then each model's."""
    written = {} if example.truth is None else {TRUTH: [(words(label), INK) for label in example.truth]}
    for model, labels in example.predicted.items():
        written[words(model)] = []
        for label, probability in labels:
            colour = INK if example.truth is None else _RIGHT if label in example.truth else _WRONG
            written[words(model)].append((f"{words(label)}  {probability:.2f}", colour))
    return written


def _write_columns(axis, written: Mapping[str, Sequence[tuple[str, str]]], lines: int) -> None:
    characters = int(_CELL_INCHES * _CHARACTERS_AN_INCH / len(written))
    for column, (heading, labels) in enumerate(written.items()):
        cells = [(heading, INK), *labels]
        for index, (text, colour) in enumerate(cells):
            # A label of more than two lines is truncated.
            wrapped = textwrap.fill(text, characters, max_lines=2, placeholder=" ...")
            drawn = axis.text(column / len(written), 1 - 2 * index / lines, wrapped, fontsize=9, va="top", color=colour)
            drawn.set_fontweight("normal" if index else "bold")
            # The positions of the columns are fixed, so the layout need not make room for them.
            drawn.set_in_layout(False)


def accuracy_against_parameters(
    path, panels: Mapping[str, Mapping[str, tuple[float, float]]], *, title: str = ""
) -> None:
    """GAP against the number of parameters, one panel for each dataset.

    Args:
      panels: dataset, in words -> row -> (parameters, GAP in %).
    """
    names = list(dict.fromkeys(name for points in panels.values() for name in points))
    with picture(path, 6.5 * len(panels) + 3.4, 5.2, title) as figure:
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        handles = {}
        for axis, (data, points) in zip(axes, panels.items(), strict=True):
            for name, (parameters, gap) in points.items():
                index = names.index(name)
                handles[name] = axis.scatter(
                    parameters, gap, color=PALETTE[index], marker="o" if index < 8 else "s", s=60, zorder=3
                )
            axis.set(xscale="log", xlabel="parameters", ylabel="GAP@20 in %", title=data)
            axis.xaxis.set_major_formatter(EngFormatter())
            axis.xaxis.set_minor_formatter(EngFormatter())
            axis.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
            axis.grid(alpha=0.25, which="both")
            axis.spines[["top", "right"]].set_visible(False)
        figure.legend(handles.values(), handles.keys(), loc="outside right center", frameon=False, fontsize=8)
