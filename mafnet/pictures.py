"""The paper's figures: attention to clips and modalities (Figure 3), dropping rate (Figure 6), t-SNE (Figure 7)."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from avpipeline.plots import class_colour, draw_waveform
from avpipeline.plots.predictions import over_time
from avpipeline.plots.style import picture, words

_COLOURS = {"visual": "#1f77b4", "audio": "#e07b00"}


def modality_scores(
    path,
    scores: np.ndarray,
    modalities: Sequence[str],
    *,
    frames: np.ndarray | None = None,
    waveform: np.ndarray | None = None,
    sample_rate: int = 16_000,
    start: int = 0,
    title: str = "",
) -> None:
    """Figure 3: a bar for the attention to each clip, a row for each modality, between the frames and the waveform.

    All bars have the same scale, so that modalities can be compared; the dashed line marks uniform attention.

    Args:
      path: the .png to write.
      scores: attention weights `(clips, modalities)`, one clip per second.
      modalities: "visual" and "audio", or one of them, in the order of `scores`.
      frames: uint8 `(seconds, height, width, 3)`, one per second, at most as many as clips; None draws none.
      waveform: `(samples,)` in [-1, 1]; None draws none.
      start: second of the first clip.
    """
    clips = len(scores)
    # A frame is as wide as a clip.
    heights = [] if frames is None else [max(0.5, 0.88 * 11 / clips * frames.shape[1] / frames.shape[2])]
    heights += [1.3] * len(modalities) + [0.7] * (waveform is not None)
    with over_time(path, heights, clips, title, start) as (_, axes):
        below = iter(axes)
        if frames is not None:
            axis = next(below)
            for second, frame in enumerate(frames, start=start):
                axis.imshow(frame, extent=(second + 0.02, second + 0.98, 0, 1), aspect="auto")
            axis.set(ylim=(0, 1), yticks=[])
            axis.spines[:].set_visible(False)
            axis.tick_params(axis="x", length=0)
        for modality, column in zip(modalities, scores.T, strict=True):
            _draw_bars(next(below), modality, column, start, highest=float(scores.max()), even=float(scores.mean()))
        if waveform is not None:
            draw_waveform(next(below), waveform, sample_rate, start)


def _draw_bars(axis, modality: str, scores: np.ndarray, start: int, *, highest: float, even: float) -> None:
    places = start + np.arange(len(scores)) + 0.5
    axis.bar(places, scores, width=0.9, color=_COLOURS[modality])
    for place, score in zip(places, scores, strict=True):
        axis.text(place, score, f"{score:.3f}".removeprefix("0"), ha="center", va="bottom", fontsize=8)
    axis.axhline(even, color="#888888", linewidth=1, linestyle="--", zorder=0)
    axis.set(ylim=(0, 1.2 * highest))
    axis.set_ylabel(modality, rotation=0, ha="right", va="center", fontweight="bold", color=_COLOURS[modality])
    axis.spines[["top", "right"]].set_visible(False)
    axis.yaxis.set_major_locator(MaxNLocator(3))


def dropping_curve(path, scores: Mapping[float, Sequence[float]], *, title: str = "") -> None:
    """Figure 6: accuracy against the share of steps that do not update the visual path.

    Args:
      path: the .png to write.
      scores: dropping rate -> accuracy of each seed in %; drawn as mean and standard deviation.
    """
    rates = sorted(scores)
    means = [np.mean(scores[rate]) for rate in rates]
    spreads = [np.std(scores[rate], ddof=1) if len(scores[rate]) > 1 else 0.0 for rate in rates]
    with picture(path, 6.5, 4.2) as figure:
        axis = figure.subplots()
        for rate in rates:
            axis.plot([rate] * len(scores[rate]), scores[rate], "o", color="#b8c0cc", markersize=4)
        axis.errorbar(rates, means, yerr=spreads, color=_COLOURS["visual"], marker="o", capsize=3)
        axis.set(xlabel="dropping rate of the visual path's update", ylabel="video accuracy in %", title=title)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)


def embeddings(
    path, points: Mapping[str, np.ndarray], classes: np.ndarray, class_names: Sequence[str], *, title: str = ""
) -> None:
    """Figure 7: 2-D embeddings side by side, one point per clip, coloured by the class of its video.

    Args:
      path: the .png to write.
      points: title of each panel -> `(points, 2)`.
      classes: class index of each point.
      class_names: in the order of the indices.
    """
    with picture(path, 5.5 * len(points), 5.6, title) as figure:
        panels = figure.subplots(1, len(points), squeeze=False)[0]
        for axis, (heading, places) in zip(panels, points.items(), strict=True):
            for index in np.unique(classes):
                mine = places[classes == index]
                colour = class_colour(class_names[index], class_names)
                axis.scatter(*mine.T, s=10, color=colour, linewidths=0, label=words(class_names[index]))
            axis.set(title=heading, xticks=[], yticks=[])
        handles, labels = panels[0].get_legend_handles_labels()
        columns = max(1, min(len(labels), 110 // (max(map(len, labels)) + 6)))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, markerscale=2)
