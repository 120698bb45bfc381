"""Kinetics-400 and the three lists of Kinetics-Sounds."""

import numpy as np
import pytest

from avpipeline.datasets.kinetics import (
    NOT_IN_KINETICS_400,
    RENAMED,
    SOUNDS_CLASSES,
    kinetics_classes,
    read_kinetics400,
    read_kinetics_sounds,
)
from avpipeline.errors import InputError
from tests.helpers.video_files import spoil_line, write_lines

HEADING = "label,youtube_id,time_start,time_end,split,is_cc"


def video(number):
    return f"vid-o_{number:05d}"


@pytest.fixture
def folder(tmp_path):
    """Kinetics-400's lists with four of its classes; two are Kinetics-Sounds'."""
    folder = tmp_path / "kinetics"
    labels = ("archery", "blowing out candles", "singing", "yoga")
    for start, name in enumerate(("train", "val", "test")):
        rows = [
            f'"{label}",{video(10 * start + row)},{7 * row},{7 * row + 10},{name},0'
            for row, label in enumerate(labels)
        ]
        write_lines(folder, f"{name}.csv", [HEADING, *rows], end="\r\n")
    return folder


@pytest.fixture
def numbered(tmp_path):
    """Ten clips of each of two classes for training, two clips for testing."""
    folder = tmp_path / "numbered"
    write_lines(
        folder,
        "ks_my_train.txt",
        [f"{video(row)}_{row:06d}_{row + 10:06d},10,{row % 2 * 30}" for row in range(20)],
    )
    write_lines(folder, "ks_my_test.txt", [f"{video(20)}_2,10,30", f"{video(21)}_0,10,0"], end="\r\n")
    return folder


def test_kinetics400(folder):
    val = read_kinetics400(folder, "val")
    assert (val.dataset, val.name) == ("kinetics400", "val")
    assert val.class_names == ("archery", "blowing out candles", "singing", "yoga")
    assert val.ids[1] == f"{video(11)}_000007_000017"
    assert val.aliases[1] == (f"{video(11)}_7", video(11))
    np.testing.assert_array_equal(val.labels, np.eye(4))


def test_the_validation_list_has_two_names(folder):
    (folder / "val.csv").rename(folder / "validate.csv")
    assert len(read_kinetics400(folder, "val")) == 4


def test_kinetics_sounds_is_taken_out_by_name(folder):
    for classes, name in {32: "blowing out candles", 34: "blowing out"}.items():
        test = read_kinetics_sounds(folder, "test", classes)
        assert test.dataset == f"kinetics_sounds-{classes}" and test.labels.shape == (2, classes)
        assert [test.class_names[number] for number in test.labels.argmax(1)] == [name, "singing"]
        assert test.ids == (f"{video(21)}_000007_000017", f"{video(22)}_000014_000024")


def test_an_original_name_is_known_where_the_list_has_it(folder):
    spoil_line("test.csv", 2, f"typing,{video(30)},0,10,test,0")(folder)
    with pytest.raises(InputError, match="test.csv: line 2 has the class 'typing', which is not among"):
        read_kinetics_sounds(folder, "test", 32)
    test = read_kinetics_sounds(folder, "test", 34)
    assert test.class_names[test.labels[0].argmax()] == "typing"


def test_numbered_classes(numbered):
    splits = {name: read_kinetics_sounds(numbered, name, 31) for name in ("train", "val", "test")}
    assert {name: len(videos) for name, videos in splits.items()} == {"train": 18, "val": 2, "test": 2}
    assert splits["val"].labels.sum(0)[[0, 30]].tolist() == [1, 1]
    assert set(splits["train"].ids).isdisjoint(splits["val"].ids)
    test = splits["test"]
    assert test.class_names == tuple(f"class {number}" for number in range(31))
    assert test.ids == (f"{video(20)}_2", f"{video(21)}_0") and test.labels.argmax(1).tolist() == [30, 0]
    assert test.aliases[0] == (f"{video(20)}_000002_000012", f"{video(20)}_2", video(20))

    names = [f"sound {number}" for number in range(31)]
    write_lines(numbered, "kinetics_sounds_31_names.txt", names)
    assert read_kinetics_sounds(numbered, "test", 31).class_names == tuple(names)
    write_lines(numbered, "kinetics_sounds_31_names.txt", names[:30])
    with pytest.raises(InputError, match="names.txt: has 30 class names instead of 31"):
        read_kinetics_sounds(numbered, "test", 31)
    write_lines(numbered, "kinetics_sounds_31_names.txt", [*names[:30], names[4]])
    with pytest.raises(InputError, match="names.txt: line 31 repeats 'sound 4'"):
        read_kinetics_sounds(numbered, "test", 31)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_line("val.csv", None, ""), "val.csv: no such file"),
        (
            spoil_line("val.csv", 1, "youtube_id,time_start,time_end,split"),
            "line 1 must name the columns label, youtube_id",
        ),
        (spoil_line("val.csv", 3, "x"), "line 3 has 1 fields instead of 6"),
        (spoil_line("val.csv", 3, f",{video(1)},0,10,val,0"), "line 3 has no label"),
        (
            spoil_line("val.csv", 3, f"knitting,{video(1)},0,10,val,0"),
            "line 3 has the class 'knitting', which is not among the 4",
        ),
        (
            spoil_line("val.csv", 3, "yoga,short,0,10,val,0"),
            "line 3 has the youtube_id 'short', which is not of 11",
        ),
        (
            spoil_line("val.csv", 3, f"yoga,{video(1)},nan,10,val,0"),
            "line 3 has 'nan' as time_start, which must be a number",
        ),
        (spoil_line("val.csv", 3, f"yoga,{video(1)},10,10,val,0"), "line 3 ends at 10 s and starts at 10 s"),
        (
            spoil_line("val.csv", 3, f"yoga,{video(10)},0,10,val,0"),
            r"line 3 lists 'vid-o_00010_000000_000010' again \(first in line 2\)",
        ),
        (spoil_line("val.csv", 3, f'"yoga,{video(1)},0,10,val,0'), "cannot be understood"),
        (lambda folder: (folder / "val.csv").write_text(HEADING), "has a heading and no rows"),
        (
            lambda folder: write_lines(folder, "label_map_k400.txt", ["archery"]),
            "has 1 class names instead of 400",
        ),
    ],
)
def test_bad_official_lists_are_one_sentence(folder, spoil, words):
    spoil(folder)
    with pytest.raises(InputError, match=words) as caught:
        read_kinetics400(folder, "val")
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{video(1)}_000001_000011,10,31", "line 2 has the class number '31' where 0 to 30 belong"),
        (f"{video(1)}_000001_000011,10,-1", "line 2 has the class number '-1'"),
        (f"{video(1)}_000001_000012,10,3", "line 2 gives .* a length of 10 s"),
        (f"{video(1)},10,3", "line 2 has 'vid-o_00001', which is not a YouTube id, a start"),
        (f"{video(1)}_1,3", "line 2 has 2 fields instead of 3"),
        (f"{video(0)}_000000_000010,10,3", "line 2 lists .* again"),
    ],
)
def test_bad_numbered_lists_are_one_sentence(numbered, text, words):
    spoil_line("ks_my_train.txt", 2, text)(numbered)
    with pytest.raises(InputError, match=f"ks_my_train.txt: {words}"):
        read_kinetics_sounds(numbered, "train", 31)


def test_an_unknown_split(folder):
    for read in (read_kinetics400, lambda *place: read_kinetics_sounds(*place, 31)):
        with pytest.raises(InputError, match="has no split 'testing', only train, val, test"):
            read(folder, "testing")


def test_a_list_without_sounds_is_refused(folder):
    write_lines(folder, "test.csv", [HEADING, f"yoga,{video(1)},0,10,test,0"])
    with pytest.raises(InputError, match="the official list of split test has no video of its classes"):
        read_kinetics_sounds(folder, "test", 32)


def test_the_official_names(reference_dir):
    official = reference_dir / "data" / "kinetics"
    for classes, name in {32: "32_k400", 34: "34_original"}.items():
        lines = (official / f"kinetics_sounds_{name}_names.txt").read_text().split("\n")
        assert SOUNDS_CLASSES[classes] == tuple(sorted(line.strip() for line in lines if line.strip()))
        assert len(SOUNDS_CLASSES[classes]) == classes
    known = set(kinetics_classes(official))
    assert len(known) == 400 and set(SOUNDS_CLASSES[32]) <= known
    assert set(SOUNDS_CLASSES[34]) - known == {*RENAMED, *NOT_IN_KINETICS_400} and set(RENAMED.values()) <= known


def test_the_official_numbered_lists(reference_dir):
    splits = {
        name: read_kinetics_sounds(reference_dir / "data" / "kinetics", name, 31)
        for name in ("train", "val", "test")
    }
    assert len(splits["train"]) + len(splits["val"]) == 14799 and len(splits["test"]) == 2597
    assert all(videos.labels.shape[1] == 31 and videos.labels.sum(0).min() > 0 for videos in splits.values())
    assert splits["train"].class_names[4] == "class 4" and splits["train"].labels[0].argmax() == 4
    youtube = [{clip[:11] for clip in videos.ids} for videos in splits.values()]
    assert len(set().union(*youtube)) == 14799 + 2597


def test_a_list_that_there_is_not_is_refused(folder):
    with pytest.raises(InputError, match="kinetics_sounds: has no list of classes '33'; choose one of 31, 32, 34"):
        read_kinetics_sounds(folder, "test", 33)
