"""`python -m ave.match.evaluate`: how often a saved network finds the exact match, in both directions."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ave.match import search
from ave.match.config import DIRECTIONS
from ave.match.pairs import load_videos
from ave.match.weights import load_matcher
from avpipeline.cli import run
from avpipeline.cli.progress import link
from avpipeline.datasets.base import Split
from avpipeline.errors import InputError
from avpipeline.features.info import require_same
from avpipeline.files import write_csv
from avpipeline.results.evaluation import EvaluationSettings, stored, subject, write_scores

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(EvaluationSettings):
    """Settings of an evaluation command."""

    weights: Path
    """The network: a .keras file of python -m ave.match, or the authors' cmm_model_weights.h5."""
    split: Literal["train", "val", "test"] = "test"
    """Which split; videos whose event lasts the whole video are left out."""
    out: Path = Path("runs") / "ave" / "match_evaluate"
    """Folder for the table of videos, the distances and the scores."""


def main(settings: Settings) -> None:
    """Evaluates a cross-modality network: exact matches from sound to frames (A2V) and from frames to sound (V2A).

    Examples:
      python -m ave.match.evaluate --weights W.keras
    """
    from avpipeline.training.runs import predict

    model, info = load_matcher(settings.weights)
    split = load_videos(settings.chosen_dataset, settings.split, settings.data)
    require_same(info.features, split.features, f"{split.dataset}, {split.name}")
    distances = predict(model, split)
    table = per_video(split, distances)
    if table.empty:
        raise InputError(f"{split.dataset}, {split.name}: no event is shorter than its video; choose another split.")
    scores = {direction: search.exact_match(split.labels, distances, direction) for direction in DIRECTIONS}
    measured = {"videos": len(table), **scores, **search.without_looking(split.labels)}
    write_scores(settings.out, settings.weights, info, split, stored(split, distances), measured)
    write_csv(settings.out / "videos.csv", table)
    print(by_length(table).to_string(index=False, float_format="{:.1f}".format))
    print(f"\n{subject(info, split)}: {len(table)} short events")
    for direction, meaning in DIRECTIONS.items():
        print(f"{direction.upper()} ({meaning}): {100 * scores[direction]:.1f} % exact matches")
    print(search.without_looking_text(split.labels))
    print(f"The table of videos, the distances and the scores are in {link(settings.out)}")


def per_video(split: Split, distances: np.ndarray) -> pd.DataFrame:
    """One row per scored video: id, start, length, and per direction where the event was found and if that is right."""
    import pandas as pd

    starts, lengths = search.event_spans(split.labels)
    columns = {"id": split.ids, "start": starts, "length": lengths}
    for direction in DIRECTIONS:
        columns[f"{direction}_found"] = search.found_starts(distances, split.labels, direction)
        columns[f"{direction}_right"] = search.matches(distances, split.labels, direction)
    return pd.DataFrame(columns)[search.evaluated(split.labels)].reset_index(drop=True)


def by_length(table: pd.DataFrame) -> pd.DataFrame:
    """Exact matches in percent, by length of the event."""
    import pandas as pd

    of_length = table.groupby("length")
    shares = {f"{direction} %": 100 * of_length[f"{direction}_right"].mean() for direction in DIRECTIONS}
    return pd.DataFrame({"videos": of_length.size(), **shares}).rename_axis("event seconds").reset_index()


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.match.evaluate"))
