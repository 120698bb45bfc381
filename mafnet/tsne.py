"""`python -m mafnet.tsne`: t-SNE of the audio path's embeddings just before and just after FiLM (Figure 7)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avpipeline.cli import Positive, Seed, run
from avpipeline.cli.progress import link
from avpipeline.datasets.base import Split
from avpipeline.datasets.padding import segment_mask
from avpipeline.errors import InputError
from avpipeline.files import atomic_path, make_folder
from avpipeline.training.saved import load_model
from mafnet.evaluate import SplitSettings, load_split_for

if TYPE_CHECKING:
    import keras

_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Settings(SplitSettings):
    """Settings of the t-SNE command."""

    out: Path = Path("runs") / "mafnet" / "tsne"
    """Folder for the pictures and the points."""
    perplexity: Positive = 30.0
    """Perplexity of t-SNE; lowered automatically if there are few points."""
    seed: Seed = 0
    """Seed of t-SNE."""


def main(settings: Settings) -> None:
    """Draws the embeddings of one-second clips before and after FiLM, coloured by the class of the video (Figure 7).

    Examples:
      python -m mafnet.tsne --weights W.keras --data DIR
    """
    from mafnet.models import with_film
    from mafnet.pictures import embeddings

    model, info = load_model(settings.weights, paper="mafnet")
    try:
        shown = with_film(model)
    except ValueError as error:
        raise InputError(f"{settings.weights}: '{info.model}' has no FiLM layer; use mafnet or film_both.") from error
    split = load_split_for(settings, info)
    values, clips = film_embeddings(shown, split)
    classes = split.labels.argmax(-1)[clips // next(iter(split.inputs.values())).shape[0]]
    out = make_folder(settings.out)
    points = {}
    for path in dict.fromkeys(name.rpartition("_")[0] for name in values):
        panels = {}
        for when in ("before", "after"):
            rows = values[f"{path}_{when}"]
            print(f"{path} path, just {when} FiLM: silhouette of the classes {_silhouette(rows, classes)}", flush=True)
            places = in_the_plane(rows, settings.perplexity, settings.seed)
            panels[f"just {when} FiLM"] = points[f"{path}_{when}"] = places
        title = f"{info.model}, {path} path, {split.dataset} {split.name}"
        embeddings(out / f"{path}_film.png", panels, classes, split.class_names, title=title)
    with atomic_path(out / "points.npz") as temporary:
        np.savez_compressed(temporary, classes=classes, clips=clips, ids=np.array(split.ids), **points)
    print(f"{len(clips)} clips of {len(split)} videos; pictures and points are in {link(settings.out)}")


def film_embeddings(shown: keras.Model, split: Split) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Spatial means of the feature maps before and after each FiLM layer, for every clip that is not padding.

    Args:
      shown: as returned by `mafnet.with_film`.

    Returns:
      e.g. `{"audio_before": (clips, filters), "audio_after": ...}`, and the index of each clip: index of the video
      times clips per video, plus the index within the video.
    """
    from avpipeline.training.runs import predict

    output = predict(shown, split, _BATCH)
    kept = np.flatnonzero(segment_mask(split))
    values = {name: rows.reshape(-1, rows.shape[-1])[kept] for name, rows in output.items() if name != "video"}
    return values, kept


def in_the_plane(rows: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    """2-D t-SNE of `(points, channels)`: `(points, 2)`.

    Raises:
      InputError: fewer than four points.
    """
    from sklearn.manifold import TSNE

    if len(rows) < 4:
        raise InputError(f"{len(rows)} clips are too few for t-SNE; give a split with more videos.")
    # t-SNE needs a perplexity below a third of the number of points.
    usable = min(perplexity, (len(rows) - 1) / 3)
    return TSNE(perplexity=usable, init="pca", random_state=seed).fit_transform(rows).astype(np.float32)


def _silhouette(rows: np.ndarray, classes: np.ndarray) -> str:
    from sklearn.metrics import silhouette_score

    if not 2 <= len(np.unique(classes)) < len(rows):
        return "not defined"
    return f"{silhouette_score(rows, classes):.3f}"


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m mafnet.tsne"))
