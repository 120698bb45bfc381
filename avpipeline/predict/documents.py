"""Predictions for a media file as JSON and as text, in the form that all papers share."""

import contextlib
import functools
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from avpipeline.datasets.rendering.clips import MARK
from avpipeline.files import cache_dir, make_folder, sha256_file, write_json, write_text
from avpipeline.media import MediaInfo
from avpipeline.training.saved import ModelInfo, model_file

# Prints the text of a result.
Tell = Callable[[str], object]
SYNTHETIC = (
    "trained on synthetic clips: its labels mean nothing for this file; use features of real clips (extract --features "
    "yamnet,efficientnet_lite0, then train) or python -m avpipeline.describe"
)


def synthetic_warning(info: ModelInfo, about: MediaInfo) -> str | None:
    """The warning for a file that is not synthetic if the model was trained on synthetic clips alone; else None."""
    if info.domain != "synthetic" or about.comment == MARK:
        return None
    # Synthetic clips in the cache may be older than the mark.
    return None if about.path.resolve().is_relative_to((cache_dir() / "rendered").resolve()) else SYNTHETIC


def picture_title(info: ModelInfo, about: MediaInfo, said: str = "") -> str:
    """The title of a picture of a prediction: file, what is said of it, model, and the warning if there is one."""
    warning = synthetic_warning(info, about)
    title = f"{about.path.name}{said} - {info.title}"
    return f"{title}\n{textwrap.fill(warning, 100)}" if warning else title


def head_json(about: MediaInfo, notes: Sequence[str], info: ModelInfo, weights: Path) -> dict:
    """The beginning of a document, as JSON values: the file, the model, its features."""
    return {
        **media_json(about),
        **warning_json(info, about),
        "notes": list(notes),
        "model": model_json(info, weights),
        "features": {modality: feature.to_json() for modality, feature in info.features.items()},
    }


def media_json(about: MediaInfo) -> dict:
    """The file, as JSON values."""
    return {
        "file": about.path.name,
        "length": round(about.seconds, 3),
        "has_audio": about.has_audio,
        "has_video": about.has_video,
    }


def warning_json(info: ModelInfo, about: MediaInfo) -> dict:
    """What the model was trained on, "synthetic" or "real", and the warning if there is one."""
    warning = synthetic_warning(info, about)
    return {"domain": info.domain, **({"warning": warning} if warning else {})}


def model_json(info: ModelInfo, weights: Path) -> dict:
    """The model that predicted, as JSON values."""
    weights = _file(weights)
    return {
        "paper": info.paper,
        "model": info.model,
        "preset": info.preset,
        "trained_on": info.trained_on,
        "weights": weights.name,
        "sha256": sha256_file(weights),
        "version": info.version,
    }


# Called for every video; cached so that a name on the Hub is looked up only once.
_file = functools.cache(model_file)


def head_lines(document: Mapping) -> list[str]:
    """The first lines of a text: the entries of `head_json`."""
    model = document["model"]
    lines = [
        *([document["warning"]] if "warning" in document else []),
        f"{document['file']}: {document['length']} s",
        f"model: {model['paper']} {model['model']}, preset {model['preset']}, trained on {model['trained_on']} "
        f"({model['weights']}, sha256 {model['sha256'][:12]})",
    ]
    for modality, feature in document["features"].items():
        name = f"{feature['extractor']}:{feature['variant']}"
        known = f", sha256 {feature['sha256'][:12]}" if feature["sha256"] else ""
        lines.append(f"{modality}: {name}, weights {feature['weights']}{known}")
    return [*lines, *(f"note: {note}" for note in document["notes"])]


@contextlib.contextmanager
def result_files(stem: Path, document: Mapping, text: str, tell: Tell | None = None, *, source: Path) -> Iterator[None]:
    """Writes `STEM.json` and `STEM.txt`, each whole or not at all, tells the text, then runs the block, which draws.

    Args:
      stem: the path of both files without extension; its folder is created.
      tell: prints a text; None leaves that to the caller.
      source: the media file. It is decoded again for pictures, and its warnings are not repeated.
    """
    make_folder(stem.parent)
    write_json(stem.with_name(f"{stem.name}.json"), document)
    write_text(stem.with_name(f"{stem.name}.txt"), text)
    if tell:
        tell(text)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", re.escape(str(source)), UserWarning)
        yield
