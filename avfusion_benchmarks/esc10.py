"""ESC-10 as features of each second.

ESC-10 (Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015): 400 recordings of up to 5 s
in ten classes, with five official folds. The first digit of a file name is its fold, the folder's name its class.

It is the part of https://github.com/karolpiczak/ESC-50 that is under CC BY; docs/datasets.md has the layout of folders.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from avpipeline import media
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo

FOLDS, SECONDS = 5, 5
EXTRACTORS = {"seeded network": "small_audio", "YAMNet embedding": "yamnet", "YAMNet scores": "yamnet:scores"}
# Class -> AudioSet's names of it, chosen by their meaning.
NAMES = {
    "Dog bark": ("Bark", "Bow-wow", "Yip", "Dog"),
    "Rain": ("Rain", "Raindrop", "Rain on surface"),
    "Sea waves": ("Waves, surf", "Ocean"),
    "Baby cry": ("Baby cry, infant cry", "Crying, sobbing"),
    "Clock tick": ("Tick", "Tick-tock", "Clock"),
    "Person sneeze": ("Sneeze",),
    "Helicopter": ("Helicopter",),
    "Chainsaw": ("Chainsaw",),
    "Rooster": ("Crowing, cock-a-doodle-doo", "Chicken, rooster"),
    "Fire crackling": ("Crackle", "Fire"),
}


@dataclasses.dataclass(frozen=True)
class Clips:
    """ESC-10.

    Attributes:
      ids: names of the files.
      labels, folds: class and official fold (1 to 5) of each.
      lengths: whole seconds of each, 1 to 5.
      features: extractor -> `(clips, 5, channels)`, of silence after a clip's end.
      infos: extractor -> what these features are.
    """

    ids: tuple[str, ...]
    labels: np.ndarray
    folds: np.ndarray
    lengths: np.ndarray
    features: Mapping[str, np.ndarray]
    infos: Mapping[str, FeatureInfo]

    @property
    def own(self) -> np.ndarray:
        """Which seconds are a clip's own, `(clips, 5)`."""
        return np.arange(SECONDS) < self.lengths[:, None]

    def means(self, name: str) -> np.ndarray:
        """Each clip's mean over its own seconds, `(clips, channels)`."""
        return (self.features[name] * self.own[..., None]).sum(1) / self.lengths[:, None]


def read_clips(folder: Path, weights_dir=None) -> Clips:
    """Decodes ESC-10 and extracts its features; InputError where a class's folder is missing."""
    from avpipeline.features.registry import build_extractor

    extractors = {name: build_extractor(label, weights_dir=weights_dir) for name, label in EXTRACTORS.items()}
    sounds, ids, labels = [], [], []
    for number, name in enumerate(NAMES):
        found = sorted(folder.glob(f"*{name}"))
        if len(found) != 1:
            raise InputError(f"{folder}: has no folder of the class '{name}'; arrange it as docs/datasets.md says.")
        for path in media.list_media(found[0]):
            sounds.append((media.probe(path).whole_seconds, media.read_waveform(path, seconds=SECONDS)))
            ids.append(path.stem)
            labels.append(number)
    waveforms = np.stack([waveform for _, waveform in sounds]).reshape(-1, media.SAMPLE_RATE)
    features = {name: extractor(waveforms) for name, extractor in extractors.items()}
    return Clips(
        tuple(ids),
        np.array(labels),
        np.array([int(name[0]) for name in ids]),
        np.array([min(length, SECONDS) for length, _ in sounds]),
        {name: values.reshape(len(ids), SECONDS, -1) for name, values in features.items()},
        {name: extractor.info for name, extractor in extractors.items()},
    )
