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


def main(settings: Settings) -> None:
    """Trains MAFnet with several dropping rates; writes a table and the curve of the paper's Figure 6.

    Examples:
      python -m mafnet.sweep --rates 0.1 0.5
    """
    import tensorflow as tf

    _check(settings)
    from avpipeline.training import strategy

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
            _write(settings, records, scores)
    columns = ("dropping rate", "video accuracy %", "configuration", "parameters", "predictions")
    print(f"\n{markdown([columns, *([str(record[name]) for name in columns] for record in records)])}")
    print(f"Selected on validation; {records[0]['data']}. dropping_rate.csv and .png are in {link(settings.folder)}")


def _check(settings: Settings) -> None:
    if not settings.rates or len(set(settings.rates)) < len(settings.rates):
        raise InputError("--rates: needs at least one rate and no rate twice; change the list.")


def _measure(settings: Settings, rate: float) -> tuple[dict, list[float]]:
    own = PAPER.settings_for(
        "mafnet",
        settings.preset,
        settings.chosen_dataset,
        data=settings.data,
        classes=settings.classes,
        seeds=settings.seeds,
        seed=settings.seed,
        devices=settings.devices,
        logger=settings.logger,
        # Runs of another length have a folder of their own.
        out=settings.folder / f"rate-{rate:g}{'' if settings.epochs is None else f'-{settings.epochs}-epochs'}",
    )
    epochs = own.training.epochs if settings.epochs is None else settings.epochs
    training = dataclasses.replace(own.training, prob_image=0.0, prob_all=round(1.0 - rate, 12), epochs=epochs)
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


def _write(settings: Settings, records: list[dict], scores: dict[float, list[float]]) -> None:
    import pandas as pd

    from mafnet.pictures import dropping_curve

    folder = make_folder(settings.folder)
    write_csv(folder / "dropping_rate.csv", pd.DataFrame(records))
    title = f"mafnet, preset {settings.preset}\n{records[0]['data']}"
    dropping_curve(folder / "dropping_rate.png", scores, title=title)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m mafnet.sweep"))
