"""Settings that the papers' commands share; a paper's own class narrows the choices and adds what only it has."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from avpipeline.datasets import require_no_folder
from avpipeline.datasets.base import Split


@dataclasses.dataclass(frozen=True)
class SeedSettings:
    """The seeds that a command trains."""

    seeds: int = 1
    """How many seeds to train, counted up from --seed."""
    seed: int = 0
    """The first seed."""

    @property
    def all_seeds(self) -> range:
        return range(self.seed, self.seed + self.seeds)


@dataclasses.dataclass(frozen=True)
class TrainSettings(SeedSettings):
    """Settings of a training command.

    A paper's own class gives its name, its choices and defaults of `model` and `preset`, and adds what it trains on,
    `network` and `training`.
    """

    paper: ClassVar[str]

    model: str = ""
    """Which of the paper's models."""
    preset: str = "code"
    """What the authors' code does, or what the paper says where they differ."""
    out: Path | None = None
    """Folder of the run; the same command goes on where it was cut off. [default: runs/PAPER/MODEL-PRESET]"""

    @property
    def folder(self) -> Path:
        return self.out or Path("runs") / self.paper / f"{self.model}-{self.preset}"


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """The dataset that a command reads."""

    dataset: str | None = None
    """What to train and measure on. [default: "ave" with --data, else "rendered"]"""
    data: Path | None = None
    """Folder with the dataset's official files and features."""

    @property
    def chosen_dataset(self) -> str:
        return self.dataset or ("ave" if self.data else "rendered")

    def check(self) -> None:
        """Raises InputError where the rendered clips, which have no files, are given a folder."""
        if self.chosen_dataset == "rendered":
            require_no_folder(self.data)


@dataclasses.dataclass(frozen=True)
class TableSettings(SeedSettings):
    """Settings of a tables command."""

    paper: ClassVar[str]

    table: str = "all"
    """Which table of the paper; several with | between them ("Table 1|Table 2"), or all."""
    rows: tuple[str, ...] = ()
    """Which of its rows, by the names printed. [default: all]"""
    preset: str = "code"
    """What the authors' code does, or what the paper says where they differ."""
    epochs: int | None = None
    """Epochs of every row instead of its own number; a row trained for fewer is marked "smoke"."""
    out: Path | None = None
    """Folder of the tables and all runs; the same command goes on where it was cut off.
    [default: runs/PAPER/tables/DATASET-PRESET]"""

    @property
    def chosen_dataset(self) -> str:
        """What is trained and measured on."""
        raise NotImplementedError

    def check(self) -> None:
        """Raises InputError where settings contradict each other."""

    @property
    def folder(self) -> Path:
        return self.out or Path("runs") / self.paper / "tables" / f"{self.chosen_dataset}-{self.preset}"

    def chosen_tables(self, tables: Iterable[str]) -> tuple[str, ...]:
        """Those of the paper's `tables` that are asked for, each once."""
        return tuple(dict.fromkeys(tables if self.table == "all" else map(str.strip, self.table.split("|"))))

    def run_folder(self, name: str) -> Path:
        """Where a model's runs lie; runs of another length do not get in their way."""
        return self.folder / (name if self.epochs is None else f"{name}-{self.epochs}-epochs")

    def shortened(self, own):
        """A training command's settings with the epochs that the tables command asks for."""
        if self.epochs is None:
            return own
        return dataclasses.replace(own, training=dataclasses.replace(own.training, epochs=self.epochs))


def fitted(network, split: Split):
    """The configuration of a network that labels segments, with the sizes of a dataset.

    Args:
      network: a dataclass with `num_classes`, `num_segments`, and a shape or a number of channels for each input.
      split: with labels of segments.
    """
    num_segments, num_classes = split.labels.shape[1:]
    shapes = {name: tuple(source.shape[1:]) for name, source in split.inputs.items()}
    sizes = {f"{name}_shape": shapes[name] for name in ("visual", "audio_map") if name in shapes}
    sizes |= {f"{name}_channels": shapes[name][-1] for name in ("audio", "motion") if name in shapes}
    return dataclasses.replace(network, num_classes=num_classes, num_segments=num_segments, **sizes)
