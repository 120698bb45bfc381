"""Pretrained weights: where they are, their source, size, hash and licence; fetches those that can be downloaded.

    python -m avpipeline.weights            lists every network
    python -m avpipeline.weights yamnet     fetches its files into the cache folder, if they are not found
"""

import dataclasses
from pathlib import Path

import tyro

from avpipeline.cli import run


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
    from avpipeline.features.registry import weight_files
    from avpipeline.features.weights import require_unchanged

    for name, files in weight_files(settings.networks).items():
        print(name)
        for file in files:
            path = file.found(settings.weights_dir)
            if path is not None:
                require_unchanged(path)
            elif settings.networks:
                path = file.obtained(settings.weights_dir)
            print(file.described(path))


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avpipeline.weights"))
