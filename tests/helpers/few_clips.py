"""The synthetic dataset at another size, for whatever reads it by default: its 192 clips are many for a test."""

import contextlib
import functools

import pytest

from avpipeline.datasets import rendered
from avpipeline.datasets.rendered import RenderedSettings


@contextlib.contextmanager
def rendered_defaults(**changes: int):
    """Other defaults of `RenderedSettings` inside the block."""
    made = functools.partialmethod(RenderedSettings.__init__, **changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RenderedSettings, "__init__", made)
        for name, value in changes.items():
            # The settings that are the default argument of the dataset's functions.
            patch.setitem(vars(rendered._DEFAULTS), name, value)
        yield
