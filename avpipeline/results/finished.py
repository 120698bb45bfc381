"""Runs that a training command finished, read back from their folders."""

import csv
import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from avpipeline.errors import InputError
from avpipeline.files import Unusable, read_bytes, read_record, reading

_TEXTS = ("paper", "model", "preset", "dataset", "metric")
_REMEDY = "train it again into another --out"


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
      folder: of the run.
      result: the contents of its result.json.
    """

    folder: Path
    result: Mapping

    @property
    def scores(self) -> dict[int, float]:
        """Seed -> score on the test split, in percent."""
        return {seed["seed"]: 100 * seed["test"] for seed in self.result["seeds"]}

    @property
    def metric(self) -> str:
        return self.result["metric"].replace("_", " ")

    def history(self, seed: int) -> list[dict[str, float]]:
        """A seed's log.csv, a dict an epoch, without what was not measured; empty where there is no log."""
        path = self.folder / f"seed-{seed}" / "log.csv"
        if not path.exists():
            return []
        with reading(path, "is damaged or not what a command wrote", _REMEDY):
            lines = csv.DictReader(read_bytes(path).decode("utf-8").splitlines())
            return [{name: float(value) for name, value in line.items() if value} for line in lines]


def read_run(folder, paper: str) -> Run:
    """The finished run in a folder.

    Raises:
      InputError: it holds none, an unfinished one, or one of another paper.
    """
    folder, path = Path(folder), Path(folder) / "result.json"
    if not path.is_file():
        unfinished = (folder / "settings.json").is_file()
        raise InputError(
            f"{folder}: holds an unfinished run; finish it with the command that began it."
            if unfinished
            else f"{folder}: holds no run; name the folder that python -m {paper}.train printed."
        )
    result = read_record(path, _REMEDY)
    with reading(path, "is not the result of a training command", _REMEDY):
        _require_whole(result)
    if result["paper"] != paper:
        raise InputError(
            f"{folder}: holds a run of {result['paper']}, not of {paper}; use python -m {result['paper']} commands."
        )
    return Run(folder, result)


def _require_whole(result: Mapping) -> None:
    """Raises some exception unless a result has the parts that are read later."""
    settings = result["settings"]
    parts = [settings, settings.get("training", {}), result.get("clips", {}), result.get("versions", {})]
    if not all(isinstance(result[name], str) for name in _TEXTS) or not all(isinstance(part, dict) for part in parts):
        raise Unusable(f"is not the result of a training command; {_REMEDY}.")
    seeds = [seed["seed"] for seed in result["seeds"]]
    numbers = [seed[name] for seed in result["seeds"] for name in ("test", "val", "parameters")]
    if not seeds or len({*seeds}) < len(seeds) or not all(isinstance(seed, int) for seed in seeds):
        raise Unusable(f"has no seeds, or one twice; {_REMEDY}.")
    if not all(math.isfinite(number) for number in numbers):
        raise Unusable(f"has results that are no numbers; {_REMEDY}.")


def flat(settings: Mapping, before: str = "") -> dict[str, str]:
    """Settings within settings as texts by dotted names: `{"training.epochs": "20"}`."""
    found = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            found |= flat(value, f"{before}{name}.")
        else:
            found[before + name] = value if isinstance(value, str) else json.dumps(value)
    return found


def names_of(folders: Sequence[Path]) -> list[str]:
    """A short name for each folder: its own, or the whole path where two are called the same."""
    own = [folder.resolve().name for folder in folders]
    return [name if own.count(name) == 1 else str(folder) for name, folder in zip(own, folders, strict=True)]
