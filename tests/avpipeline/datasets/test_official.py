"""Data is named by the numbers of its videos, whatever flag it was read with."""

import numpy as np
import pytest

from avpipeline.datasets.ave import RELEASED_FEATURES
from avpipeline.datasets.base import Split
from avpipeline.datasets.official import OFFICIAL, Data, name_of


def data(dataset, train, val, test, classes=("dog", "cat")):
    return Data(dataset, {"train": train, "val": val, "test": test}, classes, RELEASED_FEATURES)


@pytest.mark.parametrize(
    ("read", "name", "words"),
    [
        (data("ave", 3339, 402, 402), "AVE", "AVE, test split"),
        (data("ave", 3517, 402, 402), "AVE", "AVE, test split"),
        # 24 clips of one's own in the form of AVE's files, and AVE without a few training videos.
        (data("ave", 16, 4, 4), "your own clips", "your own clips, 4 in the test split"),
        (data("ave", 3300, 402, 402), "your own clips", "your own clips, 402 in the test split"),
        (data("csv", 3339, 402, 402), "your own clips", "your own clips, 402 in the test split"),
        (data("rendered", 128, 32, 32), "synthetic clips", "synthetic clips, 32 in the test split"),
        (data("vggsound", 165353, 18377, 15446), "VGGSound", "VGGSound, test split"),
        (data("vggsound", 160000, 18377, 15446), "a part of VGGSound", "a part of VGGSound, 15446 in the test split"),
        (data("kinetics_sounds-32", 17945, 2000, 2000), "Kinetics-Sounds (32 classes)",
         "Kinetics-Sounds (32 classes), test split"),
        (data("class_files", 3, 1, 1), "class_files", "class_files, 1 in the test split"),
    ],
)  # fmt: skip
def test_a_dataset_has_its_name_with_all_of_its_videos_only(read, name, words):
    assert (read.name, read.in_words()) == (name, words)
    stands_in = read.dataset == "rendered" or name in ("AVE", "VGGSound", "Kinetics-Sounds (32 classes)")
    assert (read.why_not_official() is None) == stands_in
    assert read.to_json()["name"] == name and read.to_json()["classes"] == 2


def test_why_it_is_not_the_papers_data():
    assert data("ave", 16, 4, 4).why_not_official() == (
        "the data are your own clips (16 train, 4 val, 4 test), and AVE has 3339 or 3517 train, 402 val, 402 test"
    )
    assert data("ave", 16, 4, 4).described() == (
        "Data: your own clips; clips: 16 train, 4 val, 4 test; 2 classes; features: audio vggish:embedding_relu "
        "(audioset), visual vgg19:pool5 (imagenet)."
    )


def test_a_split_alone_is_named_likewise():
    def split(dataset, videos):
        return Split(dataset, "test", ("x",) * videos, ("a",), {}, np.zeros((videos, 1), "f4"), {})

    named = [name_of(split(*each)) for each in (("ave", 402), ("ave", 4), ("csv", 402), ("rendered", 4), ("llp", 3))]
    assert named == ["ave", "your own clips", "your own clips", "rendered", "a part of LLP"]
    # Anybody's records, of which no published number says whether they are YouTube-8M's test split.
    assert name_of(split("youtube8m", 2)) == "records in YouTube-8M's form"


def test_the_published_sizes_are_those_of_the_lists():
    """As docs/datasets.md has them."""
    assert OFFICIAL["ucf51-2"].clips == {"train": (4362,), "val": (563,), "test": (1911,)}
    assert OFFICIAL["llp-single"].clips == {"train": (4032,), "val": (649,), "test": (1200,)}
    assert OFFICIAL["kinetics_sounds-31"].compared({"train": 13320, "val": 1479, "test": 2597}) == [True] * 3
