"""Errors that a user reads."""

import contextlib

import pytest

from avpipeline.errors import InputError


@contextlib.contextmanager
def one_sentence(words: str):
    """Asserts that the block raises an InputError of one sentence in which the pattern `words` is found."""
    with pytest.raises(InputError, match=words) as caught:
        yield
    assert "\n" not in str(caught.value)
