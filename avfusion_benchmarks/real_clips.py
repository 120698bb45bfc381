"""ESC-10 through the extractors: what real sound gives, without and with pretrained weights.

    python -m avfusion_benchmarks.real_clips ESC10 --weights-dir WEIGHTS --seeds 3

Every row is tested on each of the five official folds once; nothing is tuned.
"""

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
import tyro

from avfusion_benchmarks import audio_only
from avfusion_benchmarks.esc10 import EXTRACTORS, FOLDS, NAMES, Clips, read_clips
from avpipeline.cli import Count, run
from avpipeline.results.real_clips import Row, fold_accuracies, read_rows, write_rows
from avpipeline.training.record import record


@dataclasses.dataclass(frozen=True)
class Settings:
    esc10: tyro.conf.Positional[Path]
    """Folder with a folder for each class ("001 - Dog bark", ...), whose files begin with their fold ("1-...")."""
    weights_dir: Path | None = None
    """Folder with yamnet.h5 or yamnet.tflite and yamnet_class_map.csv."""
    seeds: Count = 3
    """How many seeds to train the papers' networks with, from 0 on; the seeded network that extracts has seed 0."""
    out: Path = Path("results") / "real_clips"
    """Folder for the results and the predictions that they are computed from."""


def main(settings: Settings) -> None:
    """Five-fold accuracy on ESC-10 of heads and of the papers' audio-only networks, on seeded and pretrained features.
    """
    from avpipeline.features import yamnet

    clips = read_clips(settings.esc10, settings.weights_dir)
    class_names = yamnet.class_names(yamnet.weights_file(settings.weights_dir), settings.weights_dir)
    # Row -> its features, what classifies the clips, and the seeds, if there are any.
    ways = {f"logistic regression on {name}": (name, partial(_logistic, clips, name), ()) for name in EXTRACTORS}
    scored = partial(_zero_shot, clips, class_names)
    ways["zero-shot: highest of YAMNet's scores"] = ("YAMNet scores", scored, ())
    seeds = tuple(range(settings.seeds))
    for model, network in audio_only.NETWORKS.items():
        for name in ("seeded network", "YAMNet embedding"):
            trained = partial(audio_only.five_fold, clips, name, network, seeds)
            ways[f"{model} on {name}"] = (name, trained, seeds)
    # Rows of other seeds are measured again.
    rows = {way: row for way, row in read_rows(settings.out).items() if way in ways and row.seeds == ways[way][2]}
    for way, (name, classify, own_seeds) in ways.items():
        if way not in rows:
            info, made = clips.infos[name], record()
            rows[way] = Row(info.label, info.weights, classify(), own_seeds, made.pop("commit"))
            # After each row, so that an interrupted run resumes where it stopped.
            notes = audio_only.NOTES if any(row.seeds for row in rows.values()) else ()
            in_order = {each: rows[each] for each in ways if each in rows}
            write_rows(settings.out, in_order, clips.ids, clips.labels, clips.folds, {"notes": notes, **made})
            print(way, fold_accuracies(rows[way].predicted, clips.labels, clips.folds), flush=True)
    print(f"{settings.out} has {len(rows)} rows; python -m avpipeline.published writes RESULTS.md")


def _logistic(clips: Clips, name: str) -> np.ndarray:
    """Predicted class of each clip, `(1, clips)`, by a head trained on the other four folds, scikit-learn's default."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    values, predicted = clips.means(name), np.zeros(len(clips.ids), int)
    for fold in range(1, FOLDS + 1):
        test = clips.folds == fold
        head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        predicted[test] = head.fit(values[~test], clips.labels[~test]).predict(values[test])
    return predicted[None]


def _zero_shot(clips: Clips, class_names: tuple[str, ...]) -> np.ndarray:
    number = {name: index for index, name in enumerate(class_names)}
    scores = clips.means("YAMNet scores")
    return np.stack([scores[:, [number[name] for name in names]].max(1) for names in NAMES.values()]).argmax(0)[None]


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avfusion_benchmarks.real_clips"))
