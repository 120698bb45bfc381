"""Pretrained weights: found where, from where, how large, which hash, under which licence; fetched where they can be.

    python -m avpipeline.weights            lists every network
    python -m avpipeline.weights yamnet     fetches its files into the cache folder, if they are not found
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from avpipeline.cli import run
from avpipeline.errors import InputError
from avpipeline.files import sha256_file

if TYPE_CHECKING:
    from avpipeline.features.sources import WeightFile


@dataclasses.dataclass(frozen=True)
class Settings:
    networks: tyro.conf.Positional[tuple[str, ...]] = ()
    """Networks whose files are fetched; without a name all networks are listed."""
    weights_dir: Path | None = None
    """Folder that is searched first."""


def main(settings: Settings) -> None:
    """Lists the networks' weight files, or fetches those of the networks named.

    Examples:
      python -m avpipeline.weights
      python -m avpipeline.weights yamnet
    """
    from avpipeline.features.sources import SOURCES, fetched, found_at

    unknown = [name for name in settings.networks if name not in SOURCES]
    if unknown:
        raise InputError(f"{unknown[0]}: there is no such network; choose one of {', '.join(SOURCES)}.")
    for name in settings.networks or SOURCES:
        print(name)
        for file in SOURCES[name]:
            path = found_at(file, settings.weights_dir)
            if path is None and settings.networks:
                path = fetched(file, settings.weights_dir)
            print("\n".join(_lines(file, path)))


def _lines(file: WeightFile, path: Path | None) -> list[str]:
    if path is None:
        where = "not found"
    else:
        whole = path if path.is_file() else path.with_name(f"{path.name}.index")
        where = f"{path} ({whole.stat().st_size / 1e6:.1f} MB, sha256 {sha256_file(whole)[:16]})"
    known = f"sha256 {file.sha256[:16]}..." if file.sha256 else "hash not published"
    return [f"  {file.name}: {where}", f"    from {file.url}, {file.size}, {known}, licence: {file.licence}"]


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avpipeline.weights"))
