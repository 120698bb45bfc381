"""Extraction on a Ray cluster: tasks that decode feed actors that hold the networks."""

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import tensorflow as tf

from avpipeline.cli.cluster import connected, gpus, machines, mapped
from avpipeline.features.extraction import Decoded, Made, decode_with_notes, made_of
from avpipeline.features.info import FeatureInfo
from avpipeline.features.registry import Extractor, clip_format, extractor_for


def leave_gpus() -> None:
    """Leaves the GPUs to the actors: this process only needs to know which networks they hold."""
    # RuntimeError: in a notebook that has already used them, it is too late.
    with contextlib.suppress(RuntimeError):
        tf.config.set_visible_devices([], "GPU")


class Networks:
    """The networks in an actor: exactly those whose features the command asked for."""

    def __init__(self, infos: Mapping[str, FeatureInfo], weights_dir: Path | None):
        """Raises InputError where this machine has no such weights."""
        self._extractors = {name: extractor_for(info, weights_dir=weights_dir) for name, info in infos.items()}
        for extractor in self._extractors.values():
            extractor.compile()

    def __call__(self, decoded: Decoded) -> Made:
        return made_of(decoded, self._extractors)


def made_there(
    todo: Mapping[str, Path],
    extractors: Mapping[str, Extractor],
    seconds: int,
    *,
    workers: int | None,
    weights_dir: Path | None,
    address: str | None,
) -> Iterator[Made]:
    """As `extraction.made_here`, on a cluster; every machine of it must see the files under the same paths.

    Args:
      extractors: this process's; the actors build the same ones.
      workers: actors on a cluster without GPUs; None takes one a machine.
      weights_dir: folder in which every machine looks for weights first.
      address: of the cluster; None uses this machine alone.
    """
    if not todo:
        return
    infos = {name: extractor.info for name, extractor in extractors.items()}
    decode = partial(decode_with_notes, seconds=seconds, clip_format=clip_format(extractors.values()))
    with connected(address):
        actors = min(gpus() or workers or machines(), len(todo))
        yield from mapped(decode, list(todo.items()), actor=Networks, arguments=(infos, weights_dir), actors=actors)
