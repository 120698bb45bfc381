"""A trained model as a folder that others can use: the weights, a card and the record; on the Hub if asked for."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import tyro

from avpipeline.cli import Seed
from avpipeline.cli.progress import link
from avpipeline.errors import InputError
from avpipeline.files import atomic_path, write_json, write_text
from avpipeline.results.card import model_card
from avpipeline.results.finished import Run, read_run
from avpipeline.training import hub
from avpipeline.training.paper import Paper
from avpipeline.training.saved import load_model

CARD, RECORD = "README.md", "result.json"
_FILES = {CARD, RECORD, hub.MODEL_FILE, "curves.png"}


@dataclasses.dataclass(frozen=True)
class PublishSettings:
    """Settings of a publish command."""

    run: tyro.conf.Positional[Path]
    """Folder of a finished run."""
    to: str
    """hf://user/name, a repository of the Hugging Face Hub, or a folder."""
    seed: Seed | None = None
    """Which seed's weights. [default: the first]"""
    licence: str | None = None
    """Licence of the weights, as Hugging Face names it, e.g. "apache-2.0". [default: none is stated]"""
    private: bool = False
    """Hide a new repository from others."""
    out: Path | None = None
    """Folder that is written and then uploaded. [default: runs/PAPER/published/NAME; --to, if that is a folder]"""


def publish(paper: Paper, settings: PublishSettings, api=None) -> None:
    """Writes a folder with the weights of a run, a model card and the record, and uploads it to the Hugging Face Hub.

    Examples:
      python -m PAPER.publish RUN --to published
      python -m PAPER.publish RUN --to hf://user/name --licence apache-2.0
    """
    # `api` is a huggingface_hub.HfApi; None makes one.
    target = hub.repository(settings.to)
    if target and target.revision:
        raise InputError(f"--to {target}: an upload makes a new revision; leave out @{target.revision}.")
    if settings.licence is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", settings.licence):
        raise InputError(f"--licence {settings.licence}: is no name of a licence; write it as in apache-2.0.")
    run = read_run(settings.run, paper.name)
    seed = min(run.scores) if settings.seed is None else settings.seed
    if seed not in run.scores:
        raise InputError(f"--seed {seed}: was not trained; {run.folder} has {', '.join(map(str, run.scores))}.")
    place = Path("runs") / paper.name / "published" / target.name.replace("/", "-") if target else Path(settings.to)
    folder = settings.out or place
    _require_own(folder)
    write_folder(folder, paper, run, seed, licence=settings.licence, name=str(target or folder.resolve().name))
    print(f"The model, its card and its record are in {link(folder)}")
    if target:
        print(f"Uploaded: {hub.upload(folder, target, api, private=settings.private)}")


def _require_own(folder: Path) -> None:
    """Raises InputError if a folder holds files that no publish command wrote; hidden ones, e.g. git's, are allowed."""
    if folder.is_dir():
        others = sorted(path.name for path in folder.iterdir() if path.name not in _FILES and path.name[0] != ".")
        if others:
            raise InputError(f"{folder}: holds other files ({', '.join(others[:3])}); choose an empty folder.")


def write_folder(folder: Path, paper: Paper, run: Run, seed: int, *, licence: str | None, name: str) -> None:
    """Writes model.keras, README.md, result.json and the curves to `folder`, each whole or not at all."""
    weights = run.folder / f"seed-{seed}" / "best.keras"
    # Loaded first, so that a file that does not load is never published.
    _, info = load_model(weights, paper=paper.name)
    what = paper.config.MODELS.get(info.model, info.model)
    card = model_card(run, info, seed, what=what, licence=licence, name=name)
    write_text(folder / CARD, card)
    write_json(folder / RECORD, run.result)
    copies = {hub.MODEL_FILE: weights, "curves.png": weights.with_name("curves.png")}
    for file, source in copies.items():
        if source.is_file():
            with atomic_path(folder / file) as temporary:
                shutil.copyfile(source, temporary)
