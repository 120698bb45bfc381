"""Pretrained weights: where they are, their source, size, hash and licence; fetches those that can be downloaded.

    python -m avpipeline.weights            lists every network
    python -m avpipeline.weights yamnet     fetches its files into the cache folder, if they are not found
"""

import dataclasses
from pathlib import Path

import tyro

from avpipeline.cli import run
from avpipeline.errors import InputError
from avpipeline.files import sha256_file


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
    from avpipeline.features.registry import SOURCES
    from avpipeline.features.weights import require_unchanged

    unknown = [name for name in settings.networks if name not in SOURCES]
    if unknown:
        raise InputError(f"{unknown[0]}: there is no such network; choose one of {', '.join(SOURCES)}.")
    for name in settings.networks or SOURCES:
        print(name)
        for file in SOURCES[name]:
            path = file.found(settings.weights_dir)
            if path is not None:
                require_unchanged(path)
            elif settings.networks:
                path = file.obtained(settings.weights_dir)
            where = "not found"
            if path is not None:
                whole = path if path.is_file() else path.with_name(f"{path.name}.index")
                where = f"{path} ({whole.stat().st_size / 1e6:.1f} MB, sha256 {sha256_file(whole)[:16]})"
            known = f"sha256 {file.sha256[:16]}..." if file.sha256 else "hash not published"
            print(f"  {file.name}: {where}")
            print(f"    from {file.url}, {file.size}, {known}, licence: {file.licence}")


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avpipeline.weights"))
