"""Charts of training and evaluation: curves, bars for each class, confusion matrices. Each writes one .png, `path`."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import ConfusionMatrixDisplay

from avpipeline.plots.style import INK, PALETTE, picture, words

_PERCENT = {"vmin": 0, "vmax": 100}


def curves(path, history: Mapping[str, Sequence[float]]) -> None:
    """Loss and metrics over epochs, a panel each with training and validation; the best validation value is marked.

    Args:
      history: name -> one value an epoch, NaN where it was not measured; `"val_x"` belongs to `"x"`; `"epoch"`, if
        present, numbers the epochs.
    """
    history = {name: np.asarray(values, float) for name, values in history.items()}
    epochs = history.pop("epoch", np.arange(1, len(next(iter(history.values()))) + 1))
    names = list(dict.fromkeys(name.removeprefix("val_") for name in history))
    with picture(path, 5.5 * len(names), 4) as figure:
        for axis, name in _panels(figure, names):
            if name in history:
                _draw_line(axis, epochs, history[name], "training", "#1f77b4")
            if f"val_{name}" in history:
                best = _mark_best(axis, epochs, history[f"val_{name}"], lowest="loss" in name)
                _draw_line(axis, epochs, history[f"val_{name}"], f"validation{best}", "#d62728")
            axis.legend(frameon=False)


def runs_together(
    path, histories: Mapping[str, Sequence[Sequence[Mapping[str, float]]]], names: Sequence[str]
) -> None:
    """The curves of several runs in one picture, a panel for each quantity: the mean over seeds, seeds drawn thinly.

    Args:
      histories: run -> its seeds' histories, a dict an epoch with "epoch" and what was measured after it.
      names: of the quantities.
    """
    with picture(path, 6 * len(names), 4.5) as figure:
        for axis, name in _panels(figure, names):
            for index, (run, seeds) in enumerate(histories.items()):
                colour = PALETTE[index % len(PALETTE)]
                lines = [{epoch["epoch"]: epoch[name] for epoch in seed if name in epoch} for seed in seeds]
                for line in lines if len(lines) > 1 else []:
                    axis.plot(list(line), list(line.values()), color=colour, alpha=0.3, linewidth=0.8, marker=".")
                # A seed may have stopped early: the mean goes as far as all of them.
                common = [epoch for epoch in lines[0] if all(epoch in line for line in lines)]
                means = np.array([np.mean([line[epoch] for line in lines]) for epoch in common])
                _draw_line(axis, np.asarray(common, float), means, run, colour)
        axis.legend(frameon=False, title="mean over seeds; thin: a seed each")


def class_bars(path, values: Mapping[str, np.ndarray], class_names: Sequence[str], *, title: str = "") -> None:
    """One group of bars for each class, with one bar for each model.

    Args:
      values: model -> one percentage a class, NaN where there is none.
      class_names: in the order of the values.
    """
    width = 0.8 / len(values)
    places = np.arange(len(class_names))
    with picture(path, min(18.0, max(7.0, 0.14 * len(class_names) * (len(values) + 1))), 5) as figure:
        axis = figure.subplots()
        for index, (name, heights) in enumerate(values.items()):
            offset = (index - (len(values) - 1) / 2) * width
            axis.bar(places + offset, heights, width, label=name, color=PALETTE[index])
        axis.set_xticks(places, class_names, rotation=45, ha="right", rotation_mode="anchor")
        axis.set(ylim=(0, 100), ylabel="segment accuracy in %", title=title)
        axis.margins(x=0.01)
        axis.grid(axis="y", alpha=0.25)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, ncols=len(values), loc="lower center", bbox_to_anchor=(0.5, 1.06))


def confusion_matrix(
    path, counts: np.ndarray, class_names: Sequence[str], *, title: str = "", unit: str = "segment"
) -> None:
    """Confusion matrix, coloured and labelled with the share of the true class in percent.

    Args:
      counts: `(classes, classes)` whole numbers, row = true class, column = predicted class.
      class_names: in the order of the rows.
      unit: what was counted, "segment" or "video".
    """
    totals = counts.sum(1, keepdims=True)
    shares = np.divide(100 * counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    size = max(4.0, 0.36 * len(class_names))
    with picture(path, size + 3.2, size + 2.4) as figure:
        axis = figure.subplots()
        shown = ConfusionMatrixDisplay(shares, display_labels=class_names)
        shown.plot(
            ax=axis, cmap="Blues", values_format=".0f", colorbar=False, im_kw=_PERCENT, text_kw={"fontsize": 8}
        )
        # The library's ink suits colours that end at the largest share; these end at 100 %.
        for text, count, share in zip(shown.text_.flat, counts.flat, shares.flat, strict=True):
            text.set(visible=count > 0, color="white" if share > 55 else INK)
        axis.set_xticklabels(class_names, rotation=45, ha="right", rotation_mode="anchor")
        axis.set_yticklabels([f"{name}  ({total})" for name, total in zip(class_names, totals[:, 0], strict=True)])
        axis.set(xlabel="predicted", ylabel=f"true (number of {unit}s)")
        axis.set_xticks(np.arange(-0.5, len(class_names)), minor=True)
        axis.set_yticks(np.arange(-0.5, len(class_names)), minor=True)
        axis.grid(which="minor", color="#dddddd", linewidth=0.5)
        axis.tick_params(which="both", length=0)
        figure.colorbar(shown.im_, label="% of the true class", shrink=0.6, pad=0.02)
        axis.set_title(title, fontsize=13, fontweight="bold", pad=12)


def _panels(figure: Figure, names: Sequence[str]) -> Iterator[tuple[Axes, str]]:
    """A panel over the epochs for each quantity, side by side."""
    for axis, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        axis.set(title=words(name).replace("val ", "validation "), xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        yield axis, name


def _draw_line(axis, epochs: np.ndarray, values: np.ndarray, label: str, colour: str) -> None:
    there = np.isfinite(values)
    marker = "o" if there.sum() <= 60 else None
    axis.plot(epochs[there], values[there], color=colour, label=label, marker=marker, markersize=3)


def _mark_best(axis, epochs: np.ndarray, values: np.ndarray, *, lowest: bool) -> str:
    """Circles the best value; returns it as text for the legend, empty where none was measured."""
    if not np.isfinite(values).any():
        return ""
    best = int(np.nanargmin(values) if lowest else np.nanargmax(values))
    axis.plot(epochs[best], values[best], "o", markersize=9, fillstyle="none", color="#d62728")
    return f" (best {values[best]:.3f}, epoch {epochs[best]:.0f})"
