"""What is heard and seen in a media file, second by second, by networks trained on AudioSet and ImageNet.

Nothing is trained: YAMNet's scores of AudioSet's classes, EfficientNet-Lite0's of ImageNet's, and the categories of AVE
that are AudioSet's classes. Either network may be missing; then one sentence says how to get it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avpipeline import media
from avpipeline.datasets.audioset import ave_scores
from avpipeline.errors import InputError
from avpipeline.predict.documents import Tell, media_json, result_files
from avpipeline.predict.files import STREAMS, collected_warnings, in_windows

if TYPE_CHECKING:
    from avpipeline.features.registry import Extractor

# The lowest score at which a class is named in the text, and at which a second is labelled with an AVE category.
_NAMED, _EVENT = 0.1, 0.2
_NAMED_AT_MOST, _OVERALL = 3, 5
_SHOWN = 6  # rows a map
_WINDOW = 10  # seconds in memory at a time
_STRIP_FRAMES, _STRIP_HEIGHT = 20, 160
_SILENT = 1e-4  # largest sample of inaudible sound
_BACKGROUND = "background"
_GET_YAMNET = "what is heard needs YAMNet's weights: run python -m avpipeline.weights yamnet, or give --yamnet FILE"
# What is said of a file -> the heading of its column in the text, and of its map in the timeline.
_COLUMNS = {"heard": "heard (AudioSet)", "seen": "seen (ImageNet)", "ave": "AVE's category"}
_MAPS = {"heard": "heard: AudioSet's classes", "seen": "seen: ImageNet's classes", "ave": "heard: AVE's categories"}


@dataclasses.dataclass(frozen=True)
class Describer:
    """The networks that are there, with their classes' names.

    Attributes:
      extractors: "audio" and "visual" -> the network's scores.
      class_names: the same -> names in the order of the scores.
      missing: the same -> the sentence that says how to get a network that is not there.
    """

    extractors: Mapping[str, Extractor]
    class_names: Mapping[str, tuple[str, ...]]
    missing: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Description:
    """Scores over time of one media file.

    Attributes:
      media: properties of the file.
      scores: "audio", "visual" -> `(seconds, classes)`, for the streams that are there and have a network.
      notes: what a reader of the result must know.
    """

    media: media.MediaInfo
    scores: Mapping[str, np.ndarray]
    notes: tuple[str, ...]


def load_describer(yamnet_file: Path | None = None, weights_dir: Path | None = None) -> Describer:
    """The networks, from the installed packages and the folders of weights.

    Args:
      yamnet_file: Google's `yamnet.h5` or `yamnet.tflite`, with `yamnet_class_map.csv` beside it or in a folder of
        weights; None looks for both there, and does without what is heard where one is missing.
      weights_dir: folder that is searched first.

    Raises:
      InputError: a file is there but cannot be used, or neither network is there.
    """
    from avpipeline.features import efficientnet, yamnet
    from avpipeline.features.registry import build_extractor
    from avpipeline.features.weights import find_weights

    extractors, names, missing = {}, {}, {}
    try:
        path = yamnet_file or find_weights(yamnet.FILES, weights_dir)
        if path is None:
            raise InputError(_GET_YAMNET)
        if not yamnet_file:
            yamnet.class_map_file(path, weights_dir)
    except InputError as error:
        # A file that the user names must do; what is merely found may lack its list of classes.
        if yamnet_file:
            raise
        missing["audio"] = str(error).rstrip(".")
    else:
        extractors["audio"] = build_extractor("yamnet:scores", path, weights_dir=weights_dir)
        names["audio"] = yamnet.class_names(path, weights_dir)
    try:
        efficientnet.weights_file(weights_dir)
        names["visual"] = efficientnet.class_names()
    except InputError as error:
        missing["visual"] = str(error).rstrip(".")
    else:
        extractors["visual"] = build_extractor("efficientnet_lite0:scores", weights_dir=weights_dir)
    if not extractors:
        raise InputError(f"{'; '.join(missing.values())}.")
    return Describer(extractors, names, missing)


def describe_file(path, describer: Describer) -> Description:
    """Scores of every second of a media file; the last one may be shorter.

    Raises:
      InputError: not a media file, or it lacks every stream that a network is there for.
    """
    from avpipeline.features.registry import clip_format

    with collected_warnings(path) as damage:
        about = media.probe(path)
        there = {"audio": about.has_audio, "visual": about.has_video}
        extractors = {name: extractor for name, extractor in describer.extractors.items() if there[name]}
        absent = [sentence for name, sentence in describer.missing.items() if there[name]]
        if not extractors:
            raise InputError(f"{path}: nothing can be said about it; {'; '.join(absent)}.")
        notes = [*absent, *(f"the file has no {kind}" for name, kind in STREAMS.items() if not there[name])]
        length = about.whole_seconds
        spans = [(start, min(_WINDOW, length - start)) for start in range(0, length, _WINDOW)]
        clips = media.read_windows(about.path, spans, **clip_format(extractors.values()))
        windows = [_window(clip, extractors) for clip in in_windows(clips, len(spans))]
    scores = {name: np.concatenate([found[name] for found, _ in windows]) for name in extractors}
    notes += _stream_notes(about, extractors, [clip for _, clip in windows])
    if "visual" in scores and scores["visual"].mean(0).max() < _NAMED:
        notes.append("nothing is seen for sure: ImageNet's classes are things and animals, not people or actions")
    return Description(about, scores, (*notes, *damage))


def _window(clip: media.Clip, extractors: Mapping[str, Extractor]):
    """Scores of at most ten seconds, and what their sound and frames are like: (loudest, whether something moves)."""
    from avpipeline.features.registry import clip_features

    if "visual" in extractors:
        # Frames beyond the end of the file are black; the only second of a still image would be half black.
        last = max(1, min(len(clip.frames), int(np.ceil(clip.video_seconds * clip.frame_rate))))
        clip.frames[last:] = clip.frames[last - 1]
    moves = bool(len(clip.frames)) and bool((clip.frames != clip.frames[0]).any())
    return clip_features(extractors, clip), (float(np.abs(clip.waveform).max(initial=0)), moves)


def _stream_notes(about: media.MediaInfo, extractors: Mapping[str, Extractor], windows) -> list[str]:
    """Notes on the streams that were read."""
    hears, sees = "audio" in extractors, "visual" in extractors
    notes = []
    if hears and max(loudest for loudest, _ in windows) < _SILENT:
        notes.append("the sound is silent")
    if hears and about.sample_rate < media.SAMPLE_RATE:
        notes.append(
            f"the sound is stored at {about.sample_rate} Hz: it has nothing above {about.sample_rate // 2} Hz, where "
            "the network listens too, so what is heard is less certain"
        )
    if sees and not any(moves for _, moves in windows):
        notes.append("the picture stands still: the same is seen in every second")
    if sees and about.height > about.width:
        notes.append("the frames are upright: they are squeezed into a square, so what is seen is less certain")
    return notes


def write_description(description: Description, describer: Describer, out, tell: Tell | None = None) -> str:
    """Writes `STEM.json`, `STEM.txt` and `STEM_timeline.png` to the folder `out`; returns the text."""
    out, source = Path(out), description.media.path
    document = as_json(description, describer)
    text = as_text(document)
    with result_files(out / source.stem, document, text, tell, source=source):
        _write_timeline(description, describer, out / f"{source.stem}_timeline.png")
    return text


def as_json(description: Description, describer: Describer) -> dict:
    """The whole result as JSON values; the scores of AudioSet's classes are independent and do not sum to 1."""
    about = description.media
    tables = _tables(description, describer)
    return {
        **media_json(about),
        "notes": list(description.notes),
        "networks": {name: describer.extractors[name].info.to_json() for name in description.scores},
        **{kind: _best(scores.mean(0), names) for kind, (scores, names) in tables.items()},
        "segments": [
            {
                "start": second,
                "end": second + 1,
                **{kind: _best(scores[second], names) for kind, (scores, names) in tables.items()},
                **({"ave_label": _event(*tables["ave"], second)} if "ave" in tables else {}),
            }
            for second in range(about.whole_seconds)
        ],
    }


def as_text(document: Mapping) -> str:
    """The same as text: what is heard and seen in the whole file, then second by second."""
    kinds = [kind for kind in _COLUMNS if kind in document]
    lines = [f"{document['file']}: {document['length']} s"]
    lines += [f"{kind}: {_listed(document[kind], _OVERALL)}" for kind in kinds if kind != "ave"]
    lines += [f"note: {note}" for note in document["notes"]]
    rows = [["seconds", *(_COLUMNS[kind] for kind in kinds)]]
    for segment in document["segments"]:
        said = (segment["ave_label"] if kind == "ave" else _listed(segment[kind], _NAMED_AT_MOST) for kind in kinds)
        rows.append([f"{segment['start']}-{segment['end']}", *said])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    padded = [[text.ljust(width) for text, width in zip(row, widths, strict=True)] for row in rows]
    lines += ["", *("  ".join(row).rstrip() for row in padded)]
    return "\n".join(lines) + "\n"


def _tables(description: Description, describer: Describer) -> dict[str, tuple[np.ndarray, tuple[str, ...]]]:
    """ "heard", "seen" and "ave" -> scores `(seconds, classes)` and class names."""
    kinds = {"audio": "heard", "visual": "seen"}
    tables = {kinds[name]: (scores, describer.class_names[name]) for name, scores in description.scores.items()}
    if "heard" in tables:
        tables["ave"] = ave_scores(*tables["heard"])
    return tables


def _best(scores: np.ndarray, names) -> list[dict]:
    order = np.argsort(-scores, kind="stable")[:_OVERALL]
    return [{"label": names[index], "score": round(float(scores[index]), 4)} for index in order]


def _event(scores: np.ndarray, names, second: int) -> str:
    best = int(scores[second].argmax())
    return names[best] if scores[second, best] >= _EVENT else _BACKGROUND


def _listed(found: list[dict], count: int) -> str:
    """`Bark 0.87, Dog 0.80`; if no score is high enough, only the best one, marked as uncertain."""
    named = [entry for entry in found[:count] if entry["score"] >= _NAMED]
    if not named:
        return f"({found[0]['label']} {found[0]['score']:.2f}?)"
    return ", ".join(f"{entry['label']} {entry['score']:.2f}" for entry in named)


def _write_timeline(description: Description, describer: Describer, path: Path) -> None:
    from avpipeline.plots.predictions import described_timeline

    about, seconds = description.media, description.media.whole_seconds
    shown, frames, waveform = {}, None, None
    for kind, (scores, names) in _tables(description, describer).items():
        rows = np.argsort(-scores.max(0), kind="stable")[: _SHOWN if kind != "ave" else _SHOWN // 2]
        shown[_MAPS[kind]] = (scores[:, rows], [names[row] for row in rows])
    if about.has_audio:
        waveform = media.read_waveform(about.path, seconds=seconds)
    if about.has_video:
        rate, size = min(seconds, _STRIP_FRAMES) / seconds, about.size_at(_STRIP_HEIGHT)
        frames = media.read_frames(about.path, frame_rate=rate, size=size, seconds=seconds)
    described_timeline(path, seconds, shown, waveform=waveform, frames=frames, title=about.path.name)
