"""ESC-10 through the extractors: what real sound gives, without and with pretrained weights.

    python -m benchmarks.real_clips ESC10 --weights-dir WEIGHTS

ESC-10 (Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015): 400 recordings of up to 5 s
in ten classes, with five official folds. Every row is tested on each fold once; nothing is tuned. The first digit of a
file name is its fold, the folder's name its class.
"""

import dataclasses
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import tyro
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ave.train import PAPER as AVE
from avpipeline import media
from avpipeline.cli import Seed, run
from avpipeline.datasets.base import ArraySource, Split
from avpipeline.errors import InputError
from avpipeline.features import yamnet
from avpipeline.features.info import FeatureInfo
from avpipeline.features.registry import build_extractor
from avpipeline.files import read_predictions
from avpipeline.results.real_clips import Row, fold_accuracies, read_rows, write_rows
from avpipeline.training import runs
from avpipeline.training.paper import Paper
from mafnet.train import PAPER as MAFNET

FOLDS, SECONDS = 5, 5
EXTRACTORS = {"seeded network": "small_audio", "YAMNet embedding": "yamnet", "YAMNet scores": "yamnet:scores"}
# AudioSet's names of the ten classes, chosen by their meaning.
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

    def means(self, name: str) -> np.ndarray:
        """Each clip's mean over its own seconds, `(clips, channels)`."""
        own = np.arange(SECONDS) < self.lengths[:, None]
        return (self.features[name] * own[..., None]).sum(1) / self.lengths[:, None]


@dataclasses.dataclass(frozen=True)
class Settings:
    esc10: tyro.conf.Positional[Path]
    """Folder with a folder for each class ("001 - Dog bark", ...)."""
    weights_dir: Path | None = None
    """Folder with yamnet.h5 or yamnet.tflite and yamnet_class_map.csv."""
    seed: Seed = 0
    """Of the papers' models; the seeded network has seed 0."""
    out: Path = Path("results") / "real_clips"
    """Folder for the results and the predictions that they are computed from."""


def main(settings: Settings) -> None:
    """Five-fold accuracy on ESC-10 of heads on seeded and pretrained features, and of two papers' audio-only models."""
    clips = read_clips(settings.esc10, settings.weights_dir)
    class_names = yamnet.class_names(yamnet.weights_file(settings.weights_dir), settings.weights_dir)
    # Row -> its features, what classifies the clips, and the seed, if there is one.
    ways = {f"logistic regression on {name}": (name, partial(_logistic, clips, name), None) for name in EXTRACTORS}
    scored = partial(_zero_shot, clips, class_names)
    ways["zero-shot: highest of YAMNet's scores"] = ("YAMNet scores", scored, None)
    for paper, model in ((AVE, "a"), (MAFNET, "audio")):
        for name in ("seeded network", "YAMNet embedding"):
            trained = partial(_paper, clips, name, paper, model, settings.seed)
            ways[f"{paper.name} {model} (audio only) on {name}"] = (name, trained, settings.seed)
    rows = read_rows(settings.out)
    for way, (name, classify, seed) in ways.items():
        if way not in rows:
            info = clips.infos[name]
            rows[way] = Row(info.label, info.weights, classify(), seed)
            # After each row, so that a run that was interrupted goes on where it was.
            write_rows(settings.out, rows, clips.ids, clips.labels, clips.folds, runs.record())
            print(way, fold_accuracies(rows[way].predicted, clips.labels, clips.folds), flush=True)
    print(f"{settings.out} has {len(rows)} rows; python -m avpipeline.published writes RESULTS.md")


def read_clips(folder: Path, weights_dir=None) -> Clips:
    """Decodes ESC-10 and extracts its features; InputError where a class's folder is missing."""
    extractors = {name: build_extractor(label, weights_dir=weights_dir) for name, label in EXTRACTORS.items()}
    sounds, ids, labels = [], [], []
    for number, name in enumerate(NAMES):
        found = sorted(folder.glob(f"*{name}"))
        if len(found) != 1:
            raise InputError(f"{folder}: has no folder of the class '{name}'; give the folder of ESC-10.")
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


def _logistic(clips: Clips, name: str) -> np.ndarray:
    """Predicted class of each clip, by a head trained on the other four folds with scikit-learn's default settings."""
    values, predicted = clips.means(name), np.zeros(len(clips.ids), int)
    for fold in range(1, FOLDS + 1):
        test = clips.folds == fold
        head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        predicted[test] = head.fit(values[~test], clips.labels[~test]).predict(values[test])
    return predicted


def _zero_shot(clips: Clips, class_names: tuple[str, ...]) -> np.ndarray:
    number = {name: index for index, name in enumerate(class_names)}
    scores = clips.means("YAMNet scores")
    return np.stack([scores[:, [number[name] for name in names]].max(1) for names in NAMES.values()]).argmax(0)


def _paper(clips: Clips, name: str, paper: Paper, model: str, seed: int) -> np.ndarray:
    """Predicted class of each clip, by a paper's model trained on three folds and selected on a fourth.

    Batches and epochs are those for the synthetic clips; AVE's batches would be too few for so few clips.
    """
    predicted = np.zeros(len(clips.ids), int)
    training = paper.config.train_config(paper.config.PRESETS[0], model, **paper.config.RENDERED_TRAINING)
    settings = paper.settings_for(model, dataset="ave", training=training, seed=seed)
    for fold in range(1, FOLDS + 1):
        selecting = fold % FOLDS + 1
        rows = {"test": clips.folds == fold, "val": clips.folds == selecting}
        rows["train"] = ~(rows["test"] | rows["val"])
        splits = {split: _split(clips, name, split, np.flatnonzero(chosen), paper) for split, chosen in rows.items()}
        with tempfile.TemporaryDirectory() as folder:
            runs.run(paper.experiment(settings, splits), folder, [seed])
            stored = read_predictions(Path(folder) / f"seed-{seed}" / "predictions.npz", "predictions")["predictions"]
            probabilities = stored.reshape(len(splits["test"]), -1, stored.shape[-1])
        predicted[rows["test"]] = probabilities.mean(1)[:, : len(NAMES)].argmax(1)
    return predicted


def _split(clips: Clips, name: str, split: str, rows: np.ndarray, paper: Paper) -> Split:
    """Labels of seconds, background after a clip's end, for a model of segments; else of clips."""
    labels = np.eye(len(NAMES), dtype=np.float32)[clips.labels[rows]]
    class_names = tuple(NAMES)
    if paper is AVE:
        own = np.arange(SECONDS) < clips.lengths[rows, None]
        labels = np.concatenate([labels[:, None] * own[..., None], 1.0 - own[..., None]], -1).astype(np.float32)
        class_names += ("background",)
    return Split(
        "esc10",
        split,
        tuple(clips.ids[row] for row in rows),
        class_names,
        {"audio": ArraySource(clips.features[name][rows])},
        labels,
        {"audio": clips.infos[name]},
    )


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m benchmarks.real_clips"))
