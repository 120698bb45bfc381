"""What the papers' training commands share: settings, defaults that follow the preset, words on the test bed."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

from avpipeline.cli import chosen


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """Settings of a training command.

    A paper's own class gives its name, its choices and defaults of `model` and `preset`, and adds what it trains on,
    `network` and `training`.
    """

    paper: ClassVar[str]

    model: str
    """Which of the paper's models."""
    preset: str
    """What the authors' code does, or what the paper says where they differ."""
    seeds: int = 1
    """How many seeds to train, counted up from --seed."""
    seed: int = 0
    """The first seed."""
    out: Path | None = None
    """Folder of the run; the same command goes on where it was cut off."""

    @property
    def folder(self) -> Path:
        return self.out or Path("runs") / self.paper / f"{self.model}-{self.preset}"

    @property
    def all_seeds(self) -> range:
        return range(self.seed, self.seed + self.seeds)


Settings = TypeVar("Settings", bound=TrainSettings)


def preset_defaults(
    argv: Sequence[str],
    settings_for: Callable[[str, str, str], Settings],
    *,
    unchanged: Settings,
    with_data: str,
) -> Settings:
    """The settings of the model, preset and dataset that a command line names, which its other words change.

    Args:
      settings_for: `(model, preset, dataset)` -> settings; ValueError for a name that does not exist.
      unchanged: the settings of a command line without words.
      with_data: the dataset where there is --data and no --dataset; without --data it is "rendered".
    """
    first = chosen(argv, model=unchanged.model, preset=unchanged.preset, dataset=None, data=None)
    dataset = first["dataset"] or (with_data if first["data"] else "rendered")
    try:
        return settings_for(first["model"], first["preset"], dataset)
    except ValueError:
        # A name that does not exist is left to the parser, which lists those that do.
        return unchanged


def tell_test_bed(settings, changed: Iterable[str]) -> None:
    """Prints that a run is on the rendered test bed, and its values of the settings that are others there.

    Args:
      settings: with `network` and `training`.
      changed: names of fields of these two.
    """
    values = {**vars(settings.network), **vars(settings.training)}
    sizes = ", ".join(f"{name} {values[name]}" for name in changed)
    print(f"On the rendered test bed; instead of the published sizes: {sizes}")
