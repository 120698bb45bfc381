"""Weights of the extractors: where they are looked for, seeded random ones, and their hash."""

import hashlib
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
    (`~/.keras/models`, or `$KERAS_HOME/models`).

    Raises:
      InputError: `weights_dir` is no folder.
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


def not_found(name: str, url: str, reason: Exception, weights_dir=None) -> InputError:
    """The sentence for pretrained weights that are neither here nor can be fetched."""
    folders = ", ".join(str(folder) for folder in search_folders(weights_dir))
    return InputError(
        f"{name}: not in {folders}, and it could not be downloaded ({first_line(reason)}); get it from {url} "
        "and put it into one of these folders, or take the weights 'none' (seeded random)."
    )


def fetch(name: str, url: str, weights_dir=None, *, sha256: str = "", md5: str | None = None) -> Path:
    """Downloads a weight file into the cache folder, whole or not at all.

    Args:
      sha256: how the file's SHA-256 begins, where that is known.
      md5: its MD5, where that is known.

    Raises:
      InputError: the download failed or brought another file; the sentence says where the file can be put.
    """
    path = cache_dir() / "weights" / name
    with locked(path):
        if path.exists():
            return path
        # Keras writes to the final path directly, where a killed download would leave a part that looks complete.
        with tempfile.TemporaryDirectory(prefix=".download-", dir=path.parent) as folder:
            try:
                file = keras.utils.get_file(name, url, file_hash=md5, cache_dir=folder, cache_subdir="")
            except Exception as error:  # Keras raises a bare Exception where a download fails
                raise not_found(name, url, error, weights_dir) from error
            found = sha256_file(file)
            if not found.startswith(sha256):
                reason = ValueError(f"a file with the hash {found[:12]} came where {sha256} is needed")
                raise not_found(name, url, reason, weights_dir)
            # Written before the file is in place, so that no file lacks its hash.
            _hash_file(path).write_text(found + "\n", encoding="utf-8")
            os.replace(file, path)
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
