"""Pictures: videos with their labels and what networks said (Figure 4), and accuracy against size."""

import dataclasses
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np

from avpipeline.figures import INK, PALETTE, TEXT, new_figure, save_figure, words

_COLUMNS = 3
_RIGHT, _WRONG = "#1a7f37", "#b42318"
TRUTH = "ground truth"


@dataclasses.dataclass(frozen=True)
class Example:
    """One video of the picture.

    Attributes:
      name: of the video.
      frames: some of its frames, `(frames, height, width, 3)` uint8, None where its pictures are not at hand.
      truth: its labels, None where they are not known.
      predicted: model's name -> its most probable labels with their probabilities, in that order.
    """

    name: str
    frames: np.ndarray | None
    truth: tuple[str, ...] | None
    predicted: Mapping[str, Sequence[tuple[str, float]]]


def examples(path, shown: Sequence[Example], *, title: str = "") -> None:
    """Figure 4: for each video its frames, its labels and each model's most probable ones; green is right.

    Args:
      path: the .png to write.
    """
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    lines = max(_lines(example) for example in shown)
    with_frames = any(example.frames is not None for example in shown)
    height = 0.55 + 0.22 * lines + (1.5 if with_frames else 0)
    with matplotlib.rc_context(TEXT):
        figure = new_figure(5.2 * columns, height * rows + 0.5)
        ratios = (1.5, height - 1.5) if with_frames else (height,)
        for cell, example in zip(figure.subfigures(rows, columns, squeeze=False).flat, shown, strict=False):
            axes = cell.subplots(len(ratios), 1, height_ratios=ratios, squeeze=False)[:, 0]
            for axis in axes:
                axis.axis("off")
            if example.frames is not None:
                axes[0].imshow(np.concatenate(list(example.frames), axis=1), aspect="equal")
            axes[0].set_title(words(example.name), fontsize=10, loc="left")
            _write_labels(axes[-1], example, lines)
        figure.suptitle(title, fontsize=13, fontweight="bold")
        save_figure(figure, path)


def _lines(example: Example) -> int:
    return max(len(example.truth or ()), *(len(labels) for labels in example.predicted.values())) + 1


def _write_labels(axis, example: Example, lines: int) -> None:
    """One column for the truth, where it is known, and one a model."""
    truth = {} if example.truth is None else {TRUTH: [(label, None) for label in example.truth]}
    written = {**truth, **example.predicted}
    for column, (heading, labels) in enumerate(written.items()):
        left = column / len(written)
        axis.text(left, 1, words(heading), fontsize=9, fontweight="bold", va="top")
        for line, (label, probability) in enumerate(labels, start=1):
            colour = INK
            if probability is not None and example.truth is not None:
                colour = _RIGHT if label in example.truth else _WRONG
            text = words(label) if probability is None else f"{words(label)}  {probability:.2f}"
            axis.text(left, 1 - line / lines, text, fontsize=9, va="top", color=colour)


def accuracy_against_parameters(
    path, panels: Mapping[str, Mapping[str, tuple[float, float]]], *, title: str = ""
) -> None:
    """GAP against the number of parameters, one panel for each data that it was measured on.

    Args:
      path: the .png to write.
      panels: the data in words -> row's name -> (parameters, GAP in %).
    """
    names = list(dict.fromkeys(name for points in panels.values() for name in points))
    with matplotlib.rc_context(TEXT):
        figure = new_figure(6.5 * len(panels) + 3.4, 5.2)
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        handles = {}
        for axis, (data, points) in zip(axes, panels.items(), strict=True):
            for name, (parameters, gap) in points.items():
                index = names.index(name)
                handles[name] = axis.scatter(
                    parameters, gap, color=PALETTE[index], marker="o" if index < 8 else "s", s=60, zorder=3
                )
            axis.set(xscale="log", xlabel="parameters", ylabel="GAP@20 in %", title=data)
            axis.grid(alpha=0.25, which="both")
            axis.spines[["top", "right"]].set_visible(False)
        figure.legend(handles.values(), handles.keys(), loc="outside right center", frameon=False, fontsize=8)
        figure.suptitle(title, fontsize=13, fontweight="bold")
        save_figure(figure, path)
