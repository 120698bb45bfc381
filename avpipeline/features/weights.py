"""Weights of the extractors: where they are looked for, seeded random ones, and their hash."""

import dataclasses
import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from avpipeline.errors import InputError
from avpipeline.files import cache_dir, first_line, locked, sha256_file

WEIGHTS_VARIABLE = "AVPIPELINE_WEIGHTS"


def search_folders(weights_dir=None) -> list[Path]:
    """Where weight files are looked for, in this order.

    `weights_dir`, `$AVPIPELINE_WEIGHTS`, `weights` in the cache folder, and where Keras keeps its downloads
    (`~/.keras/models`, or `$KERAS_HOME/models`). InputError where `weights_dir` is no folder.
    """
    folders = [cache_dir() / "weights", Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"]
    if os.environ.get(WEIGHTS_VARIABLE):
        folders.insert(0, Path(os.environ[WEIGHTS_VARIABLE]))
    if weights_dir is not None:
        if not Path(weights_dir).is_dir():
            raise InputError(f"{weights_dir}: there is no such folder of weights; check the path.")
        folders.insert(0, Path(weights_dir))
    return folders


def find_weights(names: Sequence[str], weights_dir=None) -> Path | None:
    """The first of the files `names` that a search folder holds; a name may be a TF checkpoint's prefix."""
    for folder in search_folders(weights_dir):
        for name in names:
            path = folder / name
            if path.is_file() or path.with_name(f"{name}.index").is_file():
                return path
    return None


def packaged(package: str, name: str) -> Path | None:
    """A data file of an installed package, which is not imported; None where either is missing."""
    spec = importlib.util.find_spec(package)
    paths = [Path(folder) / name for folder in (spec and spec.submodule_search_locations) or ()]
    return next((path for path in paths if path.is_file()), None)


@dataclasses.dataclass(frozen=True)
class WeightFile:
    """A file that a pretrained network needs."""

    name: str  # in a folder of weights
    url: str  # from where it can be downloaded; a command of pip for a file that a package holds
    size: str  # about how large it is
    licence: str  # as far as its publisher states one
    sha256: str = ""  # how its hash begins, where that is published
    md5: str | None = None
    label: str | None = None  # name of these weights for `FeatureInfo`, whatever the file; None for the file's own
    others: tuple[str, ...] = ()  # files that serve instead
    package: tuple[str, str] | None = None  # the installed package that holds it, and its path there

    @property
    def names(self) -> tuple[str, ...]:
        """Of all files that serve."""
        return (self.name, *self.others)

    def label_of(self, path: Path) -> str:
        """The name of a file's weights for `FeatureInfo`."""
        return self.label if self.label and path.name in self.names else path.name

    def described(self, path: Path | None) -> str:
        """Where it is, and from where it comes, for people."""
        where = "not found"
        if path is not None:
            whole = path if path.is_file() else path.with_name(f"{path.name}.index")
            where = f"{path} ({whole.stat().st_size / 1e6:.1f} MB, sha256 {sha256_file(whole)[:16]})"
        known = f"sha256 {self.sha256[:16]}..." if self.sha256 else "hash not published"
        return f"  {self.name}: {where}\n    from {self.url}, {self.size}, {known}, licence: {self.licence}"

    def found(self, weights_dir=None) -> Path | None:
        """The first of the files that serve, in a folder of weights or in the package; None where there is none."""
        return find_weights(self.names, weights_dir) or (packaged(*self.package) if self.package else None)

    def obtained(self, weights_dir=None) -> Path:
        """As `found`; downloaded where there is none, InputError where that cannot be."""
        path = self.found(weights_dir)
        if path is None and self.package:
            raise InputError(f"{self.name}: is in a Python package that is not installed; run {self.url}.")
        return path or fetch(self, weights_dir)


def fetch(file: WeightFile, weights_dir=None) -> Path:
    """Downloads a file into the cache folder, whole or not at all.

    Raises:
      InputError: the download failed or brought another file; the sentence says where the file can be put.
    """
    path = cache_dir() / "weights" / file.name
    with locked(path):
        if path.exists():
            return path
        # Keras writes to the final path directly, where a killed download would leave a part that looks complete.
        with tempfile.TemporaryDirectory(prefix=".download-", dir=path.parent) as folder:
            try:
                made = keras.utils.get_file(file.name, file.url, file_hash=file.md5, cache_dir=folder, cache_subdir="")
                found = sha256_file(made)
                if not found.startswith(file.sha256):
                    raise ValueError(f"a file with the hash {found[:12]} came where {file.sha256} is needed")
            except Exception as error:  # Keras raises a bare Exception where a download fails
                folders = ", ".join(str(folder) for folder in search_folders(weights_dir))
                raise InputError(
                    f"{file.name}: not in {folders}, and it could not be downloaded ({first_line(error)}); get it "
                    f"from {file.url} and put it into one of these folders, or take the weights 'none' (seeded random)."
                ) from error
            # Written before the file is in place, so that no file lacks its hash.
            _hash_file(path).write_text(found + "\n", encoding="utf-8")
            os.replace(made, path)
    return path


def require_unchanged(path: Path) -> None:
    """InputError where a file that `fetch` downloaded is no longer what it was."""
    kept = _hash_file(path)
    if kept.is_file() and path.is_file() and kept.read_text(encoding="utf-8").strip() != sha256_file(path):
        raise InputError(f"{path}: has changed since it was downloaded; remove it and fetch it again.")


def _hash_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def fill_seeded(model: keras.Model, seed: int) -> None:
    """Gives `model` random weights that keep its activations alive through any depth.

    Kernels are normal with the variance 2 / fan-in (He et al. 2015), biases and means 0, scales and variances
    1. NumPy draws them, in the order of the layers: equal on every TensorFlow version, and a network cut off
    at a lower layer has the lower layers of the whole one.
    """
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        layer.set_weights([_seeded(weight, rng) for weight in layer.weights])


def _seeded(weight, rng: np.random.Generator) -> np.ndarray:
    shape = tuple(weight.shape)
    if len(shape) > 1:
        fan_in = int(np.prod(shape[:-1]))
        return rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2.0 / fan_in))
    return np.full(shape, 1.0 if weight.name in ("gamma", "moving_variance") else 0.0, np.float32)


def weights_hash(model: keras.Model) -> str:
    """SHA-256 over the weight values of `model` in order, whatever their names."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(np.ascontiguousarray(weight.numpy(), "<f4"))
    return digest.hexdigest()
