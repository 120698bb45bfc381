"""One's own dataset from clips.csv, to the split that a model trains on."""

import numpy as np
import pytest

from avpipeline.datasets import load_split, load_video_split, load_weak_training
from avpipeline.datasets.own_clips import read_clips_csv
from avpipeline.errors import InputError
from tests.helpers.errors import one_sentence
from tests.helpers.video_files import spoil_line, write_lines, write_shards

LINES = (
    "id,labels,split,remark",
    "walk,dog;park,train,",
    'rain,"rain, heavy",train,loud',
    "bark,dog,val,",
    "both,dog; rain\\, light,test,",
)


@pytest.fixture
def folder(tmp_path):
    return write_lines(tmp_path / "own", "clips.csv", [line.replace("\\,", "") for line in LINES])


def test_clips_and_labels(folder):
    train = read_clips_csv(folder, "train")
    assert (train.dataset, train.ids) == ("csv", ("rain", "walk"))
    assert train.class_names == ("dog", "park", "rain light", "rain, heavy")
    np.testing.assert_array_equal(train.labels, [[0, 0, 0, 1], [1, 1, 0, 0]])
    np.testing.assert_array_equal(read_clips_csv(folder, "test").labels, [[1, 0, 1, 0]])


def test_training_does_not_follow_a_table_that_is_sorted_by_label(tmp_path):
    rows = [f"{label}-{number},{label},train" for label in ("cat", "dog") for number in range(40)]
    by_label = read_clips_csv(write_lines(tmp_path / "a", "clips.csv", ["clip,label,split", *rows]), "train")
    backwards = read_clips_csv(write_lines(tmp_path / "b", "clips.csv", ["clip,label,split", *rows[::-1]]), "train")
    assert by_label.ids == backwards.ids and by_label.ids != tuple(sorted(by_label.ids))
    # Of forty of each class, the first half would be one class alone.
    assert 12 <= by_label.labels[:40, 0].sum() <= 28
    with_test = write_lines(tmp_path / "c", "clips.csv", ["clip,label,split", *(row[:-5] + "test" for row in rows)])
    assert read_clips_csv(with_test, "test").ids == tuple(row.split(",")[0] for row in rows)


def test_classes_may_have_an_order_of_their_own(folder):
    names = ["rain, heavy", "rain light", "park", "dog"]
    write_lines(folder, "classes.txt", names)
    assert read_clips_csv(folder, "val").class_names == tuple(names)
    np.testing.assert_array_equal(read_clips_csv(folder, "val").labels, [[0, 0, 0, 1]])
    write_lines(folder, "classes.txt", names[:3])
    with pytest.raises(
        InputError, match="clips.csv: line 2 has the class 'dog', which is not among the 3 of classes.txt"
    ):
        read_clips_csv(folder, "val")


def test_joined_with_features(folder):
    write_shards(folder, ("rain", "walk", "bark", "both"))
    train = load_video_split("csv", "train", folder)
    assert train.ids == ("rain", "walk") and train.labels.shape == (2, 4)
    assert train.inputs["audio"].read(np.arange(2))[:, 0, 0].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("line", "text", "words"),
    [
        (None, "", "clips.csv: no such file"),
        (1, "id,label,split,remark", "line 1 must name the columns id, labels, split, separated by commas"),
        (1, "id,labels,split,id", "line 1 must name the columns .* each once"),
        (3, "rain,,train,", "line 3 has no labels"),
        (3, "rain,rain;,train,", "line 3 has an empty label in 'rain;'"),
        (3, "rain,rain,training,", "line 3 has the split 'training'"),
        (3, "walk,rain,val,", r"line 3 lists 'walk' again \(first in line 2\)"),
        (4, "bark,dog,test,", "clips.csv: has no clip in split 'val'"),
    ],
)
def test_bad_tables_are_one_sentence(folder, line, text, words):
    spoil_line("clips.csv", line, text)(folder)
    with one_sentence(words):
        read_clips_csv(folder, "val")


EVENTS = (
    "clip,start,end,label,split",
    "walk.mp4,0,2,dog,train",
    "walk.mp4,2.6,4,cat,train",
    "clips/rain.wav,,,background,train",
    "bark,1,3,dog,val",
    "both,0,1,cat,test",
)


@pytest.fixture
def events(tmp_path):
    return write_shards(write_lines(tmp_path / "events", "clips.csv", EVENTS), ("walk", "rain", "bark", "both"))


def test_seconds_are_labelled_by_the_event_that_covers_their_middle(events):
    train = load_split("csv", "train", events)
    assert train.ids == ("rain", "walk") and train.class_names == ("cat", "dog", "background")
    # 2.6 to 4 s has the middle of second 3 alone.
    np.testing.assert_array_equal(train.labels.argmax(-1), [[2, 2, 2, 2], [1, 1, 2, 0]])
    weak = load_weak_training("csv", events)
    np.testing.assert_array_equal(weak.labels, [[0, 0, 1], [1, 1, 0]])
    # Of whole clips, that of background alone has no label.
    videos = load_video_split("csv", "train", events)
    assert videos.ids == ("walk",) and videos.labels.tolist() == [[1, 1]]


def test_splits_can_have_a_file_of_their_own(events):
    rows = [line.rpartition(",")[0] for line in EVENTS]
    write_lines(events, "clips.csv", rows)
    write_lines(events, "splits.csv", ["clip,split", "walk,val", "rain,val", "bark.mp4,train", "both,test"])
    assert load_split("csv", "train", events).ids == ("bark",)
    assert load_split("csv", "val", events).ids == ("walk", "rain")
    write_lines(events, "splits.csv", ["clip,split", "walk,val", "rain,val", "both,test"])
    with one_sentence("clips.csv: line 5 names 'bark', which splits.csv puts into no split"):
        load_split("csv", "train", events)


@pytest.mark.parametrize(
    ("line", "text", "words"),
    [
        (1, "file,start,end,label,split", "line 1 must name the columns clip, label, split"),
        (3, "walk,2,,cat,train", "line 3 has a start or an end alone"),
        (3, "walk,3,2,cat,train", "line 3 ends at 2 s, before it has begun"),
        (3, "walk,,,cat,train", "line 3 has no start and end, which are needed to label seconds"),
        (3, "walk,2,7,cat,train", "line 3 ends at 7 s where features are of 4 s"),
        (3, "walk,1,3,cat,train", "line 3 shares a second with another event of 'walk'; a second has one label"),
        (3, "walk,2,3,cat,val", "line 3 puts 'walk' into val, line 2 into train"),
        (3, "walk.mp4,0,2,dog,train", "line 3 lists .* again"),
        (3, "walk,x,3,cat,train", "line 3 has 'x' as start"),
    ],
)
def test_bad_events_are_one_sentence(events, line, text, words):
    spoil_line("clips.csv", line, text)(events)
    with one_sentence(words):
        load_split("csv", "train", events)
