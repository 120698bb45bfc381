"""Where the weights of each network come from."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from avpipeline.errors import InputError
from avpipeline.features import c3d, efficientnet, imagenet, mc3, vggish, yamnet
from avpipeline.features.weights import fetch, find_weights, require_unchanged
from avpipeline.files import sha256_file


@dataclasses.dataclass(frozen=True)
class WeightFile:
    """A file of weights."""

    name: str  # in a folder of weights
    url: str  # from where it can be downloaded; a command of pip for a file that a package holds
    size: str  # about how large it is
    licence: str  # as far as its publisher states one
    sha256: str = ""  # how its hash begins, where that is published
    package: tuple[str, str] | None = None  # the installed package that holds it, and its path there
    others: tuple[str, ...] = ()  # files that serve instead


def _keras(network: str, size: str, licence: str) -> WeightFile:
    found = imagenet.NETWORKS[network]
    return WeightFile(found.files[0], found.url, size, licence, others=found.files[1:])


def _torchvision(network: mc3.Name, size: str) -> WeightFile:
    found = mc3.NETWORKS[network]
    return WeightFile(found.file, mc3.URL + found.file, size, "BSD-3-Clause (torchvision)", sha256=found.hash_start)


_APACHE = "Apache-2.0 (Google)"
SOURCES: dict[str, tuple[WeightFile, ...]] = {
    "yamnet": (
        WeightFile(yamnet.FILES[0], yamnet.URL, "15 MB", _APACHE, others=yamnet.FILES[1:]),
        WeightFile(yamnet.CLASS_MAP, yamnet.CLASS_MAP_URL, "14 kB", _APACHE),
    ),
    "efficientnet_lite0": (
        WeightFile(
            efficientnet.FILE,
            efficientnet.INSTALL,
            "19 MB",
            "Apache-2.0",
            sha256=Path(efficientnet.FILE).stem.rpartition("-")[2],
            package=(efficientnet.PACKAGE, f"models/{efficientnet.FILE}"),
        ),
        WeightFile(
            efficientnet.NAMES,
            efficientnet.INSTALL,
            "15 kB",
            "MIT",
            package=(efficientnet.NAMES_PACKAGE, efficientnet.NAMES),
        ),
    ),
    "vggish": (
        WeightFile(vggish.CHECKPOINT, vggish.URL + vggish.CHECKPOINT, "289 MB", _APACHE, others=vggish.KERAS_FILES),
        WeightFile(vggish.PCA_FILE, vggish.URL + vggish.PCA_FILE, "73 kB", _APACHE),
    ),
    "vgg19": (_keras("vgg19", "80 MB", "CC BY 4.0 (Visual Geometry Group)"),),
    "densenet201": (_keras("densenet201", "75 MB", "BSD-3-Clause"),),
    "mc3_18": (_torchvision("mc3_18", "47 MB"),),
    "r3d_18": (_torchvision("r3d_18", "133 MB"),),
    "r2plus1d_18": (_torchvision("r2plus1d_18", "126 MB"),),
    "c3d": (
        WeightFile(c3d.KERAS_FILE, c3d.URL + c3d.KERAS_FILE, "320 MB", "see its repository", others=(c3d.TORCH_FILE,)),
    ),
}


def described(networks: Sequence[str], weights_dir=None) -> Iterator[str]:
    """Yields lines about the weight files of networks, fetching those not found; without names it only lists all files.

    Raises:
      InputError: no such network, or a file that cannot be fetched, is part of a package or was changed.
    """
    unknown = [name for name in networks if name not in SOURCES]
    if unknown:
        raise InputError(f"{unknown[0]}: there is no such network; choose one of {', '.join(SOURCES)}.")
    for name in networks or SOURCES:
        yield name
        for file in SOURCES[name]:
            path = find_weights((file.name, *file.others), weights_dir)
            if path is None and file.package:
                path = efficientnet.packaged(*file.package)
            if path is not None:
                require_unchanged(path)
            elif networks and file.package:
                raise InputError(f"{file.name}: is in a Python package; run {file.url}.")
            elif networks:
                path = fetch(file.name, file.url, weights_dir, sha256=file.sha256)
            yield from _lines(file, path)


def _lines(file: WeightFile, path: Path | None) -> Iterator[str]:
    where = "not found"
    if path is not None:
        whole = path if path.is_file() else path.with_name(f"{path.name}.index")
        where = f"{path} ({whole.stat().st_size / 1e6:.1f} MB, sha256 {sha256_file(whole)[:16]})"
    known = f"sha256 {file.sha256[:16]}..." if file.sha256 else "hash not published"
    yield f"  {file.name}: {where}"
    yield f"    from {file.url}, {file.size}, {known}, licence: {file.licence}"
