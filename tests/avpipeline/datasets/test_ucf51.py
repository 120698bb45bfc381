"""UCF51 from its official lists."""

import json

import numpy as np
import pytest

from avpipeline.datasets.ucf51 import CLASS_NAMES, NOT_ANNOTATED, read_class_index, read_ucf51, read_ucf51_list
from avpipeline.errors import InputError
from tests.helpers.video_files import UCF101, clip_of, spoil_line, write_ucf51


@pytest.fixture
def folder(tmp_path):
    return write_ucf51(tmp_path / "ucf51")


def groups(videos):
    return {clip[:-4] for clip in videos.ids}


def test_labels_and_ids(folder):
    test = read_ucf51(folder, "test")
    assert (test.dataset, test.name, test.class_names) == ("ucf51-1", "test", CLASS_NAMES)
    # The clip without annotation and the class without sound are not there.
    assert test.ids == ("v_Archery_g01_c01", "v_Archery_g01_c02", "v_HandStandPushups_g02_c01")
    assert test.aliases == ((), (), ("v_HandstandPushups_g02_c01",))
    assert test.labels.dtype == np.float32 and test.labels.shape == (3, 51)
    assert test.labels.argmax(1).tolist() == [
        CLASS_NAMES.index(name) for name in ("Archery",) * 2 + ("HandstandPushups",)
    ]
    assert len(test) == 3 and test.labels.sum() == 3


def test_both_spellings_are_one_video(folder):
    train = read_ucf51(folder, "train")
    assert {clip.split("_")[1] for clip in train.ids} == {"Archery", "HandStandPushups"}
    spoil_line("trainlist01.txt", 1, f"{clip_of('HandstandPushups', 8, 2, 'HandStandPushups')} 26")(folder)
    with pytest.raises(
        InputError, match=r"trainlist01.txt: line 22 lists 'v_HandStandPushups_g08_c02' again \(first in line 1\)"
    ):
        read_ucf51(folder, "train")


def test_groups_stay_together_in_training_and_validation(folder):
    train, val = read_ucf51(folder, "train"), read_ucf51(folder, "val")
    # Forty rows; two of them (HandStandPushups, group 14) have no annotation.
    assert (len(train), len(val)) == (34, 4)
    assert groups(train).isdisjoint(groups(val))
    assert val.labels.sum(0)[val.labels.sum(0) > 0].tolist() == [2, 2]
    # No seed and no order of lines decides.
    lines = (folder / "trainlist01.txt").read_text().splitlines()
    (folder / "trainlist01.txt").write_text("\n".join(reversed(lines)))
    assert set(read_ucf51(folder, "val").ids) == set(val.ids)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_line("trainlist01.txt", None, ""), r"trainlist01.txt: no such file; docs/datasets.md says"),
        (spoil_line("classInd.txt", None, ""), r"classInd.txt: no such file"),
        (
            spoil_line("trainlist01.txt", 2, f"{clip_of('Archery', 8, 2)} 4"),
            "line 2 has the label 4 where classInd.txt gives Archery the number 3",
        ),
        (
            spoil_line("trainlist01.txt", 2, clip_of("Archery", 8, 2)),
            "line 2 is not of the form 'Class/v_Class_g01_c01.avi 1'",
        ),
        (
            spoil_line("trainlist01.txt", 2, f"{clip_of('Archer', 8, 2)} 3"),
            "line 2 names a class that classInd.txt does not have, or two",
        ),
        (
            spoil_line("trainlist01.txt", 2, f"{clip_of('Archery', 8, 2, 'Typing')} 3"),
            "line 2 names a class that .* or two",
        ),
        (
            spoil_line("trainlist01.txt", 2, f"{clip_of('Archery', 8, 1)} 3"),
            r"line 2 lists 'v_Archery_g08_c01' again \(first in line 1\)",
        ),
        (spoil_line("trainlist01.txt", 2, b"\xff\xfe"), "cannot be read as UTF-8 text"),
        (spoil_line("classInd.txt", 3, "4 Archery"), "line 3 is not '3 ClassName'"),
        (spoil_line("classInd.txt", 3, "3 Archer"), "has 101 classes where UCF101 has 101 and lacks Archery"),
        (spoil_line("classInd.txt", 4, "4 Archery"), "line 4 is not '4 ClassName'"),
        (lambda folder: (folder / "trainlist01.txt").write_text("\n\n"), "trainlist01.txt: is empty"),
    ],
)
def test_bad_lists_are_one_sentence(folder, spoil, words):
    spoil(folder)
    with pytest.raises(InputError, match=words) as caught:
        read_ucf51(folder, "train")
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_a_test_list_has_no_labels(folder):
    spoil_line("testlist01.txt", 1, f"{clip_of('Archery', 1)} 3")(folder)
    with pytest.raises(InputError, match="testlist01.txt: line 1 is not of the form 'Class/v_Class_g01_c01.avi' "):
        read_ucf51(folder, "test")


def test_an_unknown_split(folder):
    with pytest.raises(InputError, match="ucf51: has no split 'valid', only train, val, test"):
        read_ucf51(folder, "valid")


def test_the_official_lists(reference_dir):
    official = reference_dir / "data" / "ucf51"
    assert tuple(sorted(json.loads((official / "ucf51_classes.json").read_text()), key=str)) == tuple(
        "HandStandPushups" if name == "HandstandPushups" else name for name in CLASS_NAMES
    )
    annotated = json.loads((official / "ucf51_annotation.json").read_text())["database"]
    for split, sizes in {1: (4901, 1944), 2: (4930, 1915), 3: (4945, 1900)}.items():
        rows = {kind: read_ucf51_list(official, kind, split) for kind in ("train", "test")}
        assert (len(rows["train"]), len(rows["test"])) == sizes
        listed = {row["id"] for kind in rows for row in rows[kind]}
        assert len(listed) == 6845 and len(annotated) == 6836
        assert listed - annotated.keys() == set(NOT_ANNOTATED) and annotated.keys() <= listed
        splits = [read_ucf51(official, name, split) for name in ("train", "val", "test")]
        assert sum(map(len, splits)) == 6836
        assert len(set().union(*(groups(videos) for videos in splits))) == sum(
            len(groups(videos)) for videos in splits
        )
        for videos in splits:
            names = [videos.class_names[number] for number in videos.labels.argmax(1)]
            assert [annotated[clip]["label"].lower() for clip in videos.ids] == [name.lower() for name in names]
            assert videos.labels.sum(0).min() > 0
    assert len(splits[1]) == pytest.approx(0.1 * (len(splits[0]) + len(splits[1])), rel=0.25)
    assert read_class_index(official / "classInd.txt")["YoYo"] == 101
    assert len(UCF101) == 101


def test_a_split_that_there_is_not_is_refused(folder):
    with pytest.raises(InputError, match="ucf51: has no official split '4'; choose one of 1, 2, 3"):
        read_ucf51(folder, "test", 4)
