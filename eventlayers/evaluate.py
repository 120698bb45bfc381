"""`python -m eventlayers.evaluate`: a saved model's accuracy on a split, and what its layers tell about the dataset."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np

from avpipeline import media
from avpipeline.cli import Natural, run
from avpipeline.cli.progress import link
from avpipeline.datasets import REGISTERED
from avpipeline.files import write_csv, write_json
from avpipeline.results.evaluation import require_fit, stored, subject, write_classes, write_scores
from avpipeline.training.saved import load_model
from eventlayers import analysis, voting
from eventlayers.config import LAYERS, SECONDS, saved_config
from eventlayers.data import DATASETS, Videos, backbones_of, load_split, videos_of
from eventlayers.predict import DEFAULT_WEIGHTS, film
from eventlayers.readings import sounds_categories


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of an evaluation command."""

    weights: Path = DEFAULT_WEIGHTS
    """The model: a .keras file written by python -m eventlayers.train."""
    dataset: Literal[(*DATASETS, *REGISTERED)] | None = None
    """What to evaluate on. [default: what the model was trained on]"""
    data: Path | None = None
    """Folder with the dataset's official lists."""
    clips: Path | None = None
    """Folder with its video files, directly or in subfolders. [default: --data]"""
    split: Literal["train", "val", "test"] = "test"
    """Which split."""
    from_backbones: Path | None = None
    """The value of --from-backbones that the model was trained with, if any."""
    figure: Natural = 0
    """Also draw this many videos that activate each audio-visual layer most (the paper's Figure 6)."""
    out: Path = Path("runs") / "eventlayers" / "evaluate"
    """Folder for the tables, pictures and predictions."""


def main(settings: Settings) -> None:
    """Evaluates a saved model on a split: accuracy, F1 of its label sets, confusion matrix, Tables 3 and 4.

    Examples:
      python -m eventlayers.evaluate
    """
    from avpipeline.training.runs import predict

    model, info = load_model(settings.weights, paper="eventlayers")
    config = saved_config(info.config)
    videos = videos_of(settings.dataset or info.dataset, settings.split, settings.data, settings.clips)
    backbones = None if config.inputs == "clips" else backbones_of(info.features, settings.from_backbones)
    split = load_split(videos, config, backbones)
    require_fit(settings.weights, info, split)
    scores = predict(model, split, batch_size=4 if config.inputs == "clips" else 64)
    sets, labels = voting.label_sets(scores), split.labels
    # Over the whole split, in [0, 1], and Section 4.2's numbers of labels and percentage of matched ones.
    measures = {
        "video accuracy of the vote": voting.video_accuracy(labels, scores),
        "multi-label F1, mean over videos": voting.multi_label_f1(labels, sets),
        "multi-label F1, all labels together": voting.multi_label_f1(labels, sets, "labels"),
        **{row[0].lower() + row[1:]: value for row, value in analysis.label_matches(labels, scores).items()},
    }
    # Each label of a video beside the vote.
    voted = np.eye(len(split.class_names))[np.asarray(voting.vote(scores))]
    video, label = np.nonzero(split.labels > 0)
    truth, title = np.eye(len(split.class_names))[label], f"{info.paper} {subject(info, split)}"
    _, draw = write_classes(settings.out, split.class_names, truth, voted[video], unit="video", title=title)
    write_scores(settings.out, settings.weights, info, split, stored(split, scores), measures)
    print(f"{subject(info, split)}: {len(split)} videos")
    print("\n".join(f"  {name}: {value:.4f}" for name, value in measures.items()), flush=True)
    draw()
    if config.heads == LAYERS:
        write_layers(settings.out, videos, scores)
        if settings.figure:
            write_most_activating(settings.out, videos, scores, settings.figure)
    print(f"Tables, pictures and predictions are in {link(settings.out)}")


def write_layers(out: Path, videos: Videos, scores: np.ndarray) -> None:
    """Writes layers.json (Tables 3 and 4) and categories.csv, prints them, and draws layers.png (Table 4 as bars)."""
    import pandas as pd

    from eventlayers import pictures

    labels, dataset = videos.labels, videos.dataset
    complementary = {"all": {"videos": len(labels), **analysis.complementary_counts(labels, scores)}}
    if videos.kinds:
        complementary |= analysis.complementary_by_group(labels, scores, videos.kinds)
    categories = analysis.category_counts(labels, scores)
    sounds = sounds_categories(videos.class_names)
    share = analysis.audio_visual_share(labels, scores, sounds)
    name = "audio-visual share of the categories" + (" of Kinetics-Sounds" if sounds else "")
    write_json(out / "layers.json", {"complementary": complementary, "categories": categories, name: share})
    layers = analysis.category_layers(labels, scores)
    dominant = [LAYERS[index] if index >= 0 else "" for index in layers]
    write_csv(out / "categories.csv", pd.DataFrame({"class": videos.class_names, "layer": dominant}))
    table = pd.DataFrame(complementary).T
    counts = ", ".join(f"{row} {count}" for row, count in categories.items())
    print(f"\nVideos that only one layer gets right:\n{table.to_string()}\n")
    print(f"Categories by dominant layer: {counts}\n{name}: {share:.1f} %\n", flush=True)
    title = f"categories of {dataset}, {videos.name}, by the layer that dominates them"
    pictures.event_characteristics(out / "layers.png", {dataset: categories}, title=title)


def write_most_activating(out: Path, videos: Videos, scores: np.ndarray, count: int) -> None:
    """Writes most_activating.png: for each audio-visual layer the videos that activate it most (Figure 6)."""
    from eventlayers import pictures

    names = videos.class_names

    def example(video: int) -> pictures.Example:
        clip = film(media.probe(videos.paths[video]), 0, SECONDS)
        predicted = {layer: names[index] for layer, index in zip(LAYERS, scores[video].argmax(-1), strict=True)}
        truth = tuple(names[index] for index in np.flatnonzero(videos.labels[video]))
        return pictures.Example(videos.ids[video], clip.frames[::2], clip.waveform, predicted, truth)

    chosen = analysis.most_activating(videos.labels, scores, count)
    examples = {layer: list(map(example, chosen[layer])) for layer in pictures.CHOOSING if len(chosen[layer])}
    if not examples:
        print("No video is dominated by an audio-visual layer, so there is no Figure 6 to draw.")
        return
    title = f"videos of {videos.dataset}, {videos.name}, that activate each layer most"
    pictures.most_activating(out / "most_activating.png", examples, title=title)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m eventlayers.evaluate"))
