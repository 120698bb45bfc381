"""The records that a network takes: files, splits and form."""

import dataclasses
from collections.abc import Mapping

from attendfusion.settings import RecordSettings
from avpipeline.datasets import require_folder, require_no_folder
from avpipeline.datasets.base import Stream
from avpipeline.datasets.youtube8m import CorruptRecords
from avpipeline.datasets.youtube8m.splits import YouTube8M, load_youtube8m


@dataclasses.dataclass(frozen=True)
class Records:
    """A dataset's records in the form that a network takes.

    Attributes:
      source: the dataset.
      tokens, modalities: what is read for each video.
      missing, skip_corrupt: as in `RecordSettings`.
      corrupt: records what was skipped.
    """

    source: YouTube8M
    tokens: str
    modalities: tuple[str, ...]
    missing: str = "error"
    skip_corrupt: bool = False
    corrupt: CorruptRecords = dataclasses.field(default_factory=CorruptRecords)

    @property
    def scale(self) -> dict[str, float]:
        """Modality -> the factor that its features were multiplied by when the records were written."""
        return {name: self.source.description.scale[name] for name in self.modalities}

    def stream(self, split: str) -> Stream:
        """One split; InputError if it has no files, or a damaged one."""
        return self.source.stream(split, **{name: value for name, value in vars(self).items() if name != "source"})

    def tell_skipped(self) -> None:
        """Prints which records were skipped, if that is allowed."""
        if self.skip_corrupt:
            print(self.corrupt.text())


def load_records(settings: RecordSettings, network: Mapping) -> Records:
    """The dataset, in the form that a network with this configuration (fields of `ModelConfig`) takes.

    If no tokens are chosen, they follow from what the files hold, and the choice is printed.

    Raises:
      InputError: files missing or wrong.
    """
    tokens, modalities = network["tokens"], tuple(network["modalities"])
    source = _source(settings, tokens)
    if tokens is None:
        tokens = "mean_std" if source.has_std else "mean"
        held = "mean and standard deviation, two tokens" if source.has_std else "the mean alone, one token"
        print(f"{source.folder}: {source.level}-level records give {held} a video (tokens {tokens})")
    return Records(source, tokens, modalities, settings.missing, settings.skip_corrupt)


def _source(settings: RecordSettings, tokens: str) -> YouTube8M:
    if settings.name == "rendered":
        require_no_folder(settings.data)
        # Imported here: real records need neither decoders nor feature networks.
        from avpipeline.datasets.youtube8m.rendered import rendered_youtube8m

        return rendered_youtube8m(level="frame" if tokens == "frames" else "video")
    require_folder("youtube8m", settings.data)
    return load_youtube8m(settings.data, num_classes=settings.num_classes, vocabulary=settings.vocabulary)
