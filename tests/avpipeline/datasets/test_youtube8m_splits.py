"""Folders in YouTube-8M's form: splits, vocabularies, streams; and the rendered clips in that form."""

import dataclasses

import numpy as np
import pytest

from avpipeline.datasets import youtube8m
from avpipeline.datasets.batches import batches, steps_per_epoch
from avpipeline.datasets.rendered import RenderedSettings, rendered_split
from avpipeline.datasets.rendering.storyboards import Stretch, storyboards
from avpipeline.datasets.youtube8m.rendered import CLASS_NAMES, labels_of, rendered_youtube8m
from avpipeline.datasets.youtube8m.splits import load_youtube8m, read_vocabulary, write_vocabulary
from avpipeline.datasets.youtube8m.writing import PUBLISHED, summary, vectors
from avpipeline.errors import InputError
from tests.helpers.youtube8m_files import frame_record, some_videos, video_record, write

VECTORS = {"mean_rgb": [1, 2], "mean_audio": [3], "std_rgb": [1, 2], "std_audio": [3]}


def vocabulary(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_vocabulary(tmp_path):
    # A quoted name with a comma, one without a name, one that is missing; in no order, with a byte-order mark.
    path = vocabulary(
        tmp_path / "v.csv", '\ufeffIndex,KnowledgeGraphId,Name\n3,/m/3,"Dog, small"\n0,/m/0,Car\n1,/m/1,\n'
    )
    assert read_vocabulary(path, 5) == ("Car", "/m/1", "class 2", "Dog, small", "class 4")
    with pytest.raises(InputError, match="has the class 3 where 3 classes end at 2; give the number of classes"):
        read_vocabulary(path)
    write_vocabulary(path, ["a", "b, c"], [7, 0])
    assert read_vocabulary(path) == ("a", "b, c")
    assert path.read_text().splitlines()[0].startswith("Index,TrainVideoCount,KnowledgeGraphId,Name,WikiUrl")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Number,Name\n0,Car\n", "must name the columns Index"),
        ("Index,Title\n0,Car\n", "line 2 has no Name: a vocabulary needs the columns Index and Name"),
        ("Index,Name\nzero,Car\n", "line 2 has 'zero' as Index"),
        ("Index,Name\n0\n", "line 2 has 1 fields instead of 2"),
        ("Index,Name\n0,Car\n0,Dog\n", "line 3 has the class 0 again"),
        ("Index,Name\n", "has a heading and no rows"),
    ],
)
def test_vocabularies_that_are_none(tmp_path, text, expected):
    with pytest.raises(InputError, match=expected):
        read_vocabulary(vocabulary(tmp_path / "v.csv", text))
    with pytest.raises(InputError, match="no such file"):
        read_vocabulary(tmp_path / "absent.csv")


def test_published_vocabulary(reference_dir):
    names = read_vocabulary(reference_dir / "data" / "youtube8m" / "vocabulary.csv", 3862)
    assert len(names) == 3862 and (names[3], names[7]) == ("Concert", "Car")
    assert names[120] == "/m/0dxrf" and names[0] == "class 0"


def test_folder(tmp_path):
    record = video_record("a", [1], **VECTORS)
    write(tmp_path / "train00.tfrecord", record, record)
    write(tmp_path / "train01.tfrecord", record)
    for shard in range(3):
        write(tmp_path / f"validate{shard}.tfrecord", video_record(f"v{shard}", [2], **VECTORS))
    data = load_youtube8m(tmp_path, num_classes=4)
    assert data.class_names == ("class 0", "class 1", "class 2", "class 3") and data.level == "video"
    assert list(data.shards) == ["train", "val"] and data.videos("train") == 3
    train = data.stream("train")
    assert (train.dataset, train.name, len(train)) == ("youtube8m", "train", 3)
    assert train.features == PUBLISHED and steps_per_epoch(train, 2) == 2
    ((inputs, labels),) = batches(train, 5, modalities=["audio", "num_frames"])
    assert list(inputs) == ["audio"] and inputs["audio"].shape == (3, 2, 1) and labels.shape == (3, 4)
    assert len(list(batches(train, 2, shuffle=True, drop_remainder=True, repeat=True).take(3))) == 3
    with pytest.raises(InputError, match="has no files of the split 'test', only of train, val"):
        data.stream("test")
    with pytest.raises(InputError, match="cannot be cached; leave out the cache"):
        batches(train, 2, cache=True)
    # Test files without labels, as the published ones: validation files serve for both.
    write(tmp_path / "test0.tfrecord", video_record("t", [], **VECTORS))
    divided = load_youtube8m(tmp_path, num_classes=4).shards
    assert {split: [path.rsplit("/")[-1] for path in paths] for split, paths in divided.items()} == {
        "train": ["train00.tfrecord", "train01.tfrecord"],
        "val": ["validate0.tfrecord", "validate2.tfrecord"],
        "test": ["validate1.tfrecord"],
    }
    write(tmp_path / "test0.tfrecord", video_record("t", [1], **VECTORS))
    assert load_youtube8m(tmp_path, num_classes=4).shards["test"] == (str(tmp_path / "test0.tfrecord"),)


def test_folder_of_segments(tmp_path):
    segments = {"segment_start_times": [0, 5], "segment_labels": [1, 1], "segment_scores": [1.0, 0.0]}
    (tmp_path / "train").mkdir()
    rgb, audio = np.zeros((10, 3)), np.zeros((10, 2))
    write(tmp_path / "train" / "0.tfrecord", frame_record("a", [1], rgb, audio, **segments))
    data = load_youtube8m(tmp_path, num_classes=2, level="segment")
    assert len(data.stream("train")) == 2 and load_youtube8m(tmp_path, num_classes=2).level == "frame"


def test_folders_that_are_none(tmp_path):
    with pytest.raises(InputError, match="has no train.*tfrecord"):
        load_youtube8m(tmp_path)
    some_videos(tmp_path)
    with pytest.raises(InputError, match="number of classes is not known; give it .*3862.*4716"):
        load_youtube8m(tmp_path)
    path = tmp_path / "train0.tfrecord"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match="is cut off or damaged"):
        load_youtube8m(tmp_path, num_classes=9).stream("train")
    assert len(load_youtube8m(tmp_path, num_classes=9).stream("train", skip_corrupt=True)) == 14


def test_labels_of_a_rendered_clip():
    board = storyboards(RenderedSettings(), "train")[0]
    # A hissing square, and the sound of a bell alone, which is no event.
    clip = dataclasses.replace(board, stretches=(Stretch(0, 4, 1, 2, ()), Stretch(5, 6, None, 1, ())))
    assert [CLASS_NAMES[label] for label in labels_of(clip)] == [
        "chequered square",
        "hiss",
        "chequered square with hiss",
    ]


def test_rendered_clips_in_the_form_of_youtube8m():
    few = RenderedSettings(train=10, val=8, test=2)
    data = rendered_youtube8m(few, level="video")
    assert data.class_names == CLASS_NAMES and len(data.class_names) == 16 and data.name == "rendered"
    split = rendered_split("val", few)
    stream = data.stream("val")
    assert len(stream) == len(split) and stream.features == split.features
    ((inputs, labels),) = youtube8m.dataset(data.paths("val"), num_classes=16, batch_size=99, details=True)
    assert inputs["id"].numpy().astype(str).tolist() == list(split.ids)
    assert inputs["audio"].shape == (len(split), 2, 128) and inputs["visual"].shape == (len(split), 2, 512)
    # One label of an object, one of a sound, one of both together, which is the clip's event.
    np.testing.assert_array_equal(labels[:, :4].numpy().sum(1), 1)
    np.testing.assert_array_equal(labels[:, 4:8].numpy().sum(1), 1)
    np.testing.assert_array_equal(labels[:, 8:], split.labels.max(1)[:, :8])
    for row in (0, 7):
        frames = split.inputs["visual"].array[row]
        expected = summary(vectors(frames) * data.description.scale["visual"])
        np.testing.assert_allclose(inputs["visual"][row], expected, atol=1e-6)
        np.testing.assert_allclose(
            expected[0] / data.description.scale["visual"], vectors(frames).mean(0), atol=0.02
        )
    frames = rendered_youtube8m(few, level="frame").stream("val", tokens="frames", max_frames=10)
    ((inputs, same),) = batches(frames, 99)
    assert inputs["audio"].shape == (len(split), 10, 128) and set(inputs["num_frames"].numpy()) == {10}
    np.testing.assert_array_equal(same, labels)
