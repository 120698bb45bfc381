"""Lists which files in a folder are a dataset's clips, as input for feature extraction.

    python -m avpipeline.clip_list ucf51-1 LISTS CLIPS clips.txt
    python -m avpipeline.extract clips.txt FEATURES --features vggish:conv4_2,densenet201:avg_pool

UCF51 is half of UCF101 and Kinetics-Sounds a small part of Kinetics: without a list, extraction would take all files.
"""

import dataclasses
from pathlib import Path
from typing import Literal

import tyro

from avpipeline.cli import run
from avpipeline.datasets import VIDEO_DATASETS, read_video_list
from avpipeline.datasets.video_lists import write_clip_list

_WITH_LISTS = tuple(name for name in VIDEO_DATASETS if name != "rendered")


@dataclasses.dataclass(frozen=True)
class Settings:
    dataset: tyro.conf.Positional[Literal[_WITH_LISTS]]
    """The dataset whose clips to list."""
    lists: tyro.conf.Positional[Path]
    """Folder with the dataset's official lists."""
    clips: tyro.conf.Positional[Path]
    """Folder with the media files; subfolders are searched too."""
    out: tyro.conf.Positional[Path]
    """The list to write, a .txt file with one path per line."""
    splits: tuple[Literal["train", "val", "test"], ...] = ("train", "val", "test")
    """The splits whose clips to list."""


def main(settings: Settings) -> None:
    """Lists which files in a folder are a dataset's clips, for python -m avpipeline.extract.

    Examples:
      python -m avpipeline.clip_list vggsound LISTS VIDEOS clips.txt
    """
    lists = (read_video_list(settings.dataset, split, settings.lists) for split in dict.fromkeys(settings.splits))
    write_clip_list(lists, settings.clips, settings.out)


if __name__ == "__main__":
    raise SystemExit(run(main, prog="python -m avpipeline.clip_list"))
