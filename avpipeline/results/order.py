"""How our results rank the rows of a paper's table, compared with the paper's own ranking."""

import dataclasses
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from avpipeline.results import papers
from avpipeline.results.stored import Result
from avpipeline.training.saved import known_papers

# With fewer rows, an order says little.
_FEWEST = 4
# Metrics that count what a model found, where more is not better.
_COUNTS = ("videos", "categories")


@dataclasses.dataclass(frozen=True)
class Order:
    """Rows of one table of a paper that were also measured on synthetic clips.

    Attributes:
      paper, table: as in `papers`.
      rows: names, best first in the paper.
      published, ours: the results, in the order of `rows`.
    """

    paper: str
    table: str
    rows: tuple[str, ...]
    published: tuple[float, ...]
    ours: tuple[float, ...]

    @property
    def correlation(self) -> float:
        """Spearman's, from -1 to 1; ties share their mean rank."""
        from scipy import stats

        return float(stats.spearmanr(self.published, self.ours).statistic)


def orders(results: Iterable[Result]) -> list[Order]:
    """The order of every table with enough rows, by the paper's first dataset and metric."""
    rendered = [result for result in results if result.is_rendered]
    found = []
    for paper in known_papers():
        for table in dict.fromkeys(published.table for published in papers.rows(paper)):
            parts = [whole.parts[0] for whole in papers.rows(paper, table)]
            place = (parts[0].dataset, parts[0].metric)
            first = [part for part in parts if (part.dataset, part.metric) == place and part.metric not in _COUNTS]
            pairs = [
                (part.row, float(part.value), statistics.fmean(result.content["ours"]))
                for part in first
                for result in rendered
                if result.is_of(part)
            ]
            if len(pairs) >= _FEWEST:
                pairs.sort(key=lambda pair: -pair[1])
                found.append(Order(paper, table, *zip(*pairs, strict=True)))
    return found


def draw(path: Path, shown: Sequence[Order]) -> None:
    """Draws a panel per table: rows ranked by the paper on the left, by our results on the right, joined by lines."""
    from scipy import stats

    from avpipeline.plots.style import INK, TEXT, picture

    columns = min(3, len(shown))
    depth = -(-len(shown) // columns)
    with picture(path, 4.6 * columns, 2.9 * depth, text={**TEXT, "font.size": 8}) as figure:
        axes = figure.subplots(depth, columns, squeeze=False).ravel()
        for axis in axes[len(shown) :]:
            axis.set_axis_off()
        for axis, order in zip(axes, shown, strict=False):
            left, right = (stats.rankdata([-value for value in values]) for values in (order.published, order.ours))
            for start, end in zip(left, right, strict=True):
                axis.plot((0, 1), (start, end), color=INK, linewidth=1, marker="o", markersize=3)
            for place, ranks, side in ((0, left, "right"), (1, right, "left")):
                for rank in set(ranks):
                    names = "\n".join(name for name, own in zip(order.rows, ranks, strict=True) if own == rank)
                    offset = (4 - 8 * (side == "right"), 0)
                    axis.annotate(names, (place, rank), offset, textcoords="offset points", ha=side, va="center")
            axis.invert_yaxis()
            axis.set(xlim=(-1.9, 2.9), xticks=(0, 1), xticklabels=("paper", "ours"), yticks=())
            axis.set_title(f"{order.paper} {order.table}: {order.correlation:+.2f}", fontsize=9)
            axis.spines[:].set_visible(False)
