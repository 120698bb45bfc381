"""Extraction on a Ray cluster: tasks that decode feed actors that hold the networks."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import tensorflow as tf

from avpipeline.cli.cluster import connected, mapped
from avpipeline.features.decoding import Decoded, decode_with_notes
from avpipeline.features.extraction import Made, made_of
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


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Extraction on a Ray cluster; see `extraction.Engine`.

    Attributes:
      extractors: this process's; the actors build the same ones.
      weights_dir: folder in which every machine looks for their weights first.
      seconds: of each clip.
      workers: actors on a cluster without GPUs; None takes one a machine.
      address: of the cluster; None uses this machine alone.
    """

    extractors: Mapping[str, Extractor]
    weights_dir: Path | None
    seconds: int
    workers: int | None = None
    address: str | None = None

    def made(self, todo: Mapping[str, Path]) -> Iterator[Made]:
        if not todo:
            return
        infos = {name: extractor.info for name, extractor in self.extractors.items()}
        format_ = clip_format(self.extractors.values())
        decode = partial(_decode, seconds=self.seconds, clip_format=format_)
        with connected(self.address):
            networks = partial(Networks, infos, self.weights_dir)
            yield from mapped(decode, list(todo.items()), actor=networks, actors=self.workers)


def _decode(item: tuple[str, Path], seconds: int, clip_format: Mapping) -> Decoded:
    """Decodes a file; every machine of the cluster must see it under the same path."""
    return decode_with_notes(*item, seconds, clip_format)
