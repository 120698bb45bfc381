"""VGGSound from its official lists."""

import numpy as np
import pytest

from avpipeline.datasets.vggsound import read_vggsound
from avpipeline.errors import InputError
from tests.helpers.errors import one_sentence
from tests.helpers.video_files import spoil_line, write_lines

COUGH, BIRD = "people coughing", '"bird chirping, tweeting"'


def video(number):
    return f"v-_{number:08d}"


@pytest.fixture
def folder(tmp_path):
    """vggsound.csv: twenty clips of two classes for training, three for testing; test.csv names those three."""
    folder = tmp_path / "vggsound"
    train = [f"{video(row)},{row},{(COUGH, BIRD)[row % 2]},train" for row in range(20)]
    test = [f"{video(row)},{row},{(COUGH, BIRD)[row % 2]},test" for row in range(20, 23)]
    write_lines(folder, "vggsound.csv", [*test[:1], *train, *test[1:]])
    write_lines(
        folder,
        "test.csv",
        [f"{video(row)}_{row:06d}.mp4,{(COUGH, BIRD)[row % 2]}" for row in range(20, 23)],
        "\r\n",
    )
    return folder


@pytest.mark.parametrize("full", [True, False])
def test_the_test_split_comes_from_either_list(folder, full):
    if not full:
        (folder / "vggsound.csv").unlink()
    test = read_vggsound(folder, "test")
    assert (test.dataset, test.name) == ("vggsound", "test")
    # Sorted names, a comma inside of quotes.
    assert test.class_names == ("bird chirping, tweeting", "people coughing")
    np.testing.assert_array_equal(test.labels, np.eye(2)[[1, 0, 1]])
    assert test.ids == tuple(f"{video(row)}_{row:06d}" for row in range(20, 23))
    assert f"{video(20)}_20" in test.aliases[0]


def test_validation_is_held_out_of_each_class(folder):
    train, val = read_vggsound(folder, "train"), read_vggsound(folder, "val")
    assert (len(train), len(val)) == (18, 2) and val.labels.sum(0).tolist() == [1, 1]
    assert sorted(train.ids + val.ids) == [f"{video(row)}_{row:06d}" for row in range(20)]


def test_only_the_classes_of_the_statistics_are_known(folder):
    write_lines(folder, "stat.csv", [f"{BIRD},11,animals", f"{COUGH},12,people", "air horn,0,vehicle"])
    assert read_vggsound(folder, "test").class_names == ("air horn", "bird chirping, tweeting", "people coughing")
    write_lines(folder, "stat.csv", [f"{BIRD},11,animals"])
    with pytest.raises(
        InputError, match="line 1 has the class 'people coughing', which is not among the 1 of VGGSound"
    ):
        read_vggsound(folder, "test")


@pytest.mark.parametrize(
    ("split", "spoil", "words"),
    [
        ("train", spoil_line("vggsound.csv", None, ""), "vggsound.csv: no such file"),
        ("train", spoil_line("vggsound.csv", 2, f"{video(1)},3,{BIRD}"), "line 2 has 3 fields instead of 4"),
        ("train", spoil_line("vggsound.csv", 2, f"{video(1)},3,bird, tweeting,train"), "line 2 has 5 fields"),
        ("train", spoil_line("vggsound.csv", 2, f"tiny,3,{BIRD},train"), "line 2 has the YouTube id 'tiny'"),
        ("train", spoil_line("vggsound.csv", 2, f"{video(1)},-3,{BIRD},train"), "line 2 has '-3' as start"),
        ("train", spoil_line("vggsound.csv", 2, f"{video(1)},3,{BIRD},valid"), "line 2 has the split 'valid'"),
        (
            "test",
            spoil_line("vggsound.csv", 2, f"{video(20)},20,{BIRD},train"),
            r"line 2 lists .* again \(first in line 1\)",
        ),
        ("test", spoil_line("vggsound.csv", 2, b"\xe9t\xe9"), "cannot be read as UTF-8 text"),
        ("testing", lambda folder: None, "has no split 'testing'"),
    ],
)
def test_bad_lists_are_one_sentence(folder, split, spoil, words):
    spoil(folder)
    with one_sentence(words):
        read_vggsound(folder, split)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{video(21)}_21.mp4,{BIRD}", "line 2 has the file 'v-_00000021_21.mp4', which is not of the form"),
        (f"{video(20)}_000020.mp4,{BIRD}", "line 2 lists .* again"),
        (f"{video(21)}_000021.mp4", "line 2 has 1 fields instead of 2"),
    ],
)
def test_bad_test_lists_are_one_sentence(folder, text, words):
    (folder / "vggsound.csv").unlink()
    spoil_line("test.csv", 2, text)(folder)
    with pytest.raises(InputError, match=f"test.csv: {words}"):
        read_vggsound(folder, "test")


def test_the_official_test_list(reference_dir):
    test = read_vggsound(reference_dir / "data" / "vggsound", "test")
    assert len(test) == 15446 and len(set(test.ids)) == 15446
    assert len(test.class_names) == 309 and list(test.class_names) == sorted(test.class_names)
    assert test.class_names[test.labels[0].argmax()] == "playing hammond organ"
    assert test.ids[0] == "glLQrEijrKg_000300"
    assert (test.labels.sum(1) == 1).all() and set(test.labels.sum(0)) == {49, 50}
