"""Settings that the papers' commands share; a paper's own class narrows the choices and adds its own settings."""

import dataclasses
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from avpipeline.cli import Checked, Count, MaybeCount, Rate, Seed, Units
from avpipeline.datasets import DATASETS, require_no_folder
from avpipeline.datasets.base import Split
from avpipeline.errors import InputError

Select = Literal["best", "last"]
"""Which weights are tested: those with the best validation score, or those of the last validation."""


@dataclasses.dataclass(frozen=True)
class SegmentNetwork(Checked):
    """Sizes of a segment classifier that follow from the dataset; see `fitted`."""

    num_classes: tyro.conf.Suppress[Count] = 29
    """Number of classes, background included."""
    num_segments: tyro.conf.Suppress[Count] = 10
    audio_channels: tyro.conf.Suppress[Units] = 128
    visual_shape: tyro.conf.Suppress[tuple[Units, Units, Units]] = (7, 7, 512)


@dataclasses.dataclass(frozen=True)
class Hyperparameters(Checked):
    """Training hyperparameters that most papers have; a paper's own class gives their values and adds others."""

    learning_rate: Rate = 1e-4
    """Adam's learning rate."""
    epsilon: Rate = 1e-8
    """Adam's epsilon."""
    batch_size: Count = 64
    """Videos in a batch."""
    partial_batches: bool = False
    """Keep the last batch of an epoch when it is not full."""
    shuffle: bool = True
    """Shuffle the videos before every epoch."""
    epochs: Count = 300
    """Number of epochs."""
    validate_every: Count = 1
    """Epochs between validations."""
    select: Select = "best"
    """Which weights are tested: those with the best validation accuracy, or the last validated."""


@dataclasses.dataclass(frozen=True)
class SegmentHyperparameters(Hyperparameters):
    """Training hyperparameters of the segment classifiers whose code was written in torch 0.3 and 0.4."""

    loss: Literal["soft_margin", "cross_entropy"] = "soft_margin"
    """Multi-label soft margin on the softmax output (the code), or cross-entropy."""
    epsilon_form: Literal["torch_legacy", "torch"] = "torch_legacy"
    """Where Adam adds epsilon: as torch 0.3 and 0.4 did (the code), or as current torch does."""
    validate_every: Count = 5
    first_validation: MaybeCount = 1
    """The epoch, from 1, of the first validation; from then on every --validate-every epochs, as in the code (1, 6,
    ..., 296), so the last epochs are never validated. None: after --validate-every epochs, and after the last."""


@dataclasses.dataclass(frozen=True)
class DeviceSettings(Checked):
    """On which devices a command trains, and how they compute."""

    strategy: Literal["auto", "one", "mirrored", "multiworker"] = "auto"
    """One device; "mirrored": all devices of this machine; "multiworker": all machines in the variable TF_CONFIG, on
    each of which this command is started. The batch size is that of all devices together. "auto": the machines in
    TF_CONFIG where it is set, else all GPUs if there are several that divide a batch, else one device."""
    precision: Literal["float32", "bfloat16", "float16"] | None = None
    """What the layers compute in, with weights in float32. [default: float32; event layers take float16 on a GPU]"""
    jit: Literal["auto", "on", "off"] = "auto"
    """XLA compilation of the training step, which needs --no-deterministic; "auto": Keras's choice on one GPU, off
    elsewhere."""
    deterministic: bool = True
    """Whether equal seeds give equal results to the bit; without it, a GPU may be faster."""
    tf32: Literal["on", "off"] = "on"
    """Whether a GPU rounds the factors of float32 products to TF32's 10 bits, which is faster."""
    cache: Literal["auto", "memory", "disk", "none"] = "auto"
    """Where features are kept once read; "auto": in memory if they fit into half of what is free. Does not change
    results."""
    wait: Count = 300
    """Seconds to wait for the other machines in TF_CONFIG."""

    def check_together(self) -> None:
        if self.jit == "on" and self.deterministic:
            raise InputError("--jit on: TensorFlow has no deterministic XLA; add --no-deterministic or leave it out.")


@dataclasses.dataclass(frozen=True)
class SeedSettings(Checked):
    """The seeds that a command trains, on what, and where their curves are shown."""

    seeds: Count = 1
    """How many seeds to train, starting with --seed."""
    seed: Seed = 0
    """The first seed."""
    devices: DeviceSettings = DeviceSettings()
    logger: Literal["wandb", "mlflow"] | None = None
    """Where to show the curves besides TensorBoard: Weights & Biases or MLflow, which need to be installed."""

    def check_together(self) -> None:
        last = self.seed + self.seeds - 1
        if last >= 2**32:
            raise InputError(f"--seed {self.seed} --seeds {self.seeds}: the last seed would be {last}, above 2^32 - 1; "
                             "choose smaller ones.")  # fmt: skip
        if self.logger and importlib.util.find_spec(self.logger) is None:
            remedy = f"pip install 'audio-visual-fusion[{self.logger}]'"
            raise InputError(f"--logger {self.logger}: is not installed; {remedy}.")

    @property
    def all_seeds(self) -> range:
        return range(self.seed, self.seed + self.seeds)


@dataclasses.dataclass(frozen=True)
class TrainSettings(SeedSettings):
    """Settings of a training command.

    A paper's own class sets its name, the choices and defaults of `model` and `preset`, and adds the dataset,
    `network` and `training`.
    """

    paper: ClassVar[str]

    model: str = ""
    """Which of the paper's models."""
    preset: Literal["code", "paper"] = "code"
    """Follow the authors' code, or the paper where the two differ."""
    out: Path | None = None
    """Folder of the run; the same command resumes an interrupted run. [default: runs/PAPER/MODEL-PRESET]"""

    @property
    def folder(self) -> Path:
        return self.out or Path("runs") / self.paper / f"{self.model}-{self.preset}"


@dataclasses.dataclass(frozen=True)
class SegmentData(Checked):
    """The dataset with labels of each second that a command trains on."""

    dataset: "Literal[tuple(DATASETS)]" = "rendered"
    """"ave" needs --data and is the default with it; "csv", your own clips, needs it too; "rendered" means synthetic
    clips, generated on this machine."""
    data: Path | None = None
    """Folder with the dataset's official files."""


@dataclasses.dataclass(frozen=True)
class DataSettings(Checked):
    """The dataset that a command reads."""

    dataset: "Literal[tuple(DATASETS)] | None" = None
    """What to train and evaluate on. [default: "ave" with --data, else "rendered"]"""
    data: Path | None = None
    """Folder with the dataset's official files and features."""

    @property
    def chosen_dataset(self) -> str:
        return self.dataset or ("ave" if self.data else "rendered")

    def check(self) -> None:
        """Raises InputError if a folder is given for synthetic clips, which have no files."""
        if self.chosen_dataset == "rendered":
            require_no_folder(self.data)


@dataclasses.dataclass(frozen=True)
class TableSettings(SeedSettings):
    """Settings of a tables command."""

    paper: ClassVar[str]

    table: str = "all"
    """Which table of the paper; several separated by | ("Table 1|Table 2"), or all."""
    rows: tuple[str, ...] = ()
    """Which of its rows, by the names printed, and which models of your own (--import). [default: all]"""
    preset: Literal["code", "paper"] = "code"
    """Follow the authors' code, or the paper where the two differ."""
    epochs: MaybeCount = None
    """Number of epochs for every row instead of its own; a row trained for fewer is marked "smoke"."""
    out: Path | None = None
    """Folder of the tables and all runs; the same command resumes an interrupted one.
    [default: runs/PAPER/tables/DATASET-PRESET]"""

    @property
    def chosen_dataset(self) -> str:
        """The dataset to train and evaluate on."""
        raise NotImplementedError

    def check(self) -> None:
        """Raises InputError if settings contradict each other."""

    @property
    def folder(self) -> Path:
        return self.out or Path("runs") / self.paper / "tables" / f"{self.chosen_dataset}-{self.preset}"

    def chosen_tables(self, tables: Iterable[str]) -> tuple[str, ...]:
        """The requested ones among the paper's `tables`, without repetitions."""
        return tuple(dict.fromkeys(tables if self.table == "all" else map(str.strip, self.table.split("|"))))

    def run_folder(self, name: str) -> Path:
        """Folder of a model's runs; runs of another length have a folder of their own."""
        return self.folder / (name if self.epochs is None else f"{name}-{self.epochs}-epochs")

    def shortened(self, own):
        """A training command's settings with the number of epochs given to the tables command."""
        if self.epochs is None:
            return own
        return dataclasses.replace(own, training=dataclasses.replace(own.training, epochs=self.epochs))


def fitted(network, split: Split):
    """The configuration of a segment classifier, with the sizes of a dataset filled in.

    Args:
      network: a `SegmentNetwork` with a shape or a number of channels for each input.
      split: with segment labels.
    """
    num_segments, num_classes = split.labels.shape[1:]
    shapes = {name: tuple(source.shape[1:]) for name, source in split.inputs.items()}
    sizes = {f"{name}_shape": shapes[name] for name in ("visual", "audio_map") if name in shapes}
    sizes |= {f"{name}_channels": shapes[name][-1] for name in ("audio", "motion") if name in shapes}
    return dataclasses.replace(network, num_classes=num_classes, num_segments=num_segments, **sizes)
