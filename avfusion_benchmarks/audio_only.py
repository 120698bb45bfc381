"""The papers' own audio-only networks on ESC-10.

Each is trained on three folds, selected on a fourth by its package's validation score and tested on the fifth. Nothing
is tuned: preset, sizes and recipe are the published ones, except what the packages change for the synthetic clips,
which are about as few: batch sizes, epochs, learning rates, and the network settings named below.
"""

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from attendfusion.train import PAPER as ATTENDFUSION
from ave.train import PAPER as AVE
from avfusion_benchmarks.esc10 import FOLDS, NAMES, Clips
from avpipeline.datasets.base import ArraySource, Split
from avpipeline.files import read_predictions
from avpipeline.training.paper import Paper
from eventlayers.train import PAPER as EVENTLAYERS
from mafnet.train import PAPER as MAFNET

NOTES = (
    "The rows with a seed are the papers' own audio-only networks. Each is trained on three folds, selected on the "
    "next fold by the validation score of its package and tested on the fifth. Preset, sizes and recipe are the "
    "published ones, except for batches, epochs and learning rates, which are those for the synthetic clips, as "
    "these are about as few: batches of 16; 40 epochs for ave and eventlayers, 60 for mafnet, 20 for attendfusion. "
    "So are mafnet's decay of the averages in batch normalization (0.9) and attendfusion's width (256, not 2048).",
    "A clip is five time steps of a second; the end of the only shorter one is silence. `ave a` labels seconds, this "
    "silence as background, and a clip's class has the highest mean over them. attendfusion takes mean and standard "
    "deviation over a clip's own seconds, from records in the form of YouTube-8M. mafnet averages maps over their "
    "regions, and the embedding is that mean. eventlayers' linear head is on these features; the audio network that "
    "its paper trains from scratch was not run. JCA has no audio-only network of its own: Audio_Only in its Table 1 is "
    "`ave a`.",
)


@dataclasses.dataclass(frozen=True)
class Network:
    """An audio-only network of a paper.

    Attributes:
      paper, model: its package and its name there.
      training, network: changes to its published training and sizes.
      settings: further arguments of `Paper.settings_for`.
    """

    paper: Paper
    model: str
    training: Mapping
    network: Mapping = dataclasses.field(default_factory=dict)
    settings: Mapping = dataclasses.field(default_factory=dict)

    def chosen(self, seed: int):
        """The settings of its training command."""
        settings = self.paper.settings_for(self.model, dataset=self.paper.data_default, **self.settings, seed=seed)
        changed = {name: getattr(settings, name).changed(**getattr(self, name)) for name in ("training", "network")}
        return dataclasses.replace(settings, **changed)


def _few(paper: Paper, *sizes: str) -> tuple[Mapping, Mapping]:
    """A package's changes for the synthetic clips: those of training, and the named ones of the network."""
    return paper.config.RENDERED_TRAINING, {name: paper.config.RENDERED_MODEL[name] for name in sizes}


NETWORKS = {
    "ave a": Network(AVE, "a", *_few(AVE)),
    "mafnet audio": Network(MAFNET, "audio", *_few(MAFNET, "norm_decay")),
    "attendfusion attend_fusion_audio": Network(ATTENDFUSION, "attend_fusion_audio", *_few(ATTENDFUSION, "width")),
    "eventlayers audio_only": Network(
        EVENTLAYERS,
        "audio_only",
        EVENTLAYERS.config.RENDERED_TRAINING["features"],
        settings={"inputs": "features"},
    ),
}


def five_fold(clips: Clips, name: str, network: Network, seeds: Sequence[int]) -> np.ndarray:
    """Predicted class of each clip with each seed, `(seeds, clips)`; `name` is that of the features."""
    predicted = np.zeros((len(seeds), len(clips.ids)), int)
    for fold in range(1, FOLDS + 1):
        predicted[:, clips.folds == fold] = on_fold(clips, name, network, seeds, fold)
    return predicted


def on_fold(clips: Clips, name: str, network: Network, seeds: Sequence[int], fold: int) -> np.ndarray:
    """Predicted class of each clip of a fold with each seed, `(seeds, clips of the fold)`."""
    from avpipeline.training import runs

    with tempfile.TemporaryDirectory() as folder:
        splits = _records if network.paper is ATTENDFUSION else _splits
        data = splits(clips, name, rows_of(clips.folds, fold), network.paper, Path(folder) / "data")
        runs.run(network.paper.experiment(network.chosen(seeds[0]), data), Path(folder) / "run", seeds)
        stored = [Path(folder) / "run" / f"seed-{seed}" / "predictions.npz" for seed in seeds]
        return np.stack([_classes(path) for path in stored])


def rows_of(folds: np.ndarray, test: int) -> dict[str, np.ndarray]:
    """ "train", "val" and "test" -> clips; fold `test` is the test split, the next fold the validation split."""
    tests, validates = folds == test, folds == test % FOLDS + 1
    of_split = {"train": ~(tests | validates), "val": validates, "test": tests}
    return {name: np.flatnonzero(own) for name, own in of_split.items()}


def _classes(path: Path) -> np.ndarray:
    stored = read_predictions(path)
    if "top_labels" in stored:
        return stored["top_labels"][:, 0]
    scores = stored["predictions"]
    # Averaged over the seconds, or over the only head; a class "background", if any, comes last.
    return scores.reshape(len(scores), -1, scores.shape[-1]).mean(1)[:, : len(NAMES)].argmax(1)


def _splits(clips: Clips, name: str, rows: Mapping[str, np.ndarray], paper: Paper, folder: Path) -> dict[str, Split]:
    """Splits with labels of seconds for a segment model, background after a clip's end; else with labels of clips."""
    labels, class_names = np.eye(len(NAMES), dtype=np.float32)[clips.labels], tuple(NAMES)
    if paper is AVE:
        own = clips.own[..., None]
        labels = np.concatenate([labels[:, None] * own, ~own], -1).astype(np.float32)
        class_names += ("background",)
        # The clips are listed by class; AVE's code takes batches in the order of its list, which is shuffled.
        drawn = np.random.default_rng(0).permutation
        rows = {split: drawn(own) if split == "train" else own for split, own in rows.items()}
    return {
        split: Split(
            "esc10",
            split,
            tuple(clips.ids[row] for row in chosen),
            class_names,
            {"audio": ArraySource(clips.features[name][chosen])},
            labels[chosen],
            {"audio": clips.infos[name]},
        )
        for split, chosen in rows.items()
    }


def _records(clips: Clips, name: str, rows: Mapping[str, np.ndarray], paper: Paper, folder: Path):
    """The clips' own seconds as records in the form of YouTube-8M, which this paper's networks read."""
    from attendfusion.data import Records
    from avpipeline.datasets.youtube8m.records import Video
    from avpipeline.datasets.youtube8m.splits import VOCABULARY_FILE, load_youtube8m, write_vocabulary
    from avpipeline.datasets.youtube8m.writing import Description, fitting_scale, write_description, write_shards

    features = clips.features[name]
    scale = fitting_scale(features[rows["train"]])
    for split, chosen in rows.items():
        videos = [
            Video(clips.ids[row], [int(clips.labels[row])], {"audio": features[row, : clips.lengths[row]] * scale})
            for row in chosen
        ]
        write_shards(folder, split, videos, level="video")
    write_description(folder, Description({"audio": clips.infos[name]}, {"audio": scale}))
    counts = np.bincount(clips.labels[rows["train"]], minlength=len(NAMES))
    write_vocabulary(folder / VOCABULARY_FILE, tuple(NAMES), counts.tolist())
    return Records(load_youtube8m(folder, name="esc10"), "mean_std", ("audio",))
