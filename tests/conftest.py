"""Fixtures shared by all tests: where the reference files are, and which golden arrays were compared."""

import os
from pathlib import Path

import avpipeline  # noqa: F401  first: it quiets TensorFlow's start

# isort: split
import numpy as np
import pytest

REFERENCE_VARIABLE = "AV_REFERENCE_DIR"
# The golden files that the systems built so far must agree with, array for array.
COVERED = ("ave_batch.npz", "av_att.npz", "vggish_logmel.npz")

_compared: dict[str, set[str]] = {}


def reference_folder() -> Path | None:
    value = os.environ.get(REFERENCE_VARIABLE)
    return Path(value).resolve() if value else None


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """Folder with golden/, data/ and media/; skips where it is not set."""
    folder = reference_folder()
    if folder is None:
        pytest.skip(f"{REFERENCE_VARIABLE} is not set: it names the folder with golden/, data/ and media/")
    if not folder.is_dir():
        pytest.fail(f"{REFERENCE_VARIABLE}={folder} is not a folder")
    return folder


class Golden:
    """The golden files; remembers every array that a test took to compare with.

    `golden["av_att.npz", "attention"]` gives an array and counts it as compared;
    `golden.path("av_att.pt")` gives a file's path.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / name

    def __getitem__(self, key: tuple[str, str]) -> np.ndarray:
        name, array = key
        with np.load(self.folder / name) as file:
            value = file[array]
        _compared.setdefault(name, set()).add(array)
        return value


@pytest.fixture(scope="session")
def golden(reference_dir) -> Golden:
    return Golden(reference_dir / "golden")
