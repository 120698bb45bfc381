"""`python -m ave.match.predict`: locates a sound in the frames of a video, or frames in its sound."""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
import tyro

from ave.match.search import evaluated, event_spans, window_costs
from ave.match.weights import load_matcher
from avpipeline import media, plots
from avpipeline.cli import Natural, run
from avpipeline.cli.progress import ProgressBar, link
from avpipeline.datasets.rendered import rendered_clips
from avpipeline.errors import InputError
from avpipeline.predict.documents import Tell, model_json, picture_title, result_files, warning_json
from avpipeline.predict.segments import Predictor, features_by_window
from avpipeline.training.familiarity import unlike_training
from avpipeline.training.paper import Trained
from avpipeline.training.saved import ModelInfo

OTHER = {"audio": "visual", "visual": "audio"}
WORDS = {"audio": "sound", "visual": "frames"}

_DIRECTION = {"audio": "a2v", "visual": "v2a"}
_PIECE = 10  # seconds decoded at a time
_THUMBNAIL = 120  # pixels high


@dataclasses.dataclass(frozen=True)
class Settings:
    """The query and where to search for it."""

    file: tyro.conf.Positional[Path]
    """Media file to search."""
    weights: Path
    """The network: a .keras file of python -m ave.match, or the authors' cmm_model_weights.h5."""
    start: Natural
    """Second at which the query starts."""
    end: Natural
    """Second at which the query ends, exclusive."""
    query: Literal["audio", "visual"] = "audio"
    """Modality of the query: "audio" is located in the frames, "visual" in the sound."""
    query_file: Path | None = None
    """File that contains the query. [default: the searched file]"""
    out: Path = Path("runs") / "ave" / "match_predict"
    """Folder for the text, the JSON file and the picture."""
    weights_dir: Path | None = None
    """Folder with the feature extractors' weights, searched first."""


def load_predictor(weights, weights_dir=None) -> Predictor:
    """A network whose `forward` gives the distances between frames and sound of a file, with its extractors; InputError
    if weights are missing or not the same."""
    from avpipeline.nn.forward import forward_graph

    model, info = load_matcher(weights)
    return Predictor.of(forward_graph(model), info, weights, window=1, weights_dir=weights_dir)


@dataclasses.dataclass(frozen=True)
class Search:
    """A query and where it was found.

    Attributes:
      searched, asked: the searched file and the query's file.
      costs: mean distance per second for each window of the query's length, `(windows,)`; window i starts at second i.
      document: the whole result as JSON values; times in seconds, distances per second.
    """

    searched: media.MediaInfo
    asked: media.MediaInfo
    costs: np.ndarray
    document: dict


def search(predictor: Predictor, file, start: int, end: int, *, query: str = "audio", query_file=None) -> Search:
    """Locates seconds `[start, end)` of one modality in the other modality (Eq. 8).

    Raises:
      InputError: not a media file, a missing stream, or a query that is not within its file or not shorter than the
        searched file.
    """
    searched = media.probe(file)
    asked = searched if query_file is None else media.probe(query_file)
    for about, modality in ((asked, query), (searched, OTHER[query])):
        if not (about.has_audio if modality == "audio" else about.has_video):
            raise InputError(f"{about.path}: has no {WORDS[modality]}, needed for this query; give another file.")
    total = asked.whole_seconds
    if not 0 <= start < end <= total:
        raise InputError(
            f"{asked.path}: has {total} s, which do not contain the query, {start} to {end} s; change --start or --end."
        )
    if end - start >= searched.whole_seconds:
        raise InputError(
            f"{searched.path}: has {searched.whole_seconds} s, so there is at most one place for a query of "
            f"{end - start} s; give a shorter query."
        )
    features = {
        query: _features(predictor, asked.path, query, start, end),
        OTHER[query]: _features(predictor, searched.path, OTHER[query], 0, searched.whole_seconds),
    }
    distances = predictor.forward({modality: rows[np.newaxis] for modality, rows in features.items()})
    (costs,) = window_costs(distances, [0], [end - start], _DIRECTION[query])
    costs, info = costs[np.isfinite(costs)] / (end - start), predictor.info
    windows = [
        {"start": first, "end": first + end - start, "distance": round(float(cost), 6)}
        for first, cost in enumerate(costs)
    ]
    document = {
        "file": searched.path.name,
        "searched": OTHER[query],
        "query": {"modality": query, "file": asked.path.name, "start": start, "end": end},
        # The first one if several are equal.
        "found": windows[int(costs.argmin())],
        "windows": windows,
        **warning_json(info, searched),
        "notes": unlike_training(info.statistics, [features], features),
        "model": model_json(info, predictor.weights),
        "features": {modality: feature.to_json() for modality, feature in info.features.items()},
    }
    return Search(searched, asked, costs, document)


def _features(predictor: Predictor, path: Path, modality: str, start: int, end: int) -> np.ndarray:
    """`(seconds, channels)`, maps averaged over regions; decodes a few seconds at a time."""
    spans = [(first, min(_PIECE, end - first)) for first in range(start, end, _PIECE)]
    found = features_by_window(path, {modality: predictor.extractors[modality]}, spans)
    rows = np.concatenate([features[modality] for features in found])
    return rows.mean(axis=(1, 2)) if modality == "visual" else rows


def write_search(result: Search, info: ModelInfo, out, tell: Tell | None = None) -> None:
    """Writes `STEM_QUERY_START-END.json` and `.txt` with the same content, and `.png`."""
    source, query, searched = result.searched.path, result.document["query"], result.document["searched"]
    stem = Path(out) / f"{source.stem}_{query['modality']}_{query['start']}-{query['end']}"
    with result_files(stem, result.document, as_text(result.document), tell, source=source):
        plots.found_window(
            stem.with_name(f"{stem.name}.png"),
            asked=_shown(result.asked, query["modality"]),
            query=(query["start"], query["end"]),
            searched=_shown(result.searched, searched),
            costs=result.costs,
            title=picture_title(info, result.searched),
        )


def as_text(document: dict) -> str:
    """The document of a `Search` as text."""
    query, found, model = document["query"], document["found"], document["model"]
    lines = [
        *([document["warning"]] if "warning" in document else []),
        f"query: {WORDS[query['modality']]} of {query['file']}, {query['start']}-{query['end']} s",
        f"found: {WORDS[document['searched']]} of {document['file']}, {found['start']}-{found['end']} s"
        f" (one of {len(document['windows'])} places, distance {found['distance']:.4f})",
        f"model: {model['paper']} {model['model']}, trained on {model['trained_on']} "
        f"({model['weights']}, sha256 {model['sha256'][:12]})",
        *(f"note: {note}" for note in document["notes"]),
        "",
        "seconds  distance",
    ]
    for window in document["windows"]:
        span = f"{window['start']}-{window['end']}"
        lines.append(f"{span:<7}  {window['distance']:.4f}{'  <' if window['start'] == found['start'] else ''}")
    return "\n".join(lines) + "\n"


def _shown(about: media.MediaInfo, modality: str) -> np.ndarray:
    """A file's sound `(samples,)`, or one small frame per second `(seconds, height, width, 3)`."""
    seconds = about.whole_seconds
    if modality == "audio":
        return media.read_waveform(about.path, seconds=seconds)
    return media.read_frames(about.path, frame_rate=1, size=about.size_at(_THUMBNAIL), seconds=seconds)


def draw_example(trained: Trained) -> None:
    """Draws both searches for the event of the first short-event clip of the synthetic test split."""
    labels, out = trained.experiment.splits.test.labels, trained.settings.folder / "example"
    video = int(evaluated(labels).argmax())
    start, length = (int(values[video]) for values in event_spans(labels))
    end = start + length
    predictor, clip = load_predictor(trained.weights), rendered_clips().paths("test")[video]
    results = [search(predictor, clip, start, end, query=query) for query in OTHER]
    said = ("{} {start}-{end} s".format(WORDS[each.document["searched"]], **each.document["found"]) for each in results)
    print(
        f"Example: {clip.stem}, the first test video with an event shorter than itself, {start}-{end} s; found in its "
        f"{' and in its '.join(said)}.",
        flush=True,
    )
    for result in results:
        write_search(result, predictor.info, out)


def main(settings: Settings) -> None:
    """Locates a sound in the frames of a video, or frames in its sound: text, JSON and a picture.

    Examples:
      python -m ave.match.predict video.mp4 --weights W.keras --start 2 --end 5
      python -m ave.match.predict video.mp4 --weights W.keras --start 2 --end 5 --query visual
    """
    predictor = load_predictor(settings.weights, settings.weights_dir)
    result = search(
        predictor, settings.file, settings.start, settings.end, query=settings.query, query_file=settings.query_file
    )
    write_search(result, predictor.info, settings.out, ProgressBar.write)
    print(f"The text, JSON file and picture are in {link(settings.out)}")


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m ave.match.predict"))
