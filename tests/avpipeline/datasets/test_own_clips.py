"""One's own dataset from clips.csv, to the split that a model trains on."""

import numpy as np
import pytest

from avpipeline.datasets import load_video_split
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
    assert (train.dataset, train.ids) == ("csv", ("walk", "rain"))
    assert train.class_names == ("dog", "park", "rain light", "rain, heavy")
    np.testing.assert_array_equal(train.labels, [[1, 1, 0, 0], [0, 0, 0, 1]])
    np.testing.assert_array_equal(read_clips_csv(folder, "test").labels, [[1, 0, 1, 0]])


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
    assert train.ids == ("walk", "rain") and train.labels.shape == (2, 4)
    assert train.inputs["audio"].read(np.arange(2))[:, 0, 0].tolist() == [2, 1]


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
