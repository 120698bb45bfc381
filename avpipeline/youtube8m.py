"""`python -m avpipeline.youtube8m`: checks shards, stores standard deviations, writes shards from features."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import tyro

from avpipeline.cli import Count, MaybeCount, run
from avpipeline.cli.cluster import EngineName, connected, mapped, require_engine, require_folders
from avpipeline.datasets.checks.findings import reported
from avpipeline.datasets.checks.youtube8m import check_shards


@dataclasses.dataclass(frozen=True, kw_only=True)
class Engine:
    """Where the work is done."""

    engine: EngineName = "local"
    """local: this process; ray: a Ray cluster, one file a task."""
    address: str | None = None
    """Address of the Ray cluster: auto, or HOST:PORT. [default: this machine alone]"""


@dataclasses.dataclass(frozen=True)
class Check(Engine):
    """Counts the videos in shards and reads every record: what is there, and what cannot be used."""

    shards: tyro.conf.Positional[tuple[str, ...]]
    """Files or patterns in quotes, e.g. "yt8m/train*.tfrecord"."""
    num_classes: MaybeCount = None
    """Number of classes, which labels must be below: 3862 for YouTube-8M of 2018, 4716 for 2017. [default: any]"""
    values: bool = True
    """Read every record; otherwise records are only counted, which is quick."""


@dataclasses.dataclass(frozen=True)
class Std(Engine):
    """Stores mean and standard deviation of frame-level shards as video-level shards, one for each file."""

    shards: tyro.conf.Positional[tuple[str, ...]]
    """Frame-level files or patterns in quotes, e.g. "yt8m/frame/train*.tfrecord"."""
    out: Path
    """Folder for files of the same names; files that exist already are kept, so an interrupted run resumes."""
    skip_corrupt: bool = False
    """Skip damaged records and report how many; otherwise the first one ends the run."""


@dataclasses.dataclass(frozen=True)
class Write:
    """Writes extracted features and a CSV of labels as shards.

    The CSV has the columns `id` (the media file's name without extension), `labels` (names or numbers, separated by
    ";") and, optionally, `split` (train, val or test); the CSV of the dataset "csv" will do.
    """

    features: tyro.conf.Positional[Path]
    """Folder of extracted features (python -m avpipeline.extract)."""
    labels: tyro.conf.Positional[Path]
    """CSV file of labels."""
    out: Path
    """Folder for the shards and vocabulary.csv."""
    vocabulary: Path | None = None
    """CSV file with the columns Index and Name. [default: the names in --labels, sorted]"""
    level: Literal["frame", "video"] = "frame"
    """Every second as a frame, or the mean and standard deviation of each video."""
    shards: Count = 1
    """Number of files for each split."""
    scale: bool = True
    """Scale each modality so that its largest value becomes 2, since a frame's bytes span -2 to 2. Without it, values
    outside are clipped: for features made for that range, such as vggish:embedding_pca_quantized."""


def main(command: Check | Std | Write) -> int:
    """YouTube-8M records: checks them, stores standard deviations, writes records of your own videos.

    Examples:
      python -m avpipeline.youtube8m check "yt8m/train*.tfrecord"
      python -m avpipeline.youtube8m write FEATURES labels.csv --out OUT
    """
    from avpipeline.datasets.youtube8m import list_shards, making

    if isinstance(command, Write):
        making.write_features(**vars(command))
        return 0
    if isinstance(command, Std):
        require_folders([command.out], "standard deviations are written")
    with _engine(command) as each:
        if isinstance(command, Std):
            making.store_std(command.shards, command.out, each, skip_corrupt=command.skip_corrupt)
            return 0
        settings = {"num_classes": command.num_classes, "values": command.values, "each": each}
        return reported(
            finding for pattern in command.shards for finding in check_shards(pattern, list_shards(pattern), **settings)
        )


@contextlib.contextmanager
def _engine(command: Engine) -> Iterator[Callable[[Callable, Sequence], Iterable]]:
    """Yields `map`, or its counterpart on a Ray cluster, which is in use until the block ends."""
    require_engine(command.engine, command.address)
    if command.engine == "local":
        yield map
        return
    with connected(command.address):
        yield mapped


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avpipeline.youtube8m"))
