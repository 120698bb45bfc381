"""Hand-written records of every schema, read back; whatever is wrong with one is said in a sentence."""

import struct

import numpy as np
import pytest
import tensorflow as tf

from avpipeline.cli import sentence_of
from avpipeline.datasets import youtube8m
from avpipeline.datasets.youtube8m import parsing
from avpipeline.datasets.youtube8m.records import Expected, require_fit
from avpipeline.datasets.youtube8m.survey import surveyed
from avpipeline.errors import InputError
from tests.helpers.youtube8m_files import frame_record, some_videos, video_record, write

RGB = np.array([[0, 128, 255], [10, 20, 30], [7, 7, 7]], np.uint8)
AUDIO = np.array([[255, 0], [100, 50], [1, 2]], np.uint8)


def dequantised(values):
    """The formula of the dataset's authors, in their words."""
    highest, lowest = 2, -2
    return values * ((highest - lowest) / 255) + ((highest - lowest) / 512 + lowest)


def batches(path, **settings):
    settings = {"num_classes": 10, "batch_size": 4, "details": True, **settings}
    return [
        ({name: array.numpy() for name, array in inputs.items()}, labels.numpy())
        for inputs, labels in youtube8m.dataset(path, **settings)
    ]


def ids(elements):
    return [name.decode() for inputs, _ in elements for name in inputs["id"]]


def sentence(path, **settings):
    """What is said when the path is read: once, as an InputError or inside tf.data."""
    with pytest.raises((InputError, tf.errors.OpError)) as caught:
        batches(path, **settings)
    said = str(caught.value) if caught.errisinstance(InputError) else sentence_of(caught.value)
    assert said and said.endswith(".") and "\n" not in said
    return said


def test_video_level(tmp_path):
    first = video_record(
        "a", [7, 0, 7], mean_rgb=[1, 2, 3], mean_audio=[4, 5], std_rgb=[6, 7, 8], std_audio=[9, 1]
    )
    second = video_record("b", [], mean_rgb=[0, 0, 1], mean_audio=[0, 1], std_rgb=[0, 0, 2], std_audio=[0, 3])
    path = write(tmp_path / "train.tfrecord", first, second)
    ((inputs, labels),) = batches(path)
    np.testing.assert_array_equal(inputs["audio"], [[[4, 5], [9, 1]], [[0, 1], [0, 3]]])
    np.testing.assert_array_equal(inputs["visual"], [[[1, 2, 3], [6, 7, 8]], [[0, 0, 1], [0, 0, 2]]])
    np.testing.assert_array_equal(labels, [np.eye(10)[0] + np.eye(10)[7], np.zeros(10)])
    assert labels.dtype == inputs["audio"].dtype == np.float32
    assert ids([(inputs, labels)]) == ["a", "b"]
    ((inputs, _),) = batches(path, tokens="mean", modalities="visual", details=False)
    assert list(inputs) == ["visual"]
    np.testing.assert_array_equal(inputs["visual"], [[[1, 2, 3]], [[0, 0, 1]]])


@pytest.mark.parametrize("num_classes", [3862, 4716])
def test_both_vocabularies(tmp_path, num_classes):
    record = video_record("a", [num_classes - 1], mean_rgb=[1], mean_audio=[2])
    path = write(tmp_path / "a.tfrecord", record)
    ((_, labels),) = batches(path, tokens="mean", num_classes=num_classes)
    assert labels.shape == (1, num_classes) and labels[0, -1] == labels.sum() == 1
    said = sentence(path, tokens="mean", num_classes=num_classes - 1)
    assert f"'a' has the label {num_classes - 1} where {num_classes - 1} classes end at {num_classes - 2}" in said
    assert "3862" in said and "4716" in said


def test_frame_level(tmp_path):
    path = write(
        tmp_path / "train.tfrecord",
        frame_record("a", [1], RGB, AUDIO),
        frame_record("b", [2, 3], RGB[:1], AUDIO[:1]),
    )
    ((inputs, labels),) = batches(path, level="frame", tokens="frames", max_frames=5)
    assert inputs["visual"].shape == (2, 5, 3) and inputs["audio"].shape == (2, 5, 2)
    np.testing.assert_array_equal(inputs["num_frames"], [3, 1])
    np.testing.assert_allclose(inputs["visual"][0, :3], dequantised(RGB), atol=1e-6)
    np.testing.assert_allclose(inputs["audio"][1, :1], dequantised(AUDIO[:1]), atol=1e-6)
    # Padded after dequantising: no byte stands for zero.
    assert not inputs["visual"][0, 3:].any() and not inputs["audio"][1, 1:].any()
    np.testing.assert_array_equal(labels[1], np.eye(10)[2] + np.eye(10)[3])
    ((shorter, _),) = batches(path, level="frame", tokens="frames", max_frames=2)
    np.testing.assert_array_equal(shorter["num_frames"], [2, 1])
    np.testing.assert_allclose(shorter["visual"][0], dequantised(RGB[:2]), atol=1e-6)


def test_standard_deviation_is_computed_from_the_frames(tmp_path):
    path = write(
        tmp_path / "train.tfrecord",
        frame_record("a", [1], RGB, AUDIO),
        frame_record("b", [2], RGB[:1], AUDIO[:1]),
    )
    ((inputs, _),) = batches(path, level="frame")
    for name, values in (("visual", dequantised(RGB)), ("audio", dequantised(AUDIO))):
        np.testing.assert_allclose(inputs[name][0], [values.mean(0), values.std(0)], atol=1e-6)
        # Not the padding: a single frame has no spread.
        np.testing.assert_allclose(inputs[name][1], [values[0], 0 * values[0]], atol=1e-6)
    ((mean, _),) = batches(path, level="frame", tokens="mean")
    np.testing.assert_array_equal(mean["audio"], inputs["audio"][:, :1])


def test_segments(tmp_path):
    rgb, audio = np.arange(36).reshape(12, 3), np.arange(24).reshape(12, 2)
    segments = {
        "segment_start_times": [5, 0, 5, 10],
        "segment_labels": [3, 4, 6, 3],
        "segment_scores": [1.0, 0.0, 1.0, 1.0],
    }
    path = write(
        tmp_path / "validate.tfrecord",
        frame_record("a", [3], rgb, audio, **segments),
        frame_record("none", [1], RGB, AUDIO),
        frame_record(
            "b", [8], rgb[:7], audio[:7], segment_start_times=[1], segment_labels=[8], segment_scores=[1.0]
        ),
    )
    elements = batches(path, level="segment", tokens="frames", batch_size=3)
    assert [len(labels) for _, labels in elements] == [3, 1]
    assert ids(elements) == ["a", "a", "a", "b"]
    joined = {name: np.concatenate([inputs[name] for inputs, _ in elements]) for name in elements[0][0]}
    labels = np.concatenate([labels for _, labels in elements])
    np.testing.assert_array_equal(joined["start_time"], [5, 0, 10, 1])
    np.testing.assert_array_equal(joined["num_frames"], [5, 5, 2, 5])
    np.testing.assert_allclose(joined["visual"][0], dequantised(rgb[5:10]), atol=1e-6)
    np.testing.assert_allclose(joined["audio"][2, :2], dequantised(audio[10:12]), atol=1e-6)
    assert not joined["audio"][2, 2:].any()
    eye = np.eye(10)
    # Somebody said that 4 is not there from second 0 on: judged, and not a label.
    np.testing.assert_array_equal(labels, [eye[3] + eye[6], 0 * eye[0], eye[3], eye[8]])
    np.testing.assert_array_equal(joined["rated"], [eye[3] + eye[6], eye[4], eye[3], eye[8]])
    ((inputs, _),) = batches(path, level="segment", batch_size=8)
    np.testing.assert_allclose(inputs["visual"][3, 0], dequantised(rgb[1:6]).mean(0), atol=1e-6)


def test_order_without_shuffling_is_that_of_the_files(tmp_path):
    names = some_videos(tmp_path)
    elements = batches(tmp_path / "train*.tfrecord")
    assert ids(elements) == names
    assert [len(labels) for _, labels in elements] == [4, 4, 4, 3]
    assert youtube8m.count_records(tmp_path / "*.tfrecord") == 15
    assert ids(batches(tmp_path / "train*.tfrecord", drop_remainder=True)) == names[:12]
    # Each file once, whatever names it; sorted by name.
    paths = [tmp_path / "train2.tfrecord", tmp_path / "train0.tfrecord", tmp_path / "train[02].tfrecord"]
    assert ids(batches(paths)) == names[:5] + names[10:]


def test_shuffled_order_depends_on_seed_and_epoch_alone(tmp_path):
    names = some_videos(tmp_path)
    settings = {"num_classes": 10, "batch_size": 4, "details": True, "shuffle": True, "seed": 3, "window": 6}
    pattern = tmp_path / "train*.tfrecord"
    dataset = youtube8m.dataset(pattern, **settings)

    def epoch(elements):
        return [name.decode() for inputs, _ in elements for name in inputs["id"].numpy()]

    tf.random.set_seed(1)
    first, second = epoch(dataset), epoch(dataset)
    assert sorted(first) == sorted(second) == names and first != second != names
    tf.random.set_seed(2)
    endless = youtube8m.dataset(pattern, **settings, repeat=True, first_epoch=0)
    assert epoch(endless.take(8)) == first + second
    resumed = youtube8m.dataset(pattern, **settings, repeat=True, first_epoch=1)
    assert epoch(resumed.take(4)) == second
    assert epoch(youtube8m.dataset(pattern, **{**settings, "seed": 4})) != first


def test_labels_stay_with_their_videos_when_shuffled(tmp_path):
    some_videos(tmp_path)
    for inputs, labels in batches(tmp_path / "train*.tfrecord", shuffle=True, seed=1):
        for name, row in zip(inputs["id"].astype(str), labels, strict=True):
            assert list(np.flatnonzero(row)) == sorted({int(name[1]), 3 + int(name[3])})


def damaged(path, kind):
    data = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    second = 16 + length
    if kind == "cut off":
        data = data[:-20]
    elif kind == "data of the second record":
        data[second + 12 + 5] ^= 1
    elif kind == "length of the second record":
        data[second] ^= 1
    path.write_bytes(data)
    return second


@pytest.mark.parametrize(
    "kind, left", [("cut off", 4), ("data of the second record", 4), ("length of the second record", 1)]
)
def test_damaged_shard(tmp_path, kind, left):
    names = some_videos(tmp_path)
    path = tmp_path / "train1.tfrecord"
    second = damaged(path, kind)
    pattern = tmp_path / "train*.tfrecord"
    said = sentence(pattern)
    assert str(path) in said and "--skip-corrupt" in said
    if kind != "cut off":
        assert f"at byte {second} of" in said
    corrupt = youtube8m.CorruptRecords()
    with pytest.warns(UserWarning, match="train1.tfrecord: skipped"):
        elements = batches(pattern, skip_corrupt=True, corrupt=corrupt)
    kept = {"cut off": names[5:9], "data of the second record": [names[5], *names[7:10]]}.get(kind, names[5:6])
    assert len(kept) == left and ids(elements) == names[:5] + kept + names[10:]
    assert list(corrupt.shards) == [str(path)]
    assert "train1.tfrecord: skipped" in corrupt.text()


def test_files_that_are_none(tmp_path):
    text = tmp_path / "notes.tfrecord"
    text.write_text("These are my notes on YouTube-8M, and no records.")
    empty = tmp_path / "empty.tfrecord"
    empty.touch()
    assert "no file matches" in sentence(tmp_path / "absent*.tfrecord")
    assert "is damaged at its first record" in sentence(text)
    assert "is empty" in sentence(empty)
    assert youtube8m.CorruptRecords().text() == "no damaged records"
    some_videos(tmp_path, shards=1)
    with pytest.warns(UserWarning, match="notes.tfrecord: skipped the last 49 bytes"):
        elements = batches([text, empty, tmp_path / "train0.tfrecord"], skip_corrupt=True)
    assert len(ids(elements)) == 5
    junk = write(tmp_path / "junk.tfrecord", b"\xff\xff no record of anything")
    assert "holds records of another kind" in sentence(junk)
    other = write(tmp_path / "other.tfrecord", tf.train.Example().SerializeToString())
    assert "give files of YouTube-8M's form" in sentence(other)


GOOD_VIDEO = video_record("good", [1], mean_rgb=[1, 2], mean_audio=[3], std_rgb=[1, 2], std_audio=[3])
GOOD_FRAMES = frame_record("good", [1], RGB, AUDIO)
GOOD_SEGMENT = frame_record(
    "good", [1], RGB, AUDIO, segment_start_times=[2], segment_labels=[3], segment_scores=[0.0]
)
STARTS = {"segment_labels": [1], "segment_scores": [1.0]}


@pytest.mark.parametrize(
    "level, record, expected",
    [
        (
            "video",
            video_record("x", [1], mean_rgb=[1, 2], std_rgb=[1, 2]),
            "has no audio (mean_audio, or the list audio of frames); leave it out, read visual alone",
        ),
        (
            "video",
            video_record("x", [1], mean_rgb=[1, 2], mean_audio=[3]),
            "has no std_audio; store it once with python -m avpipeline.youtube8m std",
        ),
        (
            "video",
            video_record("x", [1], mean_rgb=[1, 2, 3], mean_audio=[3], std_rgb=[1, 2, 3], std_audio=[3]),
            "has visual features of 3 numbers where 2 are expected",
        ),
        (
            "video",
            video_record("x", [1], mean_rgb=[1, float("nan")], mean_audio=[3], std_rgb=[1, 2], std_audio=[3]),
            "holds NaN or infinite numbers in mean_rgb",
        ),
        (
            "video",
            video_record("x", [-1], mean_rgb=[1, 2], mean_audio=[3], std_rgb=[1, 2], std_audio=[3]),
            "label -1",
        ),
        ("video", GOOD_FRAMES, "is a frame-level record where video-level ones are read; say level 'frame'"),
        ("frame", frame_record("x", [1], RGB), "has no audio (mean_audio, or the list"),
        ("frame", frame_record("x", [1], RGB, AUDIO[:2]), "has 2 frames of audio and 3 frames of visual"),
        ("frame", frame_record("x", [1], RGB[:, :2], AUDIO), "has visual features of 2 numbers where 3"),
        ("frame", frame_record("x", [12], RGB, AUDIO), "has the label 12 where 10 classes end at 9"),
        ("frame", GOOD_VIDEO, "is a video-level record where frame-level ones are read"),
        (
            "segment",
            frame_record("x", [1], RGB, AUDIO, segment_start_times=[3], **STARTS),
            "starts at 3 s and only 3",
        ),
        (
            "segment",
            frame_record("x", [1], RGB, AUDIO, segment_start_times=[1, 2], **STARTS),
            "has 2 segment_start_times, 1 segment_labels",
        ),
        (
            "segment",
            frame_record("x", [1], RGB, AUDIO, segment_start_times=[1], segment_labels=[10], segment_scores=[1.0]),
            "has the label 10",
        ),
    ],
)
def test_record_that_cannot_be_used(level, record, expected):
    good = {"video": GOOD_VIDEO, "frame": GOOD_FRAMES, "segment": GOOD_SEGMENT}[level]
    widths = {"audio": 1, "visual": 2} if level == "video" else {"audio": 2, "visual": 3}
    needed = Expected(level, widths, std=level == "video", num_classes=10, zeros=False)
    parse = {"video": parsing.videos, "frame": parsing.frames, "segment": parsing.segments}[level]
    # The comparisons of a batch find out whatever the look at each record can name, and nothing else.
    for data, fits in ((good, True), (record, False)):
        assert bool(parse(tf.constant([good, data, good]), needed, "mean_std", 300)[1]) is fits
    assert needed.problem(good) is None
    with pytest.raises(InputError) as caught:
        require_fit(needed, "yt8m/train0.tfrecord", record)
    name = "good" if record in (GOOD_VIDEO, GOOD_FRAMES) else "x"
    assert str(caught.value).startswith(f"yt8m/train0.tfrecord: video '{name}' ")
    assert expected in str(caught.value) and str(caught.value).endswith(".")


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_shard_that_goes_between_two_epochs_ends_the_reading(tmp_path, shuffle):
    """tf.data would try to open it for ever."""
    some_videos(tmp_path)
    form = {"num_classes": 10, "batch_size": 15, "shuffle": shuffle, "repeat": True}
    iterator = iter(youtube8m.dataset(f"{tmp_path}/*", **form))
    next(iterator)
    (tmp_path / "train1.tfrecord").unlink()
    with pytest.raises(tf.errors.OpError) as caught:
        for _ in range(10):
            next(iterator)
    assert "train1.tfrecord: cannot be read" in sentence_of(caught.value)


def test_a_shard_that_is_gone_cannot_be_checked(tmp_path):
    with pytest.raises(InputError, match="train9.tfrecord: cannot be read"):
        surveyed(Expected("video", {"visual": 1}, False, 10, False), str(tmp_path / "train9.tfrecord"))


def test_faulty_record_amid_good_ones(tmp_path):
    other = write(tmp_path / "a.tfrecord", *[GOOD_VIDEO] * 5)
    faulty = video_record("x", [1], mean_rgb=[1, 2], std_rgb=[1, 2])
    path = write(tmp_path / "b.tfrecord", GOOD_VIDEO, faulty, GOOD_VIDEO)
    assert sentence([other, path]).startswith(f"{path}: video 'x' has no audio (mean_audio")
    write(path, GOOD_VIDEO, b"no record of anything")
    assert f"{path}: video '?' cannot be decoded" in sentence([other, path])


def test_missing_modality_as_zeros(tmp_path):
    frames = write(
        tmp_path / "frames.tfrecord",
        frame_record("silent", [1], RGB),
        frame_record("good", [1], RGB, AUDIO),
        frame_record("dark", [1], None, AUDIO[:2]),
    )
    ((inputs, _),) = batches(frames, level="frame", tokens="frames", missing="zeros", max_frames=3)
    np.testing.assert_array_equal(inputs["num_frames"], [3, 3, 2])
    assert not inputs["audio"][0].any() and inputs["visual"][0].all()
    assert not inputs["visual"][2].any() and inputs["audio"][2, :2].all()
    videos = write(
        tmp_path / "v.tfrecord", video_record("silent", [1], mean_rgb=[1, 2], std_rgb=[1, 2]), GOOD_VIDEO
    )
    ((inputs, _),) = batches(videos, missing="zeros")
    np.testing.assert_array_equal(inputs["audio"], [[[0], [0]], [[3], [3]]])
    # What is not read may be missing anyway.
    assert ids(batches(videos, modalities=["visual"])) == ["silent", "good"]
    assert "its first video 'silent' has no audio" in sentence(videos)
    silent = write(tmp_path / "s.tfrecord", video_record("silent", [1], mean_rgb=[1, 2], std_rgb=[1, 2]))
    assert "none of its videos has audio features, so their width is unknown" in sentence(
        silent, missing="zeros"
    )


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"level": "clip"}, "level 'clip'"),
        ({"tokens": "median"}, "tokens 'median'"),
        ({"missing": "nan"}, "missing 'nan'"),
        ({"tokens": "frames"}, "video-level records hold no frames"),
        ({"batch_size": 0}, "must be at least 1"),
        ({"modalities": ("audio", "text")}, "modalities audio, text"),
        ({"modalities": ()}, "modalities none"),
    ],
)
def test_settings_that_are_none(tmp_path, settings, expected):
    path = write(tmp_path / "shard.tfrecord", GOOD_VIDEO)
    assert expected in sentence(path, **settings)
