"""Folders of finished runs, as a training command leaves them, without training anything."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from avpipeline.training.runs import summary


def write_run(folder: Path, scores: Mapping[int, float], *, paper="ave", model="av_att", ids="abcd", **changes) -> Path:
    """A run with a test score for each seed, of a dataset with the clips `ids`; `changes` replaces parts of its result.

    The validation metric of epoch e of seed s is (10 s + e) / 100.
    """
    seeds = [
        {"seed": seed, "val": score, "best_epoch": 2, "test": score, "parameters": 1234}
        for seed, score in scores.items()
    ]
    training = {"epochs": 2, "learning_rate": 0.001}
    result = {
        "paper": paper,
        "model": model,
        "preset": "code",
        "dataset": "rendered",
        "metric": "segment_accuracy",
        "selected_on": "val",
        "smoke": False,
        "configuration": "0123456789ab",
        "settings": {"paper": paper, "model": model, "training": training},
        "clips": {"train": 8, "val": 4, "test": len(ids)},
        "command": f"python -m {paper}.train --seeds {len(seeds)}",
        "date": "2026-01-02T03:04:05+00:00",
        "commit": "c" * 40,
        "versions": {"keras": "3.5.0"},
        **summary(seeds),
        **changes,
    }
    for seed in scores:
        own = folder / f"seed-{seed}"
        own.mkdir(parents=True)
        with open(own / "log.csv", "w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            lines.writerow(["epoch", "loss", "val_segment_accuracy"])
            lines.writerows([[1, 2.0, ""], [2, 1.0, (10 * seed + 2) / 100]])
        np.savez(own / "predictions.npz", ids=np.array(list(ids)), labels=np.eye(4)[: len(ids)])
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def finish_seeds(folder: Path, scores: Mapping[int, float], predictions: Mapping | None = None, **more) -> None:
    """Leaves seeds in a run's folder that a training command takes for finished, so that it trains nothing.

    Args:
      folder: of a run that is still to begin: the command adds its own settings and result.
      scores: seed -> its score on the test split.
      predictions: the arrays of each predictions.npz; None writes none.
      more: further entries of each seed's result.
    """
    for seed, score in scores.items():
        own = folder / f"seed-{seed}"
        own.mkdir(parents=True)
        result = {"seed": seed, "val": score, "best_epoch": 2, "test": score, "parameters": 7, **more}
        (own / "result.json").write_text(json.dumps(result))
        if predictions is not None:
            np.savez(own / "predictions.npz", **predictions)
