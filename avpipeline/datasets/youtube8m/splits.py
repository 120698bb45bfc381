"""YouTube-8M, or any folder of shards in its format: splits by file name, class names, features.

The dataset's authors publish TFRecord shards `train*.tfrecord`, `validate*.tfrecord` and `test*.tfrecord`, the last
without labels, and `vocabulary.csv`; `avpipeline.datasets.youtube8m` reads the records.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from avpipeline.datasets import youtube8m
from avpipeline.datasets.base import Stream
from avpipeline.datasets.listings import read_table
from avpipeline.datasets.youtube8m.counts import counted
from avpipeline.datasets.youtube8m.files import SPLIT_NAMES, count_records, first_record
from avpipeline.datasets.youtube8m.records import MODALITIES, decoded
from avpipeline.datasets.youtube8m.writing import Description, read_description
from avpipeline.errors import InputError
from avpipeline.files import write_csv

VOCABULARY_FILE = "vocabulary.csv"
_VOCABULARY = "Index,TrainVideoCount,KnowledgeGraphId,Name,WikiUrl,Vertical1,Vertical2,Vertical3,WikiDescription"
_SIZES = "(--num-classes 3862 for YouTube-8M of 2018, 4716 for that of 2017)"


@dataclasses.dataclass(frozen=True)
class YouTube8M:
    """A folder of shards.

    Attributes:
      name: "youtube8m" or "rendered", shown with every result.
      folder: the folder itself.
      level: "video", "frame" or "segment".
      class_names: in label order.
      description: what the features are.
      shards: split -> its files.
      has_std: whether standard deviations can be read: from frames, or from video-level records, of which the first
        decides.
    """

    name: str
    folder: Path
    level: str
    class_names: tuple[str, ...]
    description: Description
    shards: Mapping[str, tuple[str, ...]]
    has_std: bool = True

    def stream(
        self, split: str, *, modalities: Iterable[str] = MODALITIES, skip_corrupt: bool = False, **options
    ) -> Stream:
        """One split for `avpipeline.datasets.batches.batches` and `avpipeline.training.runs`.

        Args:
          split: "train", "val" or "test".
          modalities: the inputs of the batches unless fewer are requested.
          skip_corrupt, options: as for `youtube8m.dataset`.

        Raises:
          InputError: no such split, or a file of it is damaged.
        """
        everything = tuple(modalities)

        def read(batch_size: int, *, modalities: Iterable[str] | None = None, cache: bool = False, **order):
            if cache:
                raise InputError(f"{self.folder}: records read as a stream cannot be cached; leave out the cache.")
            # A model may also name inputs that come with the frames, such as num_frames.
            chosen = everything if modalities is None else [name for name in modalities if name in MODALITIES]
            return self._dataset(split, batch_size, modalities=chosen, skip_corrupt=skip_corrupt, **options, **order)

        features = {name: self.description.features[name] for name in everything}
        return Stream(self.name, split, self.class_names, features, self.videos(split, skip_corrupt), read)

    def paths(self, split: str) -> tuple[str, ...]:
        """The files of a split; InputError if there are none."""
        if split not in self.shards:
            known = ", ".join(self.shards)
            raise InputError(f"{self.folder}: has no files of the split '{split}', only of {known}; add them.")
        return self.shards[split]

    def videos(self, split: str, skip_corrupt: bool = False) -> int:
        """Number of examples of a split: videos, or labelled segments."""
        if self.level != "segment":
            paths = self.paths(split)
            return count_records(paths, skip_corrupt=True) if skip_corrupt else counted(paths)
        batches = self._dataset(split, 256, tokens="mean", missing="zeros", skip_corrupt=skip_corrupt)
        return sum(len(labels) for _, labels in batches)

    def _dataset(self, split: str, batch_size: int, **options):
        form = {"level": self.level, "num_classes": len(self.class_names), "batch_size": batch_size}
        return youtube8m.dataset(self.paths(split), **form, **options)


def load_youtube8m(
    folder,
    *,
    num_classes: int | None = None,
    vocabulary: Path | None = None,
    level: Literal["video", "frame", "segment"] | None = None,
    name: str = "youtube8m",
) -> YouTube8M:
    """A folder of shards in YouTube-8M's format.

    If the test files have no labels, as in YouTube-8M, the validation files are divided alternately: the first, third,
    ... are "val", the others "test".

    Args:
      num_classes: None takes the vocabulary's, if that has no gaps.
      vocabulary: CSV file of class names; None takes `vocabulary.csv` in the folder, if present.
      level: None takes that of the first record; segments must be requested.

    Raises:
      InputError: no files, an unknown number of classes, a damaged file.
    """
    folder = Path(folder)
    shards = split_files(folder)
    if not shards:
        raise InputError(
            f"{folder}: has no train*.tfrecord, validate*.tfrecord or test*.tfrecord; name the folder of YouTube-8M's "
            "shards."
        )
    records = {split: decoded(paths[0], first_record(paths[0])) for split, paths in shards.items()}
    if "test" in shards and not records["test"].integers("labels"):
        del shards["test"]
        if len(shards.get("val", ())) > 1:
            shards["val"], shards["test"] = shards["val"][::2], shards["val"][1::2]
    first = next(iter(records.values()))
    level = level or first.level or "video"
    class_names, has_std = _class_names(folder, vocabulary, num_classes), level != "video" or first.has_std
    return YouTube8M(name, folder, level, class_names, read_description(folder), shards, has_std)


def split_files(folder) -> dict[str, tuple[str, ...]]:
    """ "train", "val", "test" -> the files of that split by their names, for splits that have any."""
    found = {}
    for split, names in SPLIT_NAMES.items():
        for name in names:
            paths = [*Path(folder).glob(f"{name}*.tfrecord"), *Path(folder).glob(f"{name}/*.tfrecord")]
            if paths and split not in found:
                found[split] = tuple(sorted(map(str, paths)))
    return found


def _class_names(folder: Path, vocabulary: Path | None, num_classes: int | None) -> tuple[str, ...]:
    path = vocabulary or folder / VOCABULARY_FILE
    if vocabulary or path.exists():
        return read_vocabulary(path, num_classes)
    if num_classes is None:
        raise InputError(
            f"{folder}: has no {VOCABULARY_FILE}, so the number of classes is not known; give it {_SIZES}."
        )
    return tuple(f"class {number}" for number in range(num_classes))


def read_vocabulary(path, num_classes: int | None = None) -> tuple[str, ...]:
    """Class names in label order from a CSV file with the columns `Index` and `Name`, like YouTube-8M's.

    An entry without a name (YouTube-8M has some) is called by its KnowledgeGraphId, a class without an entry (most
    classes in the vocabulary of the segments) "class 17" etc.

    Args:
      num_classes: None takes the number of entries; every number must have one then.

    Raises:
      InputError: no such file or columns, an index that is malformed, repeated, too large or missing.
    """
    path = Path(path)
    names = vocabulary_entries(path)
    count = len(names) if num_classes is None else num_classes
    outside = [number for number in names if not 0 <= number < count]
    if outside:
        raise InputError(
            f"{path}: has the class {outside[0]} where {count} classes end at {count - 1}; give the number of classes "
            f"of the labels {_SIZES}."
        )
    return tuple(names.get(number, f"class {number}") for number in range(count))


def vocabulary_entries(path) -> dict[int, str]:
    """Class number -> name, for the classes that a vocabulary lists; see `read_vocabulary`."""
    names: dict[int, str] = {}
    for row in read_table(path, ("Index",), heading=True):
        number = int(row.number("Index"))
        if number in names:
            raise row.error(f"has the class {number} again")
        if "Name" not in row.fields:
            raise row.error("has no Name: a vocabulary needs the columns Index and Name")
        names[number] = row["Name"] or row.fields.get("KnowledgeGraphId") or f"class {number}"
    return names


def write_vocabulary(path, names: Sequence[str], video_counts: Sequence[int]) -> None:
    """Writes names and numbers of training videos, in label order; YouTube-8M's other columns stay empty."""
    import pandas as pd

    known = {"Index": range(len(names)), "TrainVideoCount": video_counts, "Name": names}
    write_csv(path, pd.DataFrame(known, columns=_VOCABULARY.split(",")), lineterminator="\r\n")
