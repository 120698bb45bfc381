"""Which data a result was measured on, judged by what was read and never by the flag that named it.

A folder laid out like a dataset's files may hold other clips, or only a part of the dataset. Data is called by a
dataset's name only if every split has as many videos as the dataset's authors published.
"""

import dataclasses
from collections.abc import Mapping

from avpipeline.datasets.base import Split, Stream
from avpipeline.features.info import FeatureInfo

OWN = "your own clips"
# Files of these forms may hold anybody's clips; the lists of the others are checked against their classes.
_ANYBODYS = {"ave": OWN, "csv": OWN, "youtube8m": "records in YouTube-8M's form"}
_SYNTHETIC = {"rendered": "synthetic clips", "rendered_pairs": "synthetic clips, two events each"}


@dataclasses.dataclass(frozen=True)
class Official:
    """A dataset as its authors published it.

    Attributes:
      title: its name in a sentence.
      clips: split -> the numbers of videos that it may have; "all" is for the three splits together.
    """

    title: str
    clips: Mapping[str, tuple[int, ...]]

    def compared(self, clips: Mapping[str, int]) -> list[bool]:
        """Whether splits of these sizes can be the published ones, for each number that is known of them."""
        whole = {**clips, "all": sum(clips.values())} if len(clips) == 3 else clips
        return [whole[name] in allowed for name, allowed in self.clips.items() if name in whole]


_LLP = {"train": (10000,), "val": (649,), "test": (1200,)}
# Without and with the 178 videos that weakly supervised training adds.
_AVE_TRAIN = (3339, 3517)
OFFICIAL = {
    "ave": Official("AVE", {"train": _AVE_TRAIN, "val": (402,), "test": (402,)}),
    "ucf51-1": Official("UCF51, official split 1", {"train": (4334,), "val": (558,), "test": (1944,)}),
    "ucf51-2": Official("UCF51, official split 2", {"train": (4362,), "val": (563,), "test": (1911,)}),
    "ucf51-3": Official("UCF51, official split 3", {"train": (4374,), "val": (567,), "test": (1895,)}),
    "kinetics_sounds-31": Official(
        "Kinetics-Sounds (31 classes)", {"train": (13320,), "val": (1479,), "test": (2597,)}
    ),
    "kinetics_sounds-32": Official("Kinetics-Sounds (32 classes)", {"all": (21945,)}),
    "kinetics400": Official("Kinetics-400", {"all": (306245,)}),
    "vggsound": Official("VGGSound", {"test": (15446,), "all": (199176,)}),
    "llp": Official("LLP", _LLP),
    "llp-drawn": Official("LLP, one drawn label a training video", _LLP),
    # Videos of 2017's training and validation files, the latter divided into validation and test.
    "youtube8m": Official("YouTube-8M of 2017", {"train": (4906660,), "all": (4906660 + 1401828,)}),
    "llp-single": Official("LLP, training videos with one label", {**_LLP, "train": (4032,)}),
}


@dataclasses.dataclass(frozen=True)
class Data:
    """The data of an experiment.

    Attributes:
      dataset: the name under which it was read.
      clips: split -> number of videos.
      class_names, features: as in `Split`.
    """

    dataset: str
    clips: Mapping[str, int]
    class_names: tuple[str, ...]
    features: Mapping[str, FeatureInfo]

    @classmethod
    def of(cls, splits: Mapping[str, Split | Stream], features: Mapping[str, FeatureInfo]) -> "Data":
        """Describes the data in `splits`."""
        train = splits["train"]
        clips = {name: len(split) for name, split in splits.items()}
        return cls(train.dataset, clips, tuple(train.class_names), features)

    @property
    def is_synthetic(self) -> bool:
        """Whether these are the clips that this program renders."""
        return self.dataset in _SYNTHETIC

    @property
    def is_official(self) -> bool:
        """Whether these are all videos of a published dataset."""
        compared = OFFICIAL[self.dataset].compared(self.clips) if self.dataset in OFFICIAL else [False]
        return all(compared) and (bool(compared) or self.dataset not in _ANYBODYS)

    @property
    def name(self) -> str:
        """The name of this data, as shown beside a result."""
        if self.is_synthetic:
            return _SYNTHETIC[self.dataset]
        return OFFICIAL[self.dataset].title if self.is_official else self.key

    @property
    def key(self) -> str:
        """The dataset's name in records: `dataset` where that is true."""
        if self.is_synthetic or self.is_official:
            return self.dataset
        part = f"a part of {OFFICIAL[self.dataset].title}" if self.dataset in OFFICIAL else self.dataset
        return _ANYBODYS.get(self.dataset, part)

    def in_words(self) -> str:
        """Name and test split, as shown beside a result."""
        if self.is_official:
            return f"{self.name}, test split"
        return f"{self.name}, {self.clips['test']} in the test split"

    def why_not_official(self) -> str | None:
        """Why no paper has a result on this data; None for a published dataset, or synthetic clips in its place."""
        if self.is_synthetic or self.is_official:
            return None
        counts = f"{self.name} ({', '.join(f'{count} {split}' for split, count in self.clips.items())})"
        if self.dataset not in OFFICIAL:
            return f"the data are {counts}"
        official = OFFICIAL[self.dataset]
        published = ", ".join(f"{' or '.join(map(str, sizes))} {name}" for name, sizes in official.clips.items())
        return f"the data are {counts}, and {official.title} has {published}"

    def described(self) -> str:
        """A line with name, sizes, classes and extractors."""
        sizes = ", ".join(f"{count} {name}" for name, count in self.clips.items())
        made = ", ".join(f"{name} {info.named}" for name, info in self.features.items())
        return f"Data: {self.name}; clips: {sizes}; {len(self.class_names)} classes; features: {made}."

    def to_json(self) -> dict:
        """The data as JSON values."""
        return {
            "name": self.name,
            "official": self.is_official,
            "clips": dict(self.clips),
            "classes": len(self.class_names),
            "class_names": list(self.class_names),
            "extractors": {name: info.label for name, info in self.features.items()},
        }


def name_of(split: Split | Stream) -> str:
    """The name of a single split's data in records and titles: its dataset's, unless the number of videos says no."""
    return Data(split.dataset, {split.name: len(split)}, (), {}).key
