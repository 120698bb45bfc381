"""`python -m mafnet.sweep`: accuracy against the dropping rate of the visual path's update (Figure 6)."""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np

from avpipeline.cli import MaybeCount, Share, run
from avpipeline.cli.progress import link
from avpipeline.datasets import REGISTERED
from avpipeline.errors import InputError
from avpipeline.files import make_folder, write_csv
from avpipeline.results.papers import markdown, mean_text
from avpipeline.training.settings import DataSettings, SeedSettings
from mafnet.config import PRESETS
from mafnet.data import DATASETS, KINETICS_LISTS
from mafnet.train import PAPER


@dataclasses.dataclass(frozen=True)
class Settings(DataSettings, SeedSettings):
    """Settings of the sweep."""

    rates: tuple[Share, ...] = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
    """Shares of steps that do not update the visual path; the authors' code has 0.1."""
    preset: Literal[PRESETS] = "code"
    """Follow the authors' code, or the paper where the two differ; "paper" drops the whole visual path."""
    dataset: "Literal[(*DATASETS, *REGISTERED)] | None" = None
    classes: Literal[KINETICS_LISTS] = 32
    """Kinetics-Sounds: which of its class lists."""
    epochs: MaybeCount = None
    """Number of epochs for every run instead of the configuration's; fewer are marked "smoke"."""
    out: Path | None = None
    """Folder of the runs, the table and the picture. [default: runs/mafnet/sweep/DATASET-PRESET]"""

    @property
    def folder(self) -> Path:
        return self.out or Path("runs") / "mafnet" / "sweep" / f"{self.chosen_dataset}-{self.preset}"

    def check_together(self) -> None:
        super().check_together()
        if not self.rates or len(set(self.rates)) < len(self.rates):
            raise InputError("--rates: needs at least one rate and no rate twice; change the list.")


def main(settings: Settings) -> None:
    """Trains MAFnet with several dropping rates; writes a table and the curve of the paper's Figure 6.

    Examples:
      python -m mafnet.sweep --rates 0.1 0.5
    """
    import pandas as pd
    import tensorflow as tf

    from avpipeline.training import strategy
    from mafnet.pictures import dropping_curve

    team = strategy.join(settings.devices)
    # TensorFlow warns about building graphs in a loop; here every graph is another model's.
    tf.get_logger().setLevel("ERROR")
    records, scores = [], {}
    for number, rate in enumerate(settings.rates, start=1):
        print(f"\n[{number} of {len(settings.rates)}] dropping rate {rate:g}", flush=True)
        record, scores[rate] = _measure(settings, rate)
        records.append(record)
        # After each rate, so that an interrupted command keeps its results.
        if team.is_chief:
            folder = make_folder(settings.folder)
            write_csv(folder / "dropping_rate.csv", pd.DataFrame(records))
            title = f"mafnet, preset {settings.preset}\n{record['data']}"
            dropping_curve(folder / "dropping_rate.png", scores, title=title)
    columns = ("dropping rate", "video accuracy %", "configuration", "parameters", "predictions")
    print(f"\n{markdown([columns, *([str(record[name]) for name in columns] for record in records)])}")
    print(f"Selected on validation; {records[0]['data']}. dropping_rate.csv and .png are in {link(settings.folder)}")


def _measure(settings: Settings, rate: float) -> tuple[dict, list[float]]:
    passed = ("data", "classes", "seeds", "seed", "devices", "logger")
    where = {name: getattr(settings, name) for name in passed}
    # Runs of another length have a folder of their own.
    length = {} if settings.epochs is None else {"epochs": settings.epochs}
    where["out"] = settings.folder / f"rate-{rate:g}{f'-{settings.epochs}-epochs' if length else ''}"
    own = PAPER.settings_for("mafnet", settings.preset, settings.chosen_dataset, **where)
    training = dataclasses.replace(own.training, prob_image=0.0, prob_all=round(1.0 - rate, 12), **length)
    own = dataclasses.replace(own, training=training)
    trained = PAPER.train(own)
    seeds = trained.result["seeds"]
    record = {
        "dropping rate": rate,
        "video accuracy %": mean_text(trained.scores, "0.0"),
        "mean": np.mean(trained.scores),
        "std": np.std(trained.scores, ddof=1) if len(seeds) > 1 else None,
        "seeds": len(seeds),
        "data": trained.data,
        "configuration": trained.result["configuration"],
        "parameters": seeds[0]["parameters"],
        "predictions": " ".join(map(str, trained.predictions)),
    }
    return record, list(trained.scores)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m mafnet.sweep"))
