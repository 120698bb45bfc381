"""`python -m attendfusion.predict`: the most probable labels of media files or of records."""

from __future__ import annotations

import csv
import dataclasses
import functools
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tyro

from avpipeline import media
from avpipeline.cli import Count, run
from avpipeline.cli.progress import link
from avpipeline.datasets.base import Stream
from avpipeline.features.info import require_same
from avpipeline.files import atomic_path, make_folder
from avpipeline.predict.documents import Tell, head_json, head_lines, result_files
from avpipeline.predict.files import for_each_file

if TYPE_CHECKING:
    from attendfusion.labelling import Labeller, MediaFrames
    from attendfusion.pictures import Example
    from avpipeline.features.registry import Extractor

RECORDS = ".tfrecord"
# The picture of examples: number of videos, as in Figure 4, frames of each, and their height.
_EXAMPLES, _FRAMES, _HEIGHT = 6, 3, 120
_BATCH = 256


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a prediction command."""

    files: tyro.conf.Positional[tuple[Path, ...]]
    """Media files, folders of them, lists (.txt, one path per line), or records: paths or patterns that end in
    .tfrecord."""
    weights: Path
    """The model: a .keras file written by python -m attendfusion.train."""
    top: Count = 3
    """How many labels of each video, the most probable first."""
    vocabulary: Path | None = None
    """Names of the labels, a CSV file in YouTube-8M's format. [default: the names that the model was trained with]"""
    baseline: Path | None = None
    """Another model, whose labels are shown too in the picture of examples."""
    media: Path | None = None
    """Folder with the media files of the records, named after the videos' ids, for the picture of examples."""
    out: Path = Path("runs") / "attendfusion" / "predict"
    """Folder for the texts, tables and pictures."""
    weights_dir: Path | None = None
    """Folder with the feature extractors' weights, searched first."""


def main(settings: Settings) -> int:
    """Predicts the most probable labels of videos: text and JSON, a table for records, a picture of some examples.

    Examples:
      python -m attendfusion.predict video.mp4 --weights W.keras
      python -m attendfusion.predict test00.tfrecord --weights W.keras --top 5
    """
    from attendfusion.labelling import Labeller, extractors_of
    from attendfusion.pictures import examples

    labellers = [
        Labeller.load(path, settings.vocabulary) for path in (settings.weights, settings.baseline) if path is not None
    ]
    records = [path for path in settings.files if path.suffix == RECORDS]
    files = [path for path in settings.files if path.suffix != RECORDS]
    shown: list[Example] = []
    status = 0
    if records:
        shown += label_records(records, labellers, settings)
    if files or not records:
        extractors = extractors_of(labellers[0], settings.weights_dir)
        for other in labellers[1:]:
            require_same(other.info.features, labellers[0].info.features, str(settings.weights))
        status = for_each_file(files, functools.partial(label_file, labellers, extractors, settings, shown))
    if shown:
        warned = dict.fromkeys(example.warning for example in shown if example.warning)
        title = "\n".join([labellers[0].info.title, *(textwrap.fill(warning, 100) for warning in warned)])
        examples(make_folder(settings.out) / "examples.png", shown[:_EXAMPLES], title=title)
    print(f"Results and a picture of examples are in {link(settings.out)}")
    return status


def label_file(
    labellers: Sequence[Labeller],
    extractors: Mapping[str, Extractor],
    settings: Settings,
    shown: list[Example],
    path: Path,
    tell: Tell,
) -> None:
    """Labels a media file, writes STEM.json and STEM.txt, tells the text, adds the file to the examples."""
    from attendfusion.labelling import media_frames

    labeller = labellers[0]
    found = media_frames(path, labeller, extractors)
    document = as_json(found, labeller, settings.top)
    with result_files(settings.out / path.stem, document, as_text(document), tell, source=path):
        if len(shown) < _EXAMPLES:
            probabilities = [each.probabilities(found.frames) for each in labellers]
            example = _example(path.stem, None, labellers, probabilities, settings.top, path)
            shown.append(dataclasses.replace(example, warning=document.get("warning")))


def as_json(found: MediaFrames, labeller: Labeller, top: int) -> dict:
    """The result for a media file as JSON values."""
    info = labeller.info
    labels = labeller.top(labeller.probabilities(found.frames), top)
    return {
        **head_json(found.media, found.notes, info, labeller.weights),
        "tokens": info.config["tokens"],
        "labels": [{"label": name, "probability": round(probability, 6)} for name, probability in labels],
    }


def as_text(document: Mapping) -> str:
    """The same result as text."""
    lines = [*head_lines(document), "", "probability  label"]
    lines += [f"{label['probability']:<11.4f}  {label['label']}" for label in document["labels"]]
    return "\n".join(lines) + "\n"


def label_records(paths: Sequence[Path], labellers: Sequence[Labeller], settings: Settings) -> list[Example]:
    """Labels every video in some shards and writes labels.csv; returns the first videos for the picture."""
    from attendfusion.evaluation import predictions
    from avpipeline.datasets.youtube8m import list_shards

    shards = tuple(list_shards(paths))
    streams = [_stream(shards, labeller) for labeller in labellers]
    labeller, videos = labellers[0], 0
    numbers = range(1, min(settings.top, len(labeller.class_names)) + 1)
    path = make_folder(settings.out) / "labels.csv"
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        columns = [f"{what}_{number}" for number in numbers for what in ("label", "probability")]
        writer.writerow(["id", "truth", *columns])
        for ids, truths, probabilities in predictions(labeller.model, streams[0], _BATCH):
            for name, truth, own in zip(ids, truths, probabilities, strict=True):
                best = labeller.top(own, settings.top)
                cells = [cell for label, probability in best for cell in (label, f"{probability:.6f}")]
                writer.writerow([name, "; ".join(_named(labeller, truth)), *cells])
            videos += len(ids)
    print(f"{videos} videos in {len(shards)} file{'s' * (len(shards) > 1)}, labels in {link(path)}", flush=True)
    return _first_examples(labellers, streams, settings)


def _stream(shards: Sequence[str], labeller: Labeller) -> Stream:
    """The shards as one split for a model; InputError if their features are not those it was trained on."""
    from attendfusion.data import Records
    from attendfusion.evaluate import require_fit
    from avpipeline.datasets.youtube8m.files import first_record
    from avpipeline.datasets.youtube8m.records import decoded
    from avpipeline.datasets.youtube8m.splits import YouTube8M
    from avpipeline.datasets.youtube8m.writing import read_description

    info, split = labeller.info, {"given": tuple(shards)}
    level = decoded(shards[0], first_record(shards[0])).level or "video"
    for folder in dict.fromkeys(Path(shard).parent for shard in shards):
        source = YouTube8M("records", folder, level, info.class_names, read_description(folder), split)
        records = Records(source, info.config["tokens"], tuple(info.config["modalities"]))
        require_fit(labeller.weights, info, records)
    return records.stream("given")


def _first_examples(labellers: Sequence[Labeller], streams: Sequence[Stream], settings: Settings) -> list[Example]:
    from attendfusion.evaluation import predictions

    batches = [next(predictions(own.model, stream, _EXAMPLES)) for own, stream in zip(labellers, streams, strict=True)]
    ids, truths, _ = batches[0]
    files = {} if settings.media is None else {path.stem: path for path in media.list_media(settings.media)}
    return [
        _example(name, _named(labellers[0], truth), labellers, probabilities, settings.top, files.get(name))
        for name, truth, *probabilities in zip(ids, truths, *(batch[2] for batch in batches), strict=True)
    ]


def _named(labeller: Labeller, truth: np.ndarray) -> tuple[str, ...]:
    return tuple(labeller.class_names[index] for index in np.flatnonzero(truth))


def _example(name, truth, labellers, probabilities, top: int, path: Path | None) -> Example:
    """A video for the picture."""
    from attendfusion.pictures import Example

    predicted = {
        f"baseline: {labeller.info.model}" if number else labeller.info.model: labeller.top(own, top)
        for number, (labeller, own) in enumerate(zip(labellers, probabilities, strict=True))
    }
    return Example(name, None if path is None else _frames(path), truth, predicted)


def _frames(path: Path) -> np.ndarray | None:
    """A few small frames of a file, evenly spread; None if it has no video stream."""
    about = media.probe(path)
    if not about.has_video:
        return None
    rate, size = _FRAMES / about.seconds, about.size_at(_HEIGHT)
    # One frame in the middle of each third of the file.
    return media.read_frames(path, frame_rate=rate, size=size, seconds=about.seconds)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m attendfusion.predict"))
