"""The picture of what is heard and seen in a file."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.ticker import MaxNLocator

from avpipeline.plots.predictions import draw_probabilities, draw_strip, draw_waveform, strip_height
from avpipeline.plots.style import TEXT, save_figure, stacked_figure


def described_timeline(
    path,
    seconds: int,
    scores: Mapping[str, tuple[np.ndarray, Sequence[str]]],
    *,
    waveform: np.ndarray | None,
    sample_rate: int = 16_000,
    frames: np.ndarray | None,
    title: str,
) -> None:
    """Waveform, frames, and a map of scores over time for each of "heard", "seen", ...

    Args:
      path: the .png to write.
      seconds: number of seconds shown.
      scores: name -> scores `(seconds, classes)` and the names of these classes, most important first.
      waveform: `(samples,)` in [-1, 1]; None where there is no sound.
      frames: uint8 `(frames, height, width, 3)`, evenly spaced in time; None where there are none.
      title: above the picture.
    """
    heights = ([] if waveform is None else [1.0]) + ([] if frames is None else [strip_height(frames)])
    heights += [0.26 * len(names) + 0.15 for _, names in scores.values()]
    with matplotlib.rc_context(TEXT):
        figure, axes = stacked_figure(heights)
        below = iter(axes)
        if waveform is not None:
            draw_waveform(next(below), waveform, sample_rate)
        if frames is not None:
            draw_strip(next(below), "frames", frames, seconds)
        for name, (values, names) in scores.items():
            axis = next(below)
            image = draw_probabilities(axis, values, names)
            axis.set_title(name, fontsize=10, loc="left", fontweight="bold")
        axes[-1].set(xlim=(0, seconds), xlabel="time in seconds")
        axes[-1].xaxis.set_major_locator(MaxNLocator(20, integer=True))
        figure.colorbar(image, ax=list(axes[-len(scores) :]), label="score", ticks=[0, 0.5, 1], pad=0.01, aspect=20)
        figure.suptitle(title, fontsize=13, fontweight="bold")
        save_figure(figure, path)
