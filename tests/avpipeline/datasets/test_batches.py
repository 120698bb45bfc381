import keras
import numpy as np
import pytest
import tensorflow as tf

from avpipeline.cli import sentence_of
from avpipeline.datasets.base import ArraySource, Split
from avpipeline.datasets.batches import batches, steps_per_epoch
from avpipeline.errors import InputError

COUNT = 11


class LoggedSource(ArraySource):
    """Remembers which rows were read."""

    def __init__(self, array):
        super().__init__(array)
        self.log = []

    def read(self, rows):
        self.log.extend(rows.tolist())
        return super().read(rows)


class BrokenSource(ArraySource):
    def read(self, rows):
        if 7 in rows:
            raise InputError("a.h5: row 7 holds NaN (it's broken); extract it again.")
        return super().read(rows)


def make_split(count=COUNT, source=LoggedSource):
    """Row r is r everywhere: in both inputs and in the labels."""
    values = np.arange(count, dtype=np.float64)
    return Split(
        dataset="made",
        name="train",
        ids=tuple(f"v{row}" for row in range(count)),
        class_names=("a", "background"),
        inputs={
            "audio": source(np.broadcast_to(values[:, None, None], (count, 2, 3))),
            "visual": source(np.broadcast_to(values[:, None, None, None], (count, 2, 2, 4))),
        },
        labels=np.broadcast_to(values[:, None, None], (count, 2, 2)),
        features={},
    )


def rows_of(dataset, steps=-1):
    """The row numbers that come out, checked to be the same in inputs and labels."""
    result = []
    for inputs, labels in dataset.take(steps):
        rows = labels[:, 0, 0].numpy()
        for array in (*inputs.values(), labels):
            np.testing.assert_array_equal(
                array, np.broadcast_to(rows.reshape(-1, *[1] * (array.ndim - 1)), array.shape)
            )
        result += rows.astype(int).tolist()
    return result


def test_elements_have_static_shapes_and_are_float32():
    partial = batches(make_split(), 4)
    assert partial.element_spec == (
        {"audio": tf.TensorSpec((None, 2, 3)), "visual": tf.TensorSpec((None, 2, 2, 4))},
        tf.TensorSpec((None, 2, 2)),
    )
    assert [len(labels) for _, labels in partial] == [4, 4, 3]
    assert partial.cardinality() == steps_per_epoch(make_split(), 4) == 3

    full = batches(make_split(), 4, drop_remainder=True)
    assert full.element_spec[0]["visual"].shape == (4, 2, 2, 4)
    assert [len(labels) for _, labels in full] == [4, 4]
    assert full.cardinality() == steps_per_epoch(make_split(), 4, drop_remainder=True) == 2


def test_without_shuffle_the_order_is_the_splits():
    dataset = batches(make_split(), 4)
    assert rows_of(dataset) == list(range(COUNT))
    assert rows_of(dataset) == list(range(COUNT))
    assert rows_of(batches(make_split(), 4, repeat=True), 6) == [*range(COUNT), *range(COUNT)]


def test_every_epoch_has_an_order_of_its_own_that_depends_on_seed_and_epoch_alone():
    steps = steps_per_epoch(make_split(), 4)
    endless = batches(make_split(), 4, shuffle=True, seed=3, repeat=True)
    rows = np.array(rows_of(endless, 4 * steps)).reshape(4, COUNT)
    assert (np.sort(rows) == np.arange(COUNT)).all()
    assert len({tuple(epoch) for epoch in rows}) == 4
    # The order itself is pinned: another version of TensorFlow must not change the results of a seed.
    assert rows[0].tolist() == [7, 5, 4, 0, 6, 8, 2, 10, 9, 3, 1]

    resumed = batches(make_split(), 4, shuffle=True, seed=3, repeat=True, first_epoch=2)
    assert rows_of(resumed, 2 * steps) == rows[2:].ravel().tolist()
    other = batches(make_split(), 4, shuffle=True, seed=4, repeat=True)
    assert rows_of(other, steps) != rows[0].tolist()
    one_at_a_time = batches(make_split(), 4, shuffle=True, seed=3, first_epoch=1)
    assert [rows_of(one_at_a_time) for _ in range(2)] == rows[1:3].tolist()


def test_dropped_remainder_is_dropped_in_every_epoch():
    rows = rows_of(batches(make_split(), 4, shuffle=True, drop_remainder=True, repeat=True), 4)
    assert len(set(rows[:8])) == len(set(rows[8:])) == 8


def test_cache_reads_each_row_once_and_still_shuffles_anew():
    split = make_split()
    dataset = batches(split, 4, shuffle=True, cache=True)
    first, second = rows_of(dataset), rows_of(dataset)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(COUNT))
    assert sorted(split.inputs["audio"].log) == list(range(COUNT))


def test_modalities_left_out_are_never_read():
    split = make_split()
    inputs, _ = next(iter(batches(split, 4, modalities=["audio"])))
    assert list(inputs) == ["audio"]
    assert split.inputs["visual"].log == []


def test_only_batches_about_to_be_used_are_read():
    split = make_split(count=400)
    iterator = iter(batches(split, 4))
    next(iterator)
    assert len(split.inputs["audio"].log) <= 4 * 8


def test_the_sentence_of_a_failing_row_comes_through():
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        list(batches(make_split(source=BrokenSource), 4))
    assert sentence_of(caught.value) == "a.h5: row 7 holds NaN (it's broken); extract it again."


@pytest.mark.parametrize(
    ("count", "batch_size", "options", "words"),
    [
        (3, 0, {}, "batch size 0: must be at least 1"),
        (0, 4, {}, "made, split train: has no videos"),
        (3, 4, {"drop_remainder": True}, "3 videos do not fill one batch of 4"),
        (3, 4, {"modalities": ["depth"]}, "has no depth features, only audio, visual"),
    ],
)
def test_what_gives_no_batch_is_refused(count, batch_size, options, words):
    with pytest.raises(InputError, match=words):
        batches(make_split(count), batch_size, **options)


def test_sharding_is_by_data():
    policy = batches(make_split(), 4).options().experimental_distribute.auto_shard_policy
    assert policy == tf.data.experimental.AutoShardPolicy.DATA


def test_fit_resumed_at_an_epoch_equals_fit_without_a_break():
    split = make_split()
    steps = steps_per_epoch(split, 2, drop_remainder=True)

    def model():
        keras.utils.set_random_seed(0)
        audio, visual = keras.Input((2, 3), name="audio"), keras.Input((2, 2, 4), name="visual")
        pooled = keras.layers.Average()([keras.ops.mean(audio, -1), keras.ops.mean(visual, (-1, -2))])
        outputs = keras.layers.Dense(2)(keras.ops.expand_dims(pooled / COUNT, -1))
        result = keras.Model({"audio": audio, "visual": visual}, outputs)
        result.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"], jit_compile=False)
        return result

    def fit(model, first, last):
        data = batches(split, 2, shuffle=True, seed=5, drop_remainder=True, repeat=True, first_epoch=first)
        model.fit(data, initial_epoch=first, epochs=last, steps_per_epoch=steps, shuffle=False, verbose=0)

    whole, broken = model(), model()
    fit(whole, 0, 4)
    fit(broken, 0, 1)
    fit(broken, 1, 4)
    for one, other in zip(whole.get_weights(), broken.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
