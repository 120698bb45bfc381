"""Serialised records of YouTube-8M to tensors, a batch at a time, inside the graph.

Each of `videos`, `frames` and `segments` takes the records of a batch and returns two values: a function of `details`
that gives `(inputs, labels)`, and a boolean scalar that says whether all records are valid. Only then may the function
be called. The labels are `Places`: for each label the row in the batch and the class.
"""

import dataclasses

import tensorflow as tf

from avpipeline.datasets.youtube8m.records import (
    FILE_NAMES,
    ID_FIELDS,
    SEGMENT_FIELDS,
    SEGMENT_FRAMES,
    Expected,
    dequantise,
)


@dataclasses.dataclass(frozen=True)
class Places:
    """Labels as the places of ones in a `(count, classes)` array: `rows` and `classes`, both int64, `(labels,)`."""

    rows: tf.Tensor
    classes: tf.Tensor
    count: tf.Tensor

    def multi_hot(self, num_classes: int) -> tf.Tensor:
        """`(count, num_classes)` float32; a repeated label counts once."""
        places = tf.stack([tf.cast(self.rows, tf.int64), self.classes], 1)
        shape = tf.stack([tf.cast(self.count, tf.int64), tf.constant(num_classes, tf.int64)])
        labels = tf.minimum(tf.scatter_nd(places, tf.ones(tf.shape(self.classes)), shape), 1.0)
        return tf.ensure_shape(labels, [None, num_classes])

    def ragged(self) -> tf.RaggedTensor:
        """The classes of each row."""
        return tf.RaggedTensor.from_value_rowids(self.classes, self.rows, tf.cast(self.count, tf.int64))


_CONTEXT = {**{field: tf.io.RaggedFeature(tf.string) for field in ID_FIELDS}, "labels": tf.io.VarLenFeature(tf.int64)}


def _ids(context: dict) -> tf.Tensor:
    """The name of each record, `(batch,)`; empty where it has none."""
    first, second = (context[field][:, :1].to_tensor("", shape=[None, 1])[:, 0] for field in ID_FIELDS)
    return tf.where(first == "", second, first)


def videos(records: tf.Tensor, expected: Expected, tokens: str, max_frames: int):
    """Video-level records; see the module's docstring."""
    kinds = ("mean", "std") if tokens == "mean_std" else ("mean",)
    fields = {name: [f"{kind}_{FILE_NAMES[name]}" for kind in kinds] for name in expected.widths}
    spec = {field: tf.io.RaggedFeature(tf.float32) for names in fields.values() for field in names}
    example = tf.io.parse_example(records, _CONTEXT | spec)
    fits = _labels_fit(example["labels"], expected)
    for name, names in fields.items():
        lengths = [example[field].row_lengths() for field in names]
        fits &= _all_of([(length == expected.widths[name]) | (length == 0) for length in lengths])
        fits &= _all_of([length == lengths[0] for length in lengths])
        fits &= tf.reduce_all([tf.reduce_all(tf.math.is_finite(example[field].values)) for field in names])
        if not expected.zeros:
            fits &= tf.reduce_all(lengths[0] > 0)

    def parsed(details: bool):
        inputs = {
            name: tf.stack([_dense(example[field], expected.widths[name]) for field in names], 1)
            for name, names in fields.items()
        }
        if details:
            inputs["id"] = _ids(example)
        return inputs, _places(example["labels"], records)

    return parsed, fits


def frames(records: tf.Tensor, expected: Expected, tokens: str, max_frames: int):
    """Frame-level records; see the module's docstring."""
    context, strings, lengths, _, fits = _sequence(records, expected, _CONTEXT)

    def parsed(details: bool):
        inputs = _inputs(strings, lengths, expected, tokens, max_frames)
        if details:
            inputs["id"] = _ids(context)
        return inputs, _places(context["labels"], records)

    return parsed, fits


def segments(records: tf.Tensor, expected: Expected, tokens: str, max_frames: int):
    """The labelled segments of frame-level records, in the order of the records and of their first mention."""
    kinds = dict(zip(SEGMENT_FIELDS, (tf.int64, tf.int64, tf.float32), strict=True))
    spec = {field: tf.io.RaggedFeature(kind, row_splits_dtype=tf.int64) for field, kind in kinds.items()}
    context, strings, lengths, num_frames, fits = _sequence(records, expected, _CONTEXT | spec)
    starts, classes, scores = (context[field] for field in SEGMENT_FIELDS)
    fits &= _all_of([starts.row_splits == other.row_splits for other in (classes, scores)])
    fits &= tf.reduce_all((classes.values >= 0) & (classes.values < expected.num_classes))
    fits &= tf.reduce_all((starts >= 0) & (starts < tf.cast(num_frames, tf.int64)[:, None]))

    def parsed(details: bool):
        rows = starts.value_rowids()
        # One number identifies a segment, as a video has far fewer frames than 2^20.
        keys, segment = tf.unique(rows * (1 << 20) + starts.values)
        row, start = keys // (1 << 20), tf.cast(keys % (1 << 20), tf.int32)
        positions = start[:, None] + tf.range(SEGMENT_FRAMES)
        stretches, counts = {}, {}
        for name, frames_of_all in strings.items():
            counts[name] = tf.clip_by_value(tf.gather(lengths[name], row) - start, 0, SEGMENT_FRAMES)
            last = tf.maximum(tf.shape(frames_of_all)[1] - 1, 0)
            stretches[name] = tf.gather(tf.gather(frames_of_all, row), tf.minimum(positions, last), batch_dims=1)
        inputs = _inputs(stretches, counts, expected, tokens, min(max_frames, SEGMENT_FRAMES))
        count = tf.size(keys)
        there = scores.values > 0
        labels = Places(tf.boolean_mask(segment, there), tf.boolean_mask(classes.values, there), count)
        if details:
            inputs |= {"id": tf.gather(_ids(context), row), "start_time": start}
            inputs["rated"] = Places(segment, classes.values, count).multi_hot(expected.num_classes)
        return inputs, labels

    return parsed, fits


def _sequence(records: tf.Tensor, expected: Expected, context: dict):
    """Five things: the context; modality -> strings `(batch, longest)`; modality -> number of them, `(batch,)` int32;
    the number of frames `(batch,)`; whether labels and frames are valid."""
    lists = {
        FILE_NAMES[name]: tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True) for name in expected.widths
    }
    parsed, strings, lengths = tf.io.parse_sequence_example(records, context, lists)
    strings = {name: strings[FILE_NAMES[name]] for name in expected.widths}
    lengths = {name: tf.cast(lengths[FILE_NAMES[name]], tf.int32) for name in expected.widths}
    num_frames = tf.reduce_max(tf.stack(list(lengths.values())), 0)
    fits = _labels_fit(parsed["labels"], expected) & tf.reduce_all(num_frames > 0)
    for name, width in expected.widths.items():
        present = tf.sequence_mask(lengths[name], tf.shape(strings[name])[1])
        fits &= tf.reduce_all((tf.strings.length(strings[name]) == width) | ~present)
        same = lengths[name] == num_frames
        fits &= tf.reduce_all(same | (lengths[name] == 0) if expected.zeros else same)
    return parsed, strings, lengths, num_frames, fits


def _inputs(strings, lengths, expected: Expected, tokens: str, max_frames: int) -> dict[str, tf.Tensor]:
    inputs = {}
    for name, width in expected.widths.items():
        kept = strings[name][:, :max_frames]
        length = tf.minimum(lengths[name], max_frames)
        present = tf.sequence_mask(length, tf.shape(kept)[1], tf.float32)[..., None]
        values = tf.cast(tf.io.decode_raw(kept, tf.uint8, fixed_length=width), tf.float32)
        # Zeros are set after dequantising, as no byte represents 0.
        values = tf.ensure_shape(dequantise(values) * present, [None, None, width])
        if tokens == "frames":
            missing = max_frames - tf.shape(values)[1]
            inputs[name] = tf.ensure_shape(tf.pad(values, [[0, 0], [0, missing], [0, 0]]), [None, max_frames, width])
        else:
            inputs[name] = _summary(values, present, length)[:, : 2 if tokens == "mean_std" else 1]
    if tokens == "frames":
        inputs["num_frames"] = tf.minimum(tf.reduce_max(tf.stack(list(lengths.values())), 0), max_frames)
    return inputs


def _summary(values: tf.Tensor, present: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Mean and standard deviation over the frames present, `(batch, 2, width)`; zeros if there are none."""
    count = tf.cast(tf.maximum(length, 1), tf.float32)[:, None]
    mean = tf.reduce_sum(values, 1) / count
    squares = tf.reduce_sum(tf.square((values - mean[:, None]) * present), 1)
    return tf.stack([mean, tf.sqrt(squares / count)], 1)


def _dense(values: tf.RaggedTensor, width: int) -> tf.Tensor:
    """`(batch, width)`, zeros for a record without values."""
    return tf.ensure_shape(values.to_tensor(shape=[None, width]), [None, width])


def _labels_fit(labels: tf.SparseTensor, expected: Expected) -> tf.Tensor:
    return tf.reduce_all((labels.values >= 0) & (labels.values < expected.num_classes))


def _all_of(conditions: list[tf.Tensor]) -> tf.Tensor:
    return tf.reduce_all(tf.stack(conditions))


def _places(labels: tf.SparseTensor, records: tf.Tensor) -> Places:
    return Places(labels.indices[:, 0], labels.values, tf.size(records))
