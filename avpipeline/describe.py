"""`python -m avpipeline.describe`: what is heard and seen in your own videos, second by second; nothing is trained."""

import dataclasses
from pathlib import Path

import tyro

from avpipeline.cli import run
from avpipeline.cli.progress import link
from avpipeline.predict.describing import describe_file, load_describer, write_description
from avpipeline.predict.files import for_each_file


@dataclasses.dataclass(frozen=True)
class Settings:
    files: tyro.conf.Positional[tuple[Path, ...]]
    """Media files, folders of them, or lists (.txt, one path per line)."""
    yamnet: Path | None = None
    """Google's yamnet.h5 or yamnet.tflite, with yamnet_class_map.csv beside it; both are looked for in the folders of
    weights when not given."""
    out: Path = Path("described")
    """Folder for the texts, JSON files and timelines."""
    weights_dir: Path | None = None
    """Folder in which pretrained weights are looked for first; then $AVPIPELINE_WEIGHTS and the cache folder."""


def main(settings: Settings) -> int:
    """Names what is heard (AudioSet's classes, AVE's categories) and seen (ImageNet's) in every second of a file.

    Examples:
      python -m avpipeline.describe video.mp4
    """
    describer = load_describer(settings.yamnet, settings.weights_dir)
    status = for_each_file(
        settings.files,
        lambda path, tell: write_description(describe_file(path, describer), describer, settings.out, tell),
    )
    print(f"Texts, JSON files and timelines are in {link(settings.out)}")
    return status


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avpipeline.describe"))
