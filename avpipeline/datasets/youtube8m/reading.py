"""From YouTube-8M shards to batches: a tf.data pipeline over any number of files.

Shards are read in parallel, records are parsed a batch at a time by TensorFlow's own parser, and labels stay lists of
class numbers until the batch is built. A few comparisons on whole batches detect faulty records; only these are
examined in Python (`records.require_fit`), so that the message can name file, video and fault.
"""

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

from avpipeline.datasets.batches import READY_BATCHES, data_options, epoch_numbers, in_pieces
from avpipeline.datasets.youtube8m import parsing
from avpipeline.datasets.youtube8m.files import (
    FRAMING,
    CorruptRecords,
    Damage,
    Paths,
    first_usable,
    intact_beginning,
    intact_records,
    list_shards,
    rest_of,
)
from avpipeline.datasets.youtube8m.records import (
    LEVELS,
    MAX_FRAMES,
    MODALITIES,
    Expected,
    decoded,
    is_readable,
    require_fit,
    without,
)
from avpipeline.errors import InputError

TOKENS = ("mean_std", "mean", "frames")

# Shards that are read in parallel when shuffling.
_OPEN_SHARDS = 8
_PARALLEL_PARSES = max(2, min(8, os.cpu_count() or 1))

# Records read from one shard at a time, and shuffled together: one of video level takes 5 to 9 kB, others up to 350.
_BLOCK = {"video": 64, "frame": 8, "segment": 8}
_WINDOW = {"video": 8192, "frame": 512, "segment": 512}


def dataset(
    paths: Paths,
    *,
    num_classes: int,
    batch_size: int,
    level: Literal["video", "frame", "segment"] = "video",
    tokens: Literal["mean_std", "mean", "frames"] = "mean_std",
    modalities: Iterable[str] = MODALITIES,
    max_frames: int = MAX_FRAMES,
    shuffle: bool = False,
    seed: int = 0,
    window: int | None = None,
    drop_remainder: bool = False,
    repeat: bool = False,
    first_epoch: int = 0,
    missing: Literal["error", "zeros"] = "error",
    skip_corrupt: bool = False,
    corrupt: CorruptRecords | None = None,
    details: bool = False,
    pieces: range = range(1),
    of: int = 1,
    worker: int = 0,
    workers: int = 1,
) -> tf.data.Dataset:
    """Batches `(inputs, labels)`: labels `(batch, num_classes)` float32, 1 where the video has the label, else 0.

    The inputs, float32, widths 128 for audio and 1024 for visual in YouTube-8M itself:
    - `tokens="mean_std"`: `{"audio": (batch, 2, 128), "visual": (batch, 2, 1024)}`, mean and standard deviation
      over the frames (population form, divided by the number of frames). Frame-level records give both;
      video-level records only where `std_rgb` and `std_audio` were stored.
    - `tokens="mean"`: the mean alone, `(batch, 1, width)`.
    - `tokens="frames"`, not at video level: `(batch, max_frames, width)`, dequantised, then zero-padded, and
      `"num_frames"` `(batch,)` int32.

    At level "segment" an example is not a video but one of its labelled segments of five frames; its labels are those
    confirmed by raters.

    The order depends on `(seed, epoch)` alone; `repeat`, `first_epoch`, `pieces` and `of` are those of
    `batches.batches`. Without `shuffle`, files are sorted by name and records keep their order. With it, shards come
    in random order, eight are read in parallel, and records are shuffled within windows of `window`.

    An error while reading records (InputError) ends the iteration; `avpipeline.cli.sentence_of` extracts its sentence.

    Args:
      paths: files or patterns, e.g. `"yt8m/train*.tfrecord"`.
      num_classes: 3862 for the 2018 version of YouTube-8M, 4716 for that of 2017.
      modalities: "audio", "visual" or both; others are not read.
      max_frames: frames of a video that are read; the rest is dropped.
      window: None takes 8192 records at video level, else 512 (180 MB of YouTube-8M).
      missing: how a video that lacks a modality is treated: as an error, or with zeros (as dequantised frames).
      skip_corrupt: skip records whose checksum is wrong; otherwise the first of them is an error.
      corrupt: collects what was skipped; each damaged file also gives a warning.
      details: adds to the inputs `"id"` `(batch,)` strings and, at level "segment", `"start_time"` `(batch,)` int32 and
        `"rated"` `(batch, num_classes)`: 1 where raters judged whether the label is right.
      worker, workers: number `worker` (from 0) of several reads every `workers`-th file of the epoch's order, and no
        other file is opened: together they read each record exactly once an epoch.

    Raises:
      InputError: no such files, incompatible settings, a first record that does not match them.
    """
    modalities = _checked(level, tokens, missing, modalities, num_classes, batch_size, max_frames)
    shards = list_shards(paths)
    if not 0 <= worker < workers <= len(shards):
        raise InputError(
            f"worker {worker} of {workers}: {len(shards)} files can be shared by 1 to {len(shards)} workers, numbered "
            "from 0; take fewer, or write more files."
        )
    shard, first = first_usable(shards, skip_corrupt=skip_corrupt)
    widths = _widths(shard, first, modalities, missing)
    expected = Expected(level, widths, tokens == "mean_std" and level == "video", num_classes, missing == "zeros")
    require_fit(expected, shard, first)
    if level == "segment" and not decoded(shard, first).has_segments:
        raise InputError(
            f"{shard}: its first video has no segment labels (segment_start_times), as only the validation files of "
            "2019 have; read those, or whole videos (level 'frame')."
        )

    corrupt = CorruptRecords() if corrupt is None else corrupt
    after = functools.partial(rest_of, skip=skip_corrupt, corrupt=corrupt)
    parse = _parser(expected, shards, tokens, max_frames, details, lambda labels: labels.multi_hot(num_classes))

    def epoch(number):
        key = tf.stack([tf.constant(seed, tf.int64), number]) if shuffle else None
        blocks = _records(shards, _BLOCK[level], after, key, window or _WINDOW[level], slice(worker, None, workers))
        records = blocks.rebatch(batch_size, drop_remainder=drop_remainder)
        if level != "segment":
            return records
        # A record has any number of segments.
        return records.map(parse, _PARALLEL_PARSES, deterministic=True).rebatch(batch_size, drop_remainder)

    examples = epoch_numbers(repeat=repeat, shuffle=shuffle, first_epoch=first_epoch).flat_map(epoch)
    # Records that belong to other pieces are read and not parsed.
    examples = in_pieces(examples, pieces, of)
    if level != "segment":
        examples = examples.map(parse, _PARALLEL_PARSES, deterministic=True)
    return examples.prefetch(READY_BATCHES).with_options(data_options())


def summaries(
    paths: Sequence[str], *, skip_corrupt: bool, corrupt: CorruptRecords, like: Sequence[str]
) -> Iterator[tuple[str, str, list[int], dict[str, np.ndarray]]]:
    """For each video of frame-level shards, in order: path, id, labels, modality -> `(2, width)`.

    The last are mean and standard deviation, as `dataset(tokens="mean_std")` computes them from the same frames. A
    modality that the video lacks has no entry.

    Args:
      like: files, the first of which determines the width of a frame's features.

    Raises:
      InputError: a file is damaged (unless that is skipped) or holds other records.
    """
    shard, first = first_usable(like, skip_corrupt=skip_corrupt)
    widths = _widths(shard, first, MODALITIES, "zeros")
    expected = Expected("frame", widths, std=False, num_classes=np.iinfo(np.int64).max, zeros=True)
    require_fit(expected, shard, first)
    parse = _parser(expected, list(paths), "mean_std", MAX_FRAMES, True, parsing.Places.ragged)
    after = functools.partial(rest_of, skip=skip_corrupt, corrupt=corrupt)
    batches = _records(list(paths), _BLOCK["frame"], after).map(
        lambda records, numbers: (*parse(records, numbers), numbers), _PARALLEL_PARSES, deterministic=True
    )
    for inputs, labels, numbers in batches.prefetch(READY_BATCHES):
        names, classes = inputs.pop("id").numpy(), labels.to_list()
        arrays = {modality: values.numpy() for modality, values in inputs.items()}
        for row, (name, number) in enumerate(zip(names, numbers.numpy(), strict=True)):
            # Dequantised frames are never exactly 0: zeros mean a missing modality.
            summary = {modality: values[row] for modality, values in arrays.items() if values[row].any()}
            yield paths[number], name.decode(errors="replace"), classes[row], summary


def _checked(level, tokens, missing, modalities, num_classes, batch_size, max_frames) -> tuple[str, ...]:
    """The modalities in order; InputError if a setting is invalid or incompatible with another."""
    choices = {"level": (level, LEVELS), "tokens": (tokens, TOKENS), "missing": (missing, ("error", "zeros"))}
    for name, (value, known) in choices.items():
        if value not in known:
            raise InputError(f"{name} '{value}': unknown, choose one of {', '.join(known)}.")
    if level == "video" and tokens == "frames":
        raise InputError("tokens 'frames': video-level records hold no frames; read frame-level files.")
    if min(num_classes, batch_size, max_frames) < 1:
        raise InputError("number of classes, batch size and maximum of frames: each must be at least 1.")
    modalities = [modalities] if isinstance(modalities, str) else list(modalities)
    if not modalities or not set(modalities) <= set(MODALITIES):
        raise InputError(f"modalities {', '.join(modalities) or 'none'}: choose from {', '.join(MODALITIES)}.")
    return tuple(name for name in MODALITIES if name in modalities)


def _widths(shard: str, first: bytes, modalities: Iterable[str], missing: str) -> dict[str, int]:
    """Modality -> width of its features, from the first record; if it may be missing, from the first that has it."""
    known: dict[str, int] = {}
    for data in intact_records(shard, 0, Damage()) if missing == "zeros" else (first,):
        record = decoded(shard, data)
        known |= {name: width for name in modalities if name not in known and (width := record.width(name))}
        if len(known) == len(modalities):
            return {name: known[name] for name in modalities}
    absent = next(name for name in modalities if name not in known)
    record = decoded(shard, first)
    if record.level is None:
        told = record.other_form() or "holds no features; give files of YouTube-8M's form."
        raise InputError(f"{shard}: its first record {told}")
    if missing == "error":
        raise InputError(f"{shard}: its first video '{record.id}' {without(absent)}")
    raise InputError(
        f"{shard}: none of its videos has {absent} features, so their width is unknown; leave out that modality."
    )


def _records(shards: list[str], size: int, after, key=None, window=1, share=slice(None)) -> tf.data.Dataset:
    """Blocks of one epoch: (records `(n,)` as strings, the number of each record's shard `(n,)`).

    Args:
      size: records read from one shard at a time.
      after: `(path, byte) -> records` after a byte where tf.data stopped.
      key: of the epoch's random order, `(2,)`; None keeps the order of the files and of their records.
      window: records shuffled together.
      share: which shards of the epoch's order are read.
    """
    numbers, open_shards = tf.range(len(shards), dtype=tf.int64), 1
    if key is not None:
        numbers = tf.gather(numbers, _permutation(len(shards), key))
        # Bounded by the number of all shards: a worker's share of them decides only which files it reads.
        open_shards = min(_OPEN_SHARDS, len(shards))
    blocks = tf.data.Dataset.from_tensor_slices(numbers[share]).interleave(
        lambda number: _blocks(tf.gather(shards, number), number, size, after),
        cycle_length=open_shards,
        num_parallel_calls=open_shards,
        deterministic=True,
    )
    if key is None:
        return blocks
    # Windows instead of a shuffle buffer, whose order would also depend on TensorFlow's global seed.
    return blocks.rebatch(window).enumerate().map(functools.partial(_shuffled, key))


def _blocks(path: tf.Tensor, number: tf.Tensor, size: int, after) -> tf.data.Dataset:
    """The records of one shard, `size` at a time, each with the shard's number.

    tf.data stops at the first damaged record of a file without naming the file. So the bytes read are counted, and at
    the end `after` handles the rest of the file: nothing, if all of it was read.
    """
    records = intact_beginning(path).batch(size)
    end = tf.data.Dataset.from_tensors(tf.zeros([0], tf.string))

    def left(name: np.ndarray, position: np.ndarray) -> np.ndarray:
        return np.array(after(name.decode(), int(position)), object)

    def step(position: tf.Tensor, block: tf.Tensor):
        position += tf.reduce_sum(tf.cast(tf.strings.length(block), tf.int64) + FRAMING)
        block = tf.cond(
            tf.size(block) > 0,
            lambda: block,
            lambda: tf.ensure_shape(tf.numpy_function(left, [path, position], tf.string), [None]),
        )
        return position, block

    step = tf.autograph.experimental.do_not_convert(step)
    blocks = records.concatenate(end).scan(tf.constant(0, tf.int64), step)
    return blocks.filter(lambda block: tf.size(block) > 0).map(lambda block: (block, tf.fill(tf.shape(block), number)))


def _permutation(count, key: tf.Tensor) -> tf.Tensor:
    """A random order of `count` items; the generator is specified, so that all devices draw the same."""
    return tf.argsort(tf.random.stateless_uniform([count], key, alg="philox"), stable=True)


def _shuffled(key: tf.Tensor, index: tf.Tensor, window: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, ...]:
    records, shards = window
    # Each window has its own key, drawn from that of the epoch.
    own = tf.random.stateless_uniform(
        [2], tf.stack([key[0], key[1] + (index + 1) * (1 << 32)]), None, None, tf.int64, alg="philox"
    )
    order = _permutation(tf.size(records), own)
    return tf.gather(records, order), tf.gather(shards, order)


def _parser(expected: Expected, shards: list[str], tokens: str, max_frames: int, details: bool, labels_of: Callable):
    """A graph function: (records, numbers of their shards) -> (inputs, `labels_of` the labels as `parsing.Places`)."""
    parse = {"video": parsing.videos, "frame": parsing.frames, "segment": parsing.segments}[expected.level]

    def complain(records: np.ndarray, numbers: np.ndarray) -> np.int64:
        for data, number in zip(records, numbers, strict=True):
            require_fit(expected, shards[number], data)
        raise AssertionError("a batch was refused, but none of its records is wrong")

    def all_readable(records: np.ndarray) -> np.bool_:
        return np.bool_(all(map(is_readable, records)))

    @tf.autograph.experimental.do_not_convert
    def element(records: tf.Tensor, numbers: tf.Tensor):
        can_be_parsed = tf.ensure_shape(tf.numpy_function(all_readable, [records], tf.bool), [])
        examples = tf.cond(can_be_parsed, lambda: records, lambda: tf.zeros_like(records))
        parsed, fits = parse(examples, expected, tokens, max_frames)
        fine = tf.cond(
            can_be_parsed & fits,
            lambda: tf.constant(0, tf.int64),
            lambda: tf.numpy_function(complain, [records, numbers], tf.int64),
        )
        with tf.control_dependencies([fine]):
            inputs, labels = parsed(details)
            return inputs, labels_of(labels)

    return element
