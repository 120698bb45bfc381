"""Settings that several commands of the paper share."""

import dataclasses
from pathlib import Path
from typing import Literal

from avpipeline.cli import MaybeCount


@dataclasses.dataclass(frozen=True)
class RecordSettings:
    """Settings of every command that reads records."""

    dataset: Literal["rendered", "youtube8m"] | None = None
    """"youtube8m" needs --data; "rendered" means records of synthetic clips, generated on this machine. [default:
    "youtube8m" with --data, else "rendered"]"""
    data: Path | None = None
    """Folder with shards in YouTube-8M's format (train*.tfrecord, validate*.tfrecord, test*.tfrecord)."""
    num_classes: MaybeCount = None
    """Number of labels: 4716 for YouTube-8M of 2017, as in the paper, 3862 for 2018. [default: that in vocabulary.csv
    in --data]"""
    vocabulary: Path | None = None
    """Names of the labels, a CSV file in YouTube-8M's format. [default: vocabulary.csv in --data]"""
    missing: Literal["error", "zeros"] = "error"
    """What to do with a video without audio or visual features: an error, or features of zeros."""
    skip_corrupt: bool = False
    """Skip damaged records and report how many there were, instead of ending with an error."""

    @property
    def name(self) -> str:
        return self.dataset or ("youtube8m" if self.data else "rendered")
