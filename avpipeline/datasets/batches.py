"""From a split to the batches that a model trains on: a tf.data pipeline that reads rows by index.

Only indices are shuffled. Rows are read in place, a batch at a time, so that many gigabytes of features can be streamed
with the memory of a few batches.
"""

import itertools
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from avpipeline.datasets.base import ArraySource, Source, Split, Stream, row_dtype
from avpipeline.errors import InputError

# Batches read ahead of the model. Two readers keep the disk busy while one hands over its result. The numbers are
# fixed, not tuned at run time, so that at most PARALLEL_READS + READY_BATCHES batches are in memory.
PARALLEL_READS = 2
READY_BATCHES = 2


def batches(
    split: Split | Stream,
    batch_size: int,
    *,
    modalities: Iterable[str] | None = None,
    shuffle: bool = False,
    seed: int = 0,
    drop_remainder: bool = False,
    cache: bool = False,
    repeat: bool = False,
    first_epoch: int = 0,
    pieces: range = range(1),
    of: int = 1,
) -> tf.data.Dataset:
    """Batches of `split`: `({modality: (batch, *row shape)}, labels (batch, ...))`, float32; frames stay uint8.

    For AVE the elements are `({"audio": (B, 10, 128), "visual": (B, 10, 7, 7, 512)}, (B, 10, 29))`.

    The order of epoch `e` depends on `(seed, e)` alone. There are two ways to iterate over epochs:
    - `repeat=True`: endlessly, for `fit(steps_per_epoch=steps_per_epoch(...))`, starting at `first_epoch`. A run
      resumed with `first_epoch=e` sees the batches that the uninterrupted run saw from epoch `e` on.
    - `repeat=False`: one epoch per iterator; each new iterator takes the order of the next epoch, beginning with
      `first_epoch`. (Keras may create an extra iterator to build a model, so use `repeat=True` to resume.)

    An error while reading a row (InputError) ends the iteration; `avpipeline.cli.sentence_of` extracts its sentence.

    Args:
      modalities: the inputs to read, None for all of the split; others are never read.
      shuffle: use a new order in each epoch; False keeps the split's order.
      drop_remainder: drop the last batch of an epoch if it is not full.
      cache: keep all rows in memory once they have been read, so that later epochs do not read them again.
      pieces, of: for devices that share batches: each is cut into `of` pieces, whose sizes differ by one video at most,
        and only these pieces are read, one after another.

    Raises:
      InputError: the split yields no batch, or lacks a modality.
    """
    steps = steps_per_epoch(split, batch_size, drop_remainder=drop_remainder)
    if isinstance(split, Stream):
        return split.read(
            batch_size,
            modalities=modalities,
            shuffle=shuffle,
            seed=seed,
            drop_remainder=drop_remainder,
            cache=cache,
            repeat=repeat,
            first_epoch=first_epoch,
            **({"pieces": pieces, "of": of} if of > 1 else {}),
        )
    sources: dict[str, Source] = {}
    for modality in split.inputs if modalities is None else modalities:
        if modality not in split.inputs:
            found = ", ".join(split.inputs)
            raise InputError(f"{split.dataset}, split {split.name}: has no {modality} features, only {found}.")
        sources[modality] = CachedSource(split.inputs[modality]) if cache else split.inputs[modality]

    rows = epoch_numbers(repeat=repeat, shuffle=shuffle, first_epoch=first_epoch).flat_map(
        lambda epoch: _epoch_rows(len(split), epoch, seed, shuffle).batch(batch_size, drop_remainder=drop_remainder)
    )
    even = drop_remainder and not batch_size % of
    dataset = in_pieces(rows, pieces, of).map(
        _reader(sources, ArraySource(split.labels), batch_size // of if even else None),
        num_parallel_calls=PARALLEL_READS,
        deterministic=True,
    )
    cardinality = tf.data.INFINITE_CARDINALITY if repeat else steps * len(pieces)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(cardinality)).prefetch(READY_BATCHES)
    return dataset.with_options(data_options())


def steps_per_epoch(split: Split | Stream, batch_size: int, *, drop_remainder: bool = False) -> int:
    """Number of batches in one epoch of `split`; InputError if there are none."""
    if batch_size < 1:
        raise InputError(f"batch size {batch_size}: must be at least 1.")
    if not len(split):
        raise InputError(f"{split.dataset}, split {split.name}: has no videos, so there is nothing to read.")
    if drop_remainder and len(split) < batch_size:
        raise InputError(
            f"{split.dataset}, split {split.name}: its {len(split)} videos do not fill one batch of {batch_size} "
            "and partial batches are dropped; choose a smaller batch size."
        )
    return len(split) // batch_size if drop_remainder else -(-len(split) // batch_size)


def in_pieces(dataset: tf.data.Dataset, pieces: range, of: int) -> tf.data.Dataset:
    """Some of the `of` pieces of each batch of `dataset`, one after another."""
    if of == 1:
        return dataset

    @tf.autograph.experimental.do_not_convert
    def cut(*batch: tf.Tensor) -> tf.data.Dataset:
        size = tf.cast(tf.shape(tf.nest.flatten(batch)[0])[0], tf.int64)

        def piece(number: tf.Tensor):
            found = tf.nest.map_structure(lambda x: x[size * number // of : size * (number + 1) // of], batch)
            return found if len(found) > 1 else found[0]

        return tf.data.Dataset.range(pieces.start, pieces.stop).map(piece)

    return dataset.flat_map(cut)


class CachedSource:
    """Rows of another source, kept in the array `room(shape, dtype)` once they have been read."""

    def __init__(self, source: Source, room: Callable[..., np.ndarray] = np.empty):
        self.source = source
        self.shape = tuple(source.shape)
        self.dtype = row_dtype(source)
        # np.empty takes up memory only as rows are filled in.
        self._rows = room((len(source), *self.shape), self.dtype)
        self._known = np.zeros(len(source), bool)

    def __len__(self) -> int:
        return len(self._known)

    def read(self, rows: np.ndarray) -> np.ndarray:
        missing = np.unique(rows[~self._known[rows]])
        if missing.size:
            self._rows[missing] = self.source.read(missing)
            self._known[missing] = True
        return self._rows[rows]


def epoch_numbers(*, repeat: bool, shuffle: bool, first_epoch: int) -> tf.data.Dataset:
    """The numbers of the epochs, as described in `batches`: endless, or one per iterator."""
    if repeat:
        return tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
    if not shuffle:
        return tf.data.Dataset.range(1)
    counter = itertools.count(first_epoch)

    def following(_):
        return tf.ensure_shape(tf.numpy_function(lambda: np.int64(next(counter)), [], tf.int64), ())

    return tf.data.Dataset.range(1).map(tf.autograph.experimental.do_not_convert(following))


def _epoch_rows(count: int, epoch: tf.Tensor, seed: int, shuffle: bool) -> tf.data.Dataset:
    """Row numbers of one epoch; the generator is specified, so that all devices and versions draw the same."""
    rows = tf.range(count, dtype=tf.int64)
    if shuffle:
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        rows = tf.gather(rows, tf.argsort(tf.random.stateless_uniform([count], key, alg="philox"), stable=True))
    return tf.data.Dataset.from_tensor_slices(rows)


def _reader(sources: dict[str, Source], labels: Source, batch_size: int | None):
    """A tf.data function: row numbers -> (inputs, labels)."""
    everything = [*sources.values(), labels]
    dtypes = [row_dtype(source) for source in everything]

    def read(rows: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(source.read(rows), dtype) for source, dtype in zip(everything, dtypes, strict=True)]

    def element(rows: tf.Tensor):
        # stateful=False, as the result depends on the row numbers alone: it allows parallel reads in TensorFlow's
        # deterministic mode too.
        arrays = tf.numpy_function(read, [rows], list(map(tf.as_dtype, dtypes)), stateful=False)
        for array, source in zip(arrays, everything, strict=True):
            array.set_shape((batch_size, *source.shape))
        return dict(zip(sources, arrays, strict=False)), arrays[-1]

    return tf.autograph.experimental.do_not_convert(element)


def data_options() -> tf.data.Options:
    """Elements in a fixed order, whichever is ready first; several workers share elements, not files."""
    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return options
