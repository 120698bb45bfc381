"""Pictures of how a seed's training went, drawn at once or after a command has printed its result."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from avpipeline.files import reading
from avpipeline.plots import charts

_WAITING: contextvars.ContextVar[list[Callable] | None] = contextvars.ContextVar("waiting", default=None)


@contextlib.contextmanager
def curves_last() -> Iterator[None]:
    """Inside, `draw_curves` waits for the end of the block."""
    token = _WAITING.set([])
    try:
        yield
    finally:
        waiting = _WAITING.get()
        _WAITING.reset(token)
        for draw in waiting:
            draw()


def draw_curves(folder: Path, watched: str) -> None:
    """Draws curves.png of a seed from its log.csv, without the score `watched`, unless it is there already."""
    path, log = folder / "curves.png", folder / "log.csv"

    def draw() -> None:
        with reading(log, "is damaged, so that no curves can be drawn", "remove it; the results are kept"):
            columns = pd.read_csv(log, float_precision="round_trip").drop(columns=watched, errors="ignore")
        charts.curves(path, columns.to_dict("list"))

    if log.exists() and not path.exists():
        waiting = _WAITING.get()
        draw() if waiting is None else waiting.append(draw)
