"""`--cache`: the same rows, read once; memory only where half of what is free holds them."""

import errno
import os

import numpy as np
import pytest

from avpipeline.datasets import caching
from avpipeline.datasets.base import ArraySource, SelectedRows, Split, Stream
from avpipeline.datasets.batches import batches
from avpipeline.datasets.caching import free_memory, with_cache
from avpipeline.errors import InputError


class Counted:
    """Rows `(3, 2)` that count how often each is read."""

    shape = (3, 2)

    def __init__(self, count: int):
        self.rows = np.random.default_rng(0).random((count, *self.shape), np.float32)
        self.times = np.zeros(count, int)

    def __len__(self):
        return len(self.rows)

    def read(self, rows):
        np.add.at(self.times, rows, 1)
        return self.rows[rows]


def a_split(source, name="train") -> Split:
    ids = tuple(map(str, range(len(source))))
    labels = np.eye(2, dtype=np.float32)[np.arange(len(ids)) % 2]
    return Split("toy", name, ids, ("a", "b"), {"audio": source}, labels, {})


def two_epochs(split) -> bytes:
    read = batches(split, 4, shuffle=True, seed=3, repeat=True).take(6)
    return b"".join(inputs["audio"].numpy().tobytes() + labels.numpy().tobytes() for inputs, labels in read)


@pytest.mark.parametrize("how, reads", [("none", 2), ("memory", 1), ("disk", 1)])
def test_two_epochs_are_the_same_bytes(how, reads):
    source = Counted(10)
    kept, sentence = with_cache({"train": a_split(source)}, how, ["audio"])
    assert two_epochs(kept["train"]) == two_epochs(a_split(Counted(10)))
    # Batches are read ahead: of the third epoch too.
    assert source.times.min() >= reads and (how == "none" or source.times.max() == 1)
    assert ("(0.00024 MB) are kept" in sentence) == (how != "none")


@pytest.mark.parametrize("free, kept", [(2 * 480, True), (2 * 480 - 1, False), (None, False)])
def test_auto_takes_half_of_what_is_free(free, kept, monkeypatch):
    """10 and 10 rows of 6 numbers of 4 bytes are 480 bytes."""
    splits = {name: a_split(Counted(10), name) for name in ("train", "val")}
    monkeypatch.setattr(caching, "free_memory", lambda: free)
    found, sentence = with_cache(splits, "auto", ["audio"])
    assert [found[name] is not splits[name] for name in splits] == [kept, kept]
    assert sentence.startswith("Once read, the features of train and val" if kept else "Every epoch reads the features")


def test_what_is_in_memory_is_not_kept_twice():
    rows = SelectedRows(ArraySource(np.zeros((4, 3, 2), np.float32)), np.arange(4))
    splits = {"train": a_split(rows)}
    assert with_cache(splits, "memory", ["audio"]) == (splits, "")


def test_a_stream_is_kept_nowhere():
    stream = Stream("youtube8m", "train", ("a",), {}, 5, read=None)
    assert with_cache({"train": stream}, "auto", ["audio"])[1] == ""
    with pytest.raises(InputError, match="^--cache memory: youtube8m is read as a stream, which is not kept; leave it"):
        with_cache({"train": stream}, "memory", ["audio"])


def test_a_full_disk_is_said_in_a_sentence(monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError, match="^--cache disk: .* has no room for .*No space left.*choose --cache none"):
        with_cache({"train": a_split(Counted(10))}, "disk", ["audio"])


def test_free_memory_is_a_number_of_bytes():
    assert 1e7 < free_memory() < 1e14
