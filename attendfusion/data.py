"""The records that a network reads: which files, which splits, in which form."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from avpipeline.datasets import require_folder, require_no_folder
from avpipeline.datasets.base import Stream
from avpipeline.datasets.youtube8m import CorruptRecords
from avpipeline.datasets.youtube8m.splits import YouTube8M, load_youtube8m


@dataclasses.dataclass(frozen=True)
class RecordSettings:
    """Settings of every command that reads records."""

    dataset: Literal["rendered", "youtube8m"] | None = None
    """"youtube8m" needs --data; "rendered" is a small test bed made on this machine. [default: "youtube8m" with --data,
    else "rendered"]"""
    data: Path | None = None
    """Folder with YouTube-8M's shards (train*.tfrecord, validate*.tfrecord, test*.tfrecord) or others of that form."""
    num_classes: int | None = None
    """Labels: 4716 for YouTube-8M of 2017, as in the paper, 3862 for that of 2018. [default: those of vocabulary.csv in
    --data]"""
    vocabulary: Path | None = None
    """Names of the labels, a CSV file in YouTube-8M's format. [default: vocabulary.csv in --data]"""
    missing: Literal["error", "zeros"] = "error"
    """What becomes of a video without sound or without pictures: an error, or features of zeros."""
    skip_corrupt: bool = False
    """Leave out damaged records and say how many there were, instead of ending with an error."""

    @property
    def name(self) -> str:
        return self.dataset or ("youtube8m" if self.data else "rendered")


@dataclasses.dataclass(frozen=True)
class Records:
    """A dataset's records as one network reads them.

    Attributes:
      source: the dataset.
      tokens, modalities: what is read of each video.
      missing, skip_corrupt: as of `RecordSettings`.
      corrupt: takes note of what was skipped.
    """

    source: YouTube8M
    tokens: str
    modalities: tuple[str, ...]
    missing: str = "error"
    skip_corrupt: bool = False
    corrupt: CorruptRecords = dataclasses.field(default_factory=CorruptRecords)

    @property
    def scale(self) -> dict[str, float]:
        """Modality -> the factor that features were multiplied with when the records were written."""
        return {name: self.source.description.scale[name] for name in self.modalities}

    def stream(self, split: str) -> Stream:
        """One split; InputError where it has no files, or a damaged one."""
        return self.source.stream(
            split,
            tokens=self.tokens,
            modalities=self.modalities,
            missing=self.missing,
            skip_corrupt=self.skip_corrupt,
            corrupt=self.corrupt,
        )

    def tell_skipped(self) -> None:
        """Prints which records were skipped, where any could be."""
        if self.skip_corrupt:
            print(self.corrupt.text())


def load_records(settings: RecordSettings, network: Mapping) -> Records:
    """The dataset, as a network with this configuration (fields of `ModelConfig`) reads it.

    Raises:
      InputError: files missing or wrong.
    """
    tokens, modalities = network["tokens"], tuple(network["modalities"])
    return Records(_source(settings, tokens), tokens, modalities, settings.missing, settings.skip_corrupt)


def _source(settings: RecordSettings, tokens: str) -> YouTube8M:
    if settings.name == "rendered":
        require_no_folder(settings.data)
        # Rendering brings decoders and networks that real features do not need.
        from avpipeline.datasets.youtube8m.rendered import rendered_youtube8m

        return rendered_youtube8m(level="frame" if tokens == "frames" else "video")
    require_folder("youtube8m", settings.data)
    return load_youtube8m(settings.data, num_classes=settings.num_classes, vocabulary=settings.vocabulary)
