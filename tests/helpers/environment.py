"""What the surroundings of a program are made to be: its streams, the clock, packages, a GPU."""

import contextlib
import io
import itertools
import sys
from collections.abc import Iterator

import pytest
import tqdm.std


class Terminal(io.StringIO):
    """A stream that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


@contextlib.contextmanager
def stream(name: str, replacement: io.StringIO) -> Iterator[io.StringIO]:
    """Inside, `sys.stdout` or `sys.stderr` is another stream."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(sys, name, replacement)
        yield replacement


@contextlib.contextmanager
def slow_clock() -> Iterator[None]:
    """Inside, progress bars read a clock by which two seconds pass between any two looks: every step takes long."""
    seconds = itertools.count(step=2)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(tqdm.std, "time", lambda: float(next(seconds)))
        yield


@contextlib.contextmanager
def without_packages(*names: str) -> Iterator[None]:
    """Inside, these packages are not installed, as far as Python can tell."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)
        yield


@contextlib.contextmanager
def with_a_gpu() -> Iterator[None]:
    """Inside, TensorFlow lists a GPU, which no operation can use."""
    import tensorflow as tf

    devices = {kind: tf.config.list_physical_devices(kind) for kind in (None, "CPU")}
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: {**devices, "GPU": ["one"]}[kind])
        yield
