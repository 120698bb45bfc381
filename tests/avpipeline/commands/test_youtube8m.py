"""`python -m avpipeline.youtube8m` and its writer: what is written is read back as it was."""

import csv
import json

import numpy as np
import pytest
import tensorflow as tf

from avpipeline.cli import run
from avpipeline.datasets import youtube8m
from avpipeline.datasets.own_clips import read_clips
from avpipeline.datasets.youtube8m.records import Record, Video, dequantise, quantise
from avpipeline.datasets.youtube8m.splits import load_youtube8m
from avpipeline.datasets.youtube8m.writing import (
    PUBLISHED_DESCRIPTION,
    Description,
    description_of,
    read_description,
    write_description,
    write_shards,
)
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.features.shards import ClipRecord, ShardWriter
from avpipeline.features.store import FeatureShards, Manifest, write_manifest
from avpipeline.validate import main as validate
from avpipeline.youtube8m import main
from tests.helpers.environment import slow_clock
from tests.helpers.youtube8m_files import frame_record, some_videos, video_record, write

FEATURES = {
    "audio": FeatureInfo("small_audio", "embedding", "none", "a" * 64, (4,)),
    "visual": FeatureInfo("small_visual", "pool5", "none", "b" * 64, (2, 2, 6)),
}


def command(*words) -> int:
    return run(main, prog="python -m avpipeline.youtube8m", argv=[str(word) for word in words])


def records(path):
    return [Record(data) for data in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()]


def random_frames(frames, seed=0):
    rng = np.random.default_rng(seed)
    return {"audio": rng.uniform(-2, 2, (frames, 4)), "visual": rng.uniform(-2, 2, (frames, 6))}


def extracted(folder):
    """A folder of features as `avpipeline.extract` writes them: three clips, one without sound, one short."""
    manifest = Manifest(FEATURES, 3, ("long", "silent", "short"), complete=True)
    rng = np.random.default_rng(5)
    folder.mkdir()
    with ShardWriter(folder, manifest.shapes, shard_size=8) as writer:
        for name in manifest.ids:
            seconds = 1.4 if name == "short" else 3.0
            record = ClipRecord(name, f"{name}.mp4", 1, name != "silent", True, seconds, seconds)
            arrays = {modality: rng.random(shape).astype("f4") * 5 for modality, shape in manifest.shapes.items()}
            writer.add(record, arrays)
    write_manifest(folder, manifest)
    return folder


def test_other_modalities_than_a_record_has_are_left_out(tmp_path, monkeypatch, capsys):
    """A folder that also serves models on audio maps is written all the same; one of maps alone is refused."""
    maps = FeatureInfo("small_audio_map", "pool4", "none", "c" * 64, (2, 2, 4))
    table = labels_file(tmp_path / "labels.csv", [("long", "dog", "train")])
    monkeypatch.setitem(FEATURES, "audio_map", maps)
    both = extracted(tmp_path / "both")
    assert command("write", both, table, "--out", tmp_path / "out") == 0
    assert read_description(tmp_path / "out").features.keys() == {"audio", "visual"}
    (record,) = records(load_youtube8m(tmp_path / "out").shards["train"][0])
    assert len(record.frames("audio")) == len(record.frames("visual")) == 3
    for modality in ("audio", "visual"):
        monkeypatch.delitem(FEATURES, modality)
    capsys.readouterr()
    assert command("write", extracted(tmp_path / "maps"), table, "--out", tmp_path / "none") == 2
    assert "maps: has neither audio nor visual features; extract those" in capsys.readouterr().err


def labels_file(path, rows, columns=("id", "labels", "split")):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def test_bytes_are_the_nearest():
    values = np.linspace(-1.99, 2, 999)
    bytes_ = quantise(values)
    assert bytes_.dtype == np.uint8
    every = dequantise(np.arange(256))
    np.testing.assert_allclose(every, np.arange(256) * 4 / 255 + (4 / 512 - 2))
    np.testing.assert_array_equal(bytes_, np.abs(values[:, None] - every).argmin(1))
    np.testing.assert_array_equal(quantise(every), np.arange(256))
    np.testing.assert_array_equal(quantise([-9, 9]), [0, 255])


def test_both_levels_give_the_same_numbers(tmp_path):
    videos = [Video(f"v{index}", [index, 7], random_frames(index + 1, index)) for index in range(5)]
    for level in ("frame", "video"):
        paths = write_shards(tmp_path / level, "train", videos, shards=2, level=level)
        assert [path.name for path in paths] == ["train-00000-of-00002.tfrecord", "train-00001-of-00002.tfrecord"]
    read = {}
    for level in ("frame", "video"):
        pattern = tmp_path / level / "train*"
        ((inputs, labels),) = youtube8m.dataset(pattern, level=level, num_classes=8, batch_size=9, details=True)
        read[level] = {name: values.numpy() for name, values in inputs.items()}
        assert read[level]["id"].astype(str).tolist() == [video.id for video in videos]
        np.testing.assert_array_equal(labels, np.maximum(np.eye(8)[:5], np.eye(8)[7]))
    for name in ("audio", "visual"):
        np.testing.assert_allclose(read["frame"][name], read["video"][name], atol=1e-6)
        frames = videos[3].frames[name]
        np.testing.assert_allclose(read["frame"][name][3], [frames.mean(0), frames.std(0)], atol=0.01)


@pytest.mark.parametrize(
    "frames, expected",
    [
        ({}, "has no frames"),
        (random_frames(301), "has 301 frames; give 1 to 300"),
        ({**random_frames(2), "audio": np.zeros((3, 4))}, "has 2 and 3 frames"),
        ({"audio": np.full((2, 4), np.nan)}, "its audio features hold NaN"),
    ],
)
def test_video_that_cannot_be_written(tmp_path, frames, expected):
    with pytest.raises(InputError, match=expected):
        write_shards(tmp_path, "train", [Video("x", [1], random_frames(2)), Video("x", [1], frames)])
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="there are no videos or no shards"):
        write_shards(tmp_path, "train", [])


def test_description_of_a_folder(tmp_path):
    assert read_description(tmp_path) == PUBLISHED_DESCRIPTION
    description = Description(FEATURES, {"audio": 0.5, "visual": 2.0})
    write_description(tmp_path, description)
    assert read_description(tmp_path) == description
    maps = np.arange(48, dtype=np.float32).reshape(2, 2, 2, 6)
    np.testing.assert_allclose(description.frames("visual", maps), 2 * maps.mean((1, 2)))
    for text in ("no JSON", "{}", json.dumps({**description.to_json(), "schema": 9})):
        (tmp_path / "youtube8m.json").write_text(text)
        with pytest.raises(InputError, match="is damaged and cannot be understood"):
            read_description(tmp_path)


def test_write_from_features(tmp_path, capsys):
    folder = extracted(tmp_path / "features")
    rows = [("short", "dog; bark", "train"), ("long", "dog", ""), ("silent", "cat;1", "val")]
    table = labels_file(tmp_path / "labels.csv", rows)
    out = tmp_path / "out"
    assert command("write", folder, table, "--out", out) == 0
    # Labels by name in their own order; "1" is none of the names, so it is one more.
    data = load_youtube8m(out)
    assert data.class_names == ("1", "bark", "cat", "dog") and data.level == "frame"
    shards = FeatureShards(folder)
    assert data.description == description_of(shards) == read_description(out)
    first, second = records(data.shards["train"][0])
    assert [first.id, second.id] == ["short", "long"]
    assert [first.integers("labels"), second.integers("labels")] == [[1, 3], [3]]
    assert len(first.frames("audio")) == 2 and len(second.frames("visual")) == 3
    sound = shards.sources["audio"].read(np.arange(3))
    assert data.description.scale["audio"] == pytest.approx(2 / np.abs(sound).max())
    stored = dequantise(np.frombuffer(b"".join(second.frames("audio")), np.uint8).reshape(3, 4))
    np.testing.assert_allclose(stored / data.description.scale["audio"], sound[0], atol=0.03)
    (silent,) = records(data.shards["val"][0])
    assert not silent.frames("audio") and len(silent.frames("visual")) == 3
    with open(out / "vocabulary.csv", newline="") as file:
        counts = [(row["Name"], row["TrainVideoCount"]) for row in csv.DictReader(file)]
    assert counts == [("1", "0"), ("bark", "1"), ("cat", "0"), ("dog", "2")]
    assert "train: 2 videos in 1 files" in capsys.readouterr().out
    assert command("write", folder, table, "--out", out) == 2
    assert "already holds shards" in capsys.readouterr().err
    # With a vocabulary, labels may be numbers; without --scale, features stay as they are.
    again = tmp_path / "again"
    vocabulary = out / "vocabulary.csv"
    options = ("--vocabulary", vocabulary, "--level", "video", "--no-scale")
    assert (
        command("write", folder, labels_file(table, [("long", "3")], ("id", "labels")), "--out", again, *options)
        == 0
    )
    (record,) = records(again / "train-00000-of-00001.tfrecord")
    assert record.integers("labels") == [3] and len(record.floats("std_rgb")) == 6
    np.testing.assert_allclose(record.floats("mean_audio"), np.clip(sound[0], None, 2).mean(0), atol=0.02)


@pytest.mark.parametrize(
    "rows, expected",
    [
        ([("long", "dog"), ("long", "cat")], "line 3 lists 'long' again (first in line 2)"),
        ([("absent", "dog")], "has no features of 'absent' (1 of 1 videos"),
        ([("long", "zebra")], "line 2 has the class 'zebra', which is not among the"),
        ([("long", "7")], "line 2 has the class '7'"),
        ([], "has a heading and no rows"),
    ],
)
def test_labels_that_do_not_fit(tmp_path, capsys, rows, expected):
    table = labels_file(tmp_path / "labels.csv", rows, ("id", "labels"))
    words = labels_file(tmp_path / "words.csv", [(0, "dog"), (1, "cat")], ("Index", "Name"))
    folder = extracted(tmp_path / "features")
    assert command("write", folder, table, "--out", tmp_path / "out", "--vocabulary", words) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_label_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match="must name the columns id, labels"):
        read_clips(labels_file(tmp_path / "a.csv", [("x", "y")], ("video", "labels")), only="train")
    with pytest.raises(InputError, match="line 2 has the split 'dev'"):
        read_clips(labels_file(tmp_path / "b.csv", [("x", "y", "dev")]), only="train")


def test_std_stores_what_the_pipeline_computes(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for shard in range(2):
        made = []
        for video in range(10):
            rgb, audio = (rng.integers(0, 256, (video + 1, width)) for width in (3, 2))
            made.append(frame_record(f"s{shard}v{video}", [shard, 5], rgb, audio if video else None))
        write(tmp_path / f"train{shard}.tfrecord", *made)
    out = tmp_path / "std"
    pattern = tmp_path / "train*.tfrecord"
    write_description(tmp_path, Description(FEATURES, {"audio": 1.0, "visual": 1.0}))
    assert command("std", pattern, "--out", out) == 0
    assert "20 videos in 2 files" in capsys.readouterr().out
    assert read_description(out).features == FEATURES
    settings = {"num_classes": 6, "batch_size": 30, "missing": "zeros"}
    ((computed, labels),) = youtube8m.dataset(pattern, level="frame", **settings)
    ((stored, stored_labels),) = youtube8m.dataset(out / "train*.tfrecord", **settings)
    for name in computed:
        np.testing.assert_array_equal(computed[name], stored[name])
    np.testing.assert_array_equal(labels, stored_labels)
    first = records(out / "train1.tfrecord")[0]
    assert first.id == "s1v0" and not first.floats("mean_audio") and first.floats("std_rgb") == [0, 0, 0]
    # What is there is kept; what was not finished is made again.
    before = (out / "train0.tfrecord").stat().st_mtime_ns
    (out / "train1.tfrecord").unlink()
    assert command("std", pattern, "--out", out) == 0
    assert (out / "train0.tfrecord").stat().st_mtime_ns == before and (out / "train1.tfrecord").exists()
    assert "10 videos in 1 files" in capsys.readouterr().out


def test_std_of_a_shard_without_videos_is_made_once(tmp_path, capsys):
    write(tmp_path / "train0.tfrecord", frame_record("a", [1], [[1, 2, 3]], [[4, 5]]))
    write(tmp_path / "train1.tfrecord")
    for written in (2, 0):
        assert command("std", tmp_path / "train*.tfrecord", "--out", tmp_path / "std") == 0
        assert f"in {written} files" in capsys.readouterr().out
    assert [len(records(tmp_path / "std" / f"train{shard}.tfrecord")) for shard in (0, 1)] == [1, 0]


def test_a_shard_of_nothing_but_damage_gets_no_std_file(tmp_path):
    """A better copy may take its place, and files that exist are kept."""
    write(tmp_path / "train0.tfrecord", frame_record("a", [1], [[1, 2, 3]], [[4, 5]]))
    path = write(tmp_path / "train1.tfrecord", frame_record("b", [1], [[1, 2, 3]], [[4, 5]]))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.warns(UserWarning, match="skipped"):
        assert command("std", tmp_path / "train*.tfrecord", "--out", tmp_path / "std", "--skip-corrupt") == 0
    assert [file.name for file in (tmp_path / "std").glob("*.tfrecord")] == ["train0.tfrecord"]


def test_std_of_a_damaged_shard(tmp_path, capsys):
    good = frame_record("a", [1], [[1, 2, 3]], [[4, 5]])
    path = write(tmp_path / "train0.tfrecord", good, good)
    path.write_bytes(path.read_bytes()[:-3])
    out = tmp_path / "std"
    assert command("std", path, "--out", out) == 2
    assert f"{path}: is cut off or damaged" in capsys.readouterr().err
    assert not list(out.glob("*.tfrecord"))
    with pytest.warns(UserWarning, match="skipped"):
        assert command("std", path, "--out", out, "--skip-corrupt") == 0
    assert len(records(out / "train0.tfrecord")) == 1
    assert f"{path}: skipped the last" in capsys.readouterr().out
    assert command("std", path, "--out", tmp_path) == 2
    assert "would be overwritten" in capsys.readouterr().err


def test_check(tmp_path, capsys):
    some_videos(tmp_path)
    pattern = tmp_path / "train*.tfrecord"
    assert command("check", pattern) == 0
    said = capsys.readouterr().out
    assert "3 files, 15 usable videos; video level with 2 numbers of audio and 3 numbers of visual" in said
    assert "2.00 labels a video, the highest is 7" in said and "Complete and usable." in said
    assert command("check", pattern, "--no-values") == 0
    assert "3 files, 15 videos" in capsys.readouterr().out
    assert command("check", pattern, "--num-classes", "7") == 2
    assert "has the label 7 where 7 classes end at 6" in capsys.readouterr().out
    path = tmp_path / "train1.tfrecord"
    path.write_bytes(path.read_bytes()[:-3])
    faulty = [video_record(f"bad{index}", [0], mean_rgb=[1, 2, 3]) for index in range(5)]
    write(tmp_path / "train3.tfrecord", *faulty)
    assert command("check", pattern) == 2
    said = capsys.readouterr().out
    assert f"{path}: the last" in said and "video 'bad0' has no std_rgb; store it once" in said
    assert "2 more videos that cannot be used" in said and "wrong: " in said
    assert command("check", pattern, "--no-values") == 2
    assert command("check", tmp_path / "absent") == 2


def test_check_of_videos_without_sound(tmp_path, capsys):
    silent, both = frame_record("a", [0], [[1, 2, 3]]), frame_record("b", [0], [[1, 2, 3]] * 2, [[4, 5]] * 2)
    path = write(tmp_path / "train.tfrecord", silent, both, silent)
    assert command("check", path) == 0
    said = capsys.readouterr().out
    assert "3 usable videos; frame level with 3 numbers of visual and 2 numbers of audio; 1 to 2 frames" in said
    assert "2 videos without audio" in said


def test_validate_a_folder(tmp_path, capsys):
    frames = frame_record("a", [0, 1], [[1, 2, 3]] * 4, [[4, 5]] * 4)
    write(tmp_path / "train00.tfrecord", frames, frame_record("b", [], [[1, 2, 3]], [[4, 5]]))
    write(tmp_path / "validate00.tfrecord", frame_record("c", [2], [[1, 2, 3]], [[4, 5]]))
    labels_file(tmp_path / "vocabulary.csv", [(0, "dog"), (1, "cat")], ("Index", "Name"))
    assert run(validate, prog="validate", argv=["youtube8m", str(tmp_path)]) == 2
    said = capsys.readouterr().out
    assert "ok      vocabulary.csv: 2 classes" in said
    assert "1 files, 2 usable videos; frame level" in said and "1 to 4 frames" in said
    assert "note    train: 1 videos without labels" in said
    assert "wrong   val: " in said and "has the label 2 where 2 classes end at 1" in said
    assert "missing test" in said


def test_checking_and_writing_say_how_far_they_are(tmp_path, capsys):
    videos = [Video(f"v{number}", (number % 2,), random_frames(2, number)) for number in range(4)]
    with slow_clock():
        write_shards(tmp_path, "train", videos, shards=2)
        assert command("check", tmp_path / "train*.tfrecord") == 0
    said = capsys.readouterr()
    lines = [line.split(",")[0] for line in said.err.splitlines()]
    assert lines == [*(f"writing train: {count} of 4 videos" for count in (1, 2, 3)), "checking: 1 of 2 files"]
    assert "2 files, 4 usable videos" in said.out
