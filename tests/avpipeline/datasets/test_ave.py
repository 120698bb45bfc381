import shutil

import h5py
import numpy as np
import pytest

from avpipeline.datasets import DATASETS, load_split
from avpipeline.datasets.ave import (
    RELEASED_FEATURES,
    Annotation,
    class_names,
    event_segments,
    load_ave,
    open_table,
    read_annotations,
    read_order,
    read_segment_labels,
    segment_labels,
    video_labels,
)
from avpipeline.datasets.ave_h5 import write_ave_h5
from avpipeline.datasets.base import SPLITS, ArraySource
from avpipeline.datasets.batches import batches
from avpipeline.errors import InputError
from avpipeline.features.info import FeatureInfo
from avpipeline.features.shards import ClipRecord, ShardWriter
from avpipeline.features.store import Manifest, write_manifest
from tests.helpers.ave_files import CLASS_NAMES, LINES, ORDERS, audio_rows, replace_h5, write_ave_folder, write_h5
from tests.helpers.errors import one_sentence

# Class of each segment of LINES, counted by hand: 0 Violin, 1 Bark, 2 Cat, 3 background.
SEGMENT_CLASSES = [
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [3, 3, 1, 1, 1, 3, 3, 3, 3, 3],
    [0, 0, 0, 0, 3, 3, 3, 3, 3, 3],
    [3, 2, 2, 3, 3, 3, 3, 3, 3, 3],
    [3, 3, 3, 3, 3, 3, 3, 3, 3, 3],
    [3, 3, 3, 3, 3, 3, 3, 3, 3, 2],
]
VIDEO_CLASSES = [0, 1, 0, 2, 1, 2]


@pytest.fixture
def folder(tmp_path):
    return write_ave_folder(tmp_path / "ave")


@pytest.fixture
def annotations(folder):
    return read_annotations(folder / "Annotations.txt")


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(LINES),
        "\n".join(LINES) + "\n\n  \n\n",
        "\r\n".join(LINES) + "\r\n\r\n",
        "\n".join(["Category&VideoID&Quality&StartTime&EndTime", *LINES]),
        "\ufeff" + "\r\n".join(["category&videoid&quality&starttime&endtime", *LINES]),
    ],
)
def test_annotations_are_read_with_and_without_heading(tmp_path, text):
    path = tmp_path / "Annotations.txt"
    path.write_bytes(text.encode())
    annotations = read_annotations(path)
    assert len(annotations) == len(LINES)
    assert annotations[1] == Annotation("Bark", "v1", "good", 2, 5)
    assert class_names(annotations) == CLASS_NAMES


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Bark&v1&good&2", "line 3 is not of the form"),
        ("Bark&v1&good&2&5&6", "line 3 is not of the form"),
        ("Bark&&good&2&5", "line 3 is not of the form"),
        ("", "line 3 is not of the form"),
        ("Bark v1 good 2 5", "line 3 is not of the form"),
        ("Bark&v1&good&two&5", "line 3 has no event within seconds 0 to 10"),
        ("Bark&v1&good&-1&5", "line 3 has no event"),
        ("Bark&v1&good&2.5&5", "line 3 has no event"),
        ("Bark&v1&good&6&5", "line 3 has no event"),
        ("Bark&v1&good&6&11", "line 3 has no event"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, line, words):
    path = tmp_path / "Annotations.txt"
    path.write_text("\n".join(["Category&VideoID&Quality&StartTime&EndTime", LINES[0], line, *LINES[1:]]))
    with pytest.raises(InputError, match=words) as caught:
        read_annotations(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b"Category&VideoID&Quality&StartTime&EndTime\n", "holds no annotations"),
        (b"\xff\xfe\x00", "cannot be read as UTF-8 text"),
    ],
)
def test_annotations_that_are_none_are_refused(tmp_path, content, words):
    path = tmp_path / "Annotations.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_annotations(path)


def test_labels_are_those_counted_by_hand(annotations):
    labels = segment_labels(annotations)
    assert labels.shape == (6, 10, 4)
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels.sum(-1), 1)
    np.testing.assert_array_equal(labels.argmax(-1), SEGMENT_CLASSES)
    np.testing.assert_array_equal(video_labels(annotations), np.eye(4)[VIDEO_CLASSES])
    np.testing.assert_array_equal(event_segments(annotations), np.array(SEGMENT_CLASSES) != 3)


def test_a_split_has_the_order_and_rows_of_the_order_file(folder):
    split = load_ave(folder, "train")
    rows = np.array(ORDERS["train"])
    assert (split.dataset, split.name, split.class_names) == ("ave", "train", CLASS_NAMES)
    assert split.ids == ("v3", "v0", "v2")
    assert split.features == RELEASED_FEATURES
    np.testing.assert_array_equal(split.labels.argmax(-1), np.array(SEGMENT_CLASSES)[rows])
    np.testing.assert_array_equal(split.inputs["audio"].read(np.arange(3)), audio_rows(6)[rows].astype(np.float32))
    assert split.inputs["visual"].read(np.array([2, 0]))[:, 0, 0, 0, 0].tolist() == [2, 4]
    inputs, labels = next(iter(batches(split, 3)))
    assert inputs["visual"].shape == (3, 10, 7, 7, 512)
    assert inputs["audio"].shape == (3, 10, 128)
    assert labels.shape == (3, 10, 4)


def test_the_lists_serve_where_the_order_files_are_missing(tmp_path):
    with_lists = write_ave_folder(tmp_path / "lists", orders=False, features=("audio",))
    for split in SPLITS:
        assert (
            tuple(read_order(with_lists, split, read_annotations(with_lists / "Annotations.txt"))) == ORDERS[split]
        )
    assert load_ave(with_lists, "test").ids == ("v4", "v1")
    without_lists = write_ave_folder(tmp_path / "orders", lists=False, features=("audio",))
    assert load_ave(without_lists, "test").ids == ("v4", "v1")


def test_the_matched_order_has_a_file_of_its_own(folder, annotations):
    write_h5(folder / "test_order_match.h5", np.array([3, 2]), "order")
    assert read_order(folder, "test", annotations, matched=True).tolist() == [3, 2]
    with pytest.raises(InputError, match=r"has no train_order_match\.h5"):
        read_order(folder, "train", annotations, matched=True)


def test_only_the_features_asked_for_need_to_be_there(tmp_path):
    folder = write_ave_folder(tmp_path / "ave", features=("audio",))
    assert list(load_ave(folder, "val").inputs) == ["audio"]
    assert list(load_ave(folder, "val", modalities=["audio"]).inputs) == ["audio"]
    with pytest.raises(InputError, match=r"visual_feature\.h5: no such file"):
        load_ave(folder, "val", modalities=["audio", "visual"])
    with pytest.raises(InputError, match="has no depth features"):
        load_ave(folder, "val", modalities=["depth"])
    (folder / "audio_feature.h5").unlink()
    with pytest.raises(InputError, match=r"has no features, neither audio_feature\.h5 nor visual_feature\.h5"):
        load_ave(folder, "val")


def test_labels_h5_is_used_and_its_numbering_checked(folder, annotations):
    labels = segment_labels(annotations)
    labels[0, 9] = np.eye(4)[3]
    write_h5(folder / "labels.h5", labels)
    np.testing.assert_array_equal(read_segment_labels(folder, annotations), labels)
    assert load_ave(folder, "train").labels[1, 9].argmax() == 3

    write_h5(folder / "labels.h5", labels[..., [1, 0, 2, 3]])
    with pytest.raises(InputError, match=r"labels\.h5: numbers the classes differently from Annotations\.txt"):
        load_ave(folder, "train")
    write_h5(folder / "labels.h5", labels * 0.5)
    with pytest.raises(InputError, match=r"labels\.h5: its labels are not one-hot"):
        load_ave(folder, "train")
    write_h5(folder / "labels.h5", labels[..., :3])
    with pytest.raises(InputError, match=r"shape \(10, 3\) where \(10, 4\) is needed"):
        load_ave(folder, "train")


def extracted(folder, ids):
    """Replaces the audio file by one of ours, whose row r is full of r."""
    rows = np.broadcast_to(np.arange(len(ids), dtype=np.float32)[:, None, None], (len(ids), 10, 128))
    info = FeatureInfo("vggish", "embedding", "none", "e" * 64, (128,))
    write_ave_h5(folder, {"audio": ArraySource(rows)}, {"audio": info}, ids)
    return info


def test_features_of_our_own_say_what_they_are_and_are_found_by_id(folder):
    info = extracted(folder, ["v4", "v3", "unused", "v2", "v1", "v0"])
    split = load_ave(folder, "train")
    assert split.features == {"audio": info, "visual": RELEASED_FEATURES["visual"]}
    assert split.inputs["audio"].read(np.arange(3))[:, 0, 0].tolist() == [1, 5, 3]

    extracted(folder, ["v4", "v3", "v1", "v0"])
    with pytest.raises(
        InputError, match=r"audio_feature\.h5: has no features of 1 annotated videos \(the first is v2\)"
    ):
        load_ave(folder, "train")


def write_shards(folder, ids, seconds=10):
    """Extracted audio features of clips whose row r is full of r, as `python -m avpipeline.extract` leaves them."""
    info = FeatureInfo("vggish", "embedding", "none", "e" * 64, (128,))
    manifest = Manifest({"audio": info}, seconds, tuple(ids), complete=True)
    write_manifest(folder, manifest)
    with ShardWriter(folder, manifest.shapes, 4) as writer:
        for row, video_id in enumerate(ids):
            record = ClipRecord(video_id, f"{video_id}.mp4", 1, True, True, 10.0, 10.0)
            writer.add(record, {"audio": np.full((seconds, 128), row, np.float32)})
    return info


def test_shards_serve_where_there_is_no_h5_file(tmp_path):
    folder = write_ave_folder(tmp_path / "ave", features=("visual",))
    info = write_shards(folder, ["v4", "v3", "unused", "v2", "v1", "v0"])
    split = load_ave(folder, "train")
    assert split.features == {"audio": info, "visual": RELEASED_FEATURES["visual"]}
    assert split.inputs["audio"].read(np.arange(3))[:, 9, 127].tolist() == [1, 5, 3]

    (folder / "visual_feature.h5").unlink()
    assert list(load_ave(folder, "train").inputs) == ["audio"]
    with pytest.raises(InputError, match="its shards hold no visual features"):
        load_ave(folder, "train", modalities=["visual"])


def test_shards_of_other_clips_are_refused(tmp_path):
    folder = write_ave_folder(tmp_path / "ave", features=())
    write_shards(folder, ["v0", "v1", "v2", "v3"])
    with pytest.raises(InputError, match="has no features of 1 annotated videos .the first is v4."):
        load_ave(folder, "train")
    for path in folder.glob("shard-*"):
        path.unlink()
    write_shards(folder, ["v0", "v1", "v2", "v3", "v4"], seconds=8)
    with pytest.raises(InputError, match="clips of 8 s where AVE has 10 s"):
        load_ave(folder, "train")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: shutil.rmtree(folder), r"Annotations\.txt: no such file"),
        (lambda folder: (folder / "Annotations.txt").unlink(), r"Annotations\.txt: no such file"),
        (
            replace_h5("train_order.h5", np.array([0, 6]), "order"),
            r"train_order\.h5: entry 1 is row 6, .* rows 0 to 5",
        ),
        (replace_h5("train_order.h5", np.array([-1]), "order"), r"train_order\.h5: entry 0 is row -1"),
        (replace_h5("train_order.h5", np.array([0.5]), "order"), r"train_order\.h5: 'order' is not a list of row"),
        (replace_h5("train_order.h5", np.zeros((2, 2), int), "order"), "'order' is not a list of row numbers"),
        (replace_h5("train_order.h5", np.zeros(0, int), "order"), "'order' is not a list of row numbers"),
        (replace_h5("train_order.h5", np.array([0])), r"train_order\.h5: has no dataset 'order'"),
        (lambda folder: (folder / "train_order.h5").write_text("x"), r"train_order\.h5: not a complete HDF5 file"),
        (replace_h5("audio_feature.h5", np.zeros((7, 10, 128))), r"audio_feature\.h5: has 7 rows and .* 6"),
        (replace_h5("audio_feature.h5", np.zeros((6, 10, 64))), r"\(10, 64\) where \(10, 128\) is needed"),
        (replace_h5("visual_feature.h5", np.zeros((6, 10, 512))), r"visual_feature\.h5: rows of .* \(10, 512\)"),
        (replace_h5("audio_feature.h5", np.zeros((6, 10, 128)), "x"), "has no dataset 'avadataset'"),
    ],
)
def test_wrong_files_are_one_sentence(folder, spoil, words):
    spoil(folder)
    with one_sentence(words):
        load_ave(folder, "train")


def test_missing_splits_and_foreign_lists_are_one_sentence(tmp_path):
    folder = write_ave_folder(tmp_path / "ave", orders=False)
    (folder / "valSet.txt").write_text("Bark&v1&good&2&6\n")
    with pytest.raises(InputError, match=r"valSet\.txt: lists v1 \(Bark, 2 to 6 s\), which is not in Annotations"):
        load_ave(folder, "val")
    (folder / "valSet.txt").unlink()
    with pytest.raises(InputError, match=r"has neither val_order\.h5 nor valSet\.txt"):
        load_ave(folder, "val")
    with pytest.raises(InputError, match="has no split 'dev', only train, val, test"):
        load_ave(folder, "dev")


def test_a_nan_is_found_when_its_row_is_read(folder):
    with h5py.File(folder / "audio_feature.h5", "a") as file:
        file["avadataset"][4, 3, 2] = np.nan
    assert load_ave(folder, "test").inputs["audio"].read(np.arange(2)).shape == (2, 10, 128)
    with pytest.raises(InputError, match=r"audio_feature\.h5: row 4"):
        load_ave(folder, "train").inputs["audio"].read(np.arange(3))


def test_datasets_are_loaded_by_name(folder):
    assert load_split("ave", "val", folder).ids == ("v2",)
    assert list(load_split("ave", "val", folder, modalities=["visual"]).inputs) == ["visual"]
    with pytest.raises(InputError, match="dataset 'avee': unknown; choose one of ave, rendered"):
        load_split("avee", "val", folder)
    with pytest.raises(InputError, match=r"needs the folder of its files \(--data\)"):
        load_split("ave", "val")
    with pytest.raises(InputError, match="ave: synthetic clips are generated on this machine; leave out --data"):
        load_split("rendered", "val", folder)
    assert list(DATASETS) == ["ave", "rendered", "csv"]


@pytest.fixture(scope="module")
def official(reference_dir):
    return reference_dir / "data" / "ave"


def test_official_annotations(official):
    annotations = read_annotations(official / "Annotations.txt")
    names = class_names(annotations)
    assert (len(annotations), len({item.video_id for item in annotations}), len(names)) == (4143, 4097, 29)
    assert (names[0], names[27], names[28]) == ("Church bell", "Mandolin", "background")
    assert sum(item.end - item.start == 10 for item in annotations) == 2750
    assert [row for row, item in enumerate(annotations) if item.start == item.end] == [26]


def test_official_splits_are_the_lists(official, tmp_path):
    annotations = read_annotations(official / "Annotations.txt")
    for split, size in {"train": 3339, "val": 402, "test": 402}.items():
        shutil.copy(official / f"{split}Set.txt", tmp_path)
        order = read_order(official, split, annotations)
        assert len(order) == size
        np.testing.assert_array_equal(read_order(tmp_path, split, annotations), order)
    matched = read_order(official, "test", annotations, matched=True)
    assert len(matched) == 402
    assert max(annotations[row].end - annotations[row].start for row in matched) < 10


def test_official_label_files_equal_the_rebuilt_ones(official):
    annotations = read_annotations(official / "Annotations.txt")
    for name, rebuilt in {"labels_closs.h5": event_segments, "mil_labels.h5": video_labels}.items():
        given = open_table(official, name, annotations).read(np.arange(4143))
        np.testing.assert_array_equal(given, rebuilt(annotations))
    np.testing.assert_array_equal(
        segment_labels(annotations).argmax(-1) != 28, event_segments(annotations).astype(bool)
    )
    noisy = open_table(official, "labels_noisy.h5", annotations).read(np.arange(178))
    np.testing.assert_array_equal(noisy, np.eye(29)[[28] * 178])
    assert open_table(official, "audio_feature_noisy.h5", annotations).shape == (10, 128)
