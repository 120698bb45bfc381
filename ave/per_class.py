"""Supplement Table 1: accuracy of each event class for seven models, as a table and a bar chart.

The accuracy of a class is over all ten seconds of its videos, background seconds included: 194 of the paper's 196
results are possible as such shares of the test split, while most are not possible as shares of the class's own seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ave.config import CLASS_NAMES, PER_CLASS, ROWS
from avpipeline.errors import InputError
from avpipeline.files import make_folder, read_predictions, write_csv, write_text
from avpipeline.results import papers
from avpipeline.training.paper import Trained

if TYPE_CHECKING:
    import pandas as pd

# Its names -> models: those of Supplement Table 2, which writes the same names with hyphens.
MODELS = {row.replace("-", ""): model for (table, row), model in ROWS.items() if table == "Supplement Table 2"}


def paper_table() -> pd.DataFrame:
    """The paper's results in %, one row per class and one column per model."""
    import pandas as pd

    return pd.DataFrame.from_dict(papers.class_tables("ave")[PER_CLASS], orient="index").astype(float)


def chosen_models(rows: Sequence[str]) -> dict[str, str]:
    """The supplement's names -> models, all or those in `rows`; InputError for a row that is not in the table."""
    for row in rows:
        if row not in MODELS:
            raise InputError(f"row '{row}': is not in {PER_CLASS}; its models are {', '.join(MODELS)}.")
    return {label: model for label, model in MODELS.items() if not rows or label in rows}


def write_per_class(folder: Path, trained: Mapping[str, Trained]) -> str:
    """Writes the table (Markdown, CSV) and the bar chart of trained models to `folder`; returns the Markdown."""
    import pandas as pd

    from avpipeline.plots import charts

    one = next(iter(trained.values()))
    classes = one.experiment.info.class_names[:-1]
    table = pd.DataFrame({label: accuracies(own.predictions) for label, own in trained.items()}, classes)
    table.index.name = "class"
    unlike = list(dict.fromkeys(reason for own in trained.values() for reason in own.unlike))
    text = _markdown(table, one.data, unlike)
    stem = make_folder(folder) / "supplement_table_1"
    write_text(stem.with_suffix(".md"), text)
    write_csv(stem.with_suffix(".csv"), table, index=True)
    charts.class_bars(stem.with_suffix(".png"), dict(table.items()), list(table.index), title=f"ave, {one.data}")
    return f"{text}\nAlso in {stem}.md, .csv and .png"


def _markdown(table: pd.DataFrame, data: str, unlike: Sequence[str] = ()) -> str:
    """The table; on AVE itself with the preset's settings, each cell has the paper's result beside ours.

    Args:
      unlike: why the results cannot stand beside the paper's; empty if they can.
    """
    texts = table.apply(lambda column: column.map("{:.1f}".format)).replace("nan", "-")
    cells = "paper / ours"
    if unlike or tuple(table.index) != CLASS_NAMES[:-1]:
        why = "; ".join(unlike) or "other classes than the paper's"
        cells = f"ours ({why})"
    else:
        texts = paper_table()[[*table]].astype(str) + " / " + texts
    about = f"Accuracy of each class in %, over all seconds of its videos; {cells}, selected on validation."
    lines = papers.markdown([("class", *table), *texts.itertuples(name=None)])
    return f"## {PER_CLASS}\n\n{about} Ours: {data}.\n\n{lines}"


def accuracies(predictions: tuple[Path, ...]) -> np.ndarray:
    """Accuracy of each class except background in %, averaged over the seeds: `(classes - 1,)`."""
    stored = (read_predictions(path, "labels", "predictions") for path in predictions)
    return np.mean([100 * class_accuracies(each["labels"], each["predictions"]) for each in stored], axis=0)


def class_accuracies(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Share of right seconds among all seconds of each class's videos, `(classes - 1,)`; NaN for a class without any.

    Args:
      labels, predictions: `(videos, seconds, classes)`, background last. A video belongs to the class of its event;
        one without an event belongs to none.
    """
    right = (labels.argmax(-1) == predictions.argmax(-1)).mean(1)
    events = labels[..., :-1].sum(1)
    belongs = (events.argmax(1)[:, np.newaxis] == np.arange(events.shape[1])) & events.any(1, keepdims=True)
    videos = belongs.sum(0)
    return np.divide(right @ belongs, videos, out=np.full(len(videos), np.nan), where=videos > 0)
