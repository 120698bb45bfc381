"""AVE as MAFnet's authors share it: pickles of arrays, labels of whole videos in alphabetical class order."""

import os

import numpy as np
import pytest

from avpipeline.datasets.ave import class_names, read_annotations, read_order
from avpipeline.datasets.ave_videos import load_ave_videos
from avpipeline.datasets.mafnet_pickles import CLASS_NAMES, load_mafnet_pickles
from avpipeline.datasets.padding import segment_mask
from avpipeline.errors import InputError
from tests.helpers.ave_files import write_h5
from tests.helpers.mafnet_data import PICKLED as CLASSES
from tests.helpers.mafnet_data import dump, write_pickles

VIDEOS = 3

@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_pickles(tmp_path_factory.mktemp("pickles"))


@pytest.fixture
def folder(tmp_path):
    """Pickles to spoil."""
    return write_pickles(tmp_path / "data")


def test_pickles_become_a_split(whole):
    split = load_mafnet_pickles(whole, "test")
    assert len(split) == VIDEOS and split.dataset == "ave" and split.name == "test"
    assert split.labels.dtype == np.float32
    np.testing.assert_array_equal(split.labels, np.eye(28)[CLASSES])
    assert [split.class_names[index] for index in CLASSES] == ["Violin, fiddle", "Bark", "Bark"]
    assert split.inputs["visual"].shape == (10, 1920) and split.inputs["audio"].shape == (10, 12, 8, 512)
    np.testing.assert_array_equal(split.inputs["visual"].read(np.array([2, 1]))[:, 0, 0], [2, 1])
    assert split.features["audio"].label == "vggish:conv4_2"
    assert split.features["visual"].label == "densenet201:avg_pool"


def test_padded_seconds_are_masked(whole):
    mask = segment_mask(load_mafnet_pickles(whole, "test"))
    expected = np.ones((VIDEOS, 10), bool)
    expected[-1, 6:] = False
    np.testing.assert_array_equal(mask, expected)


def test_only_what_is_asked_for_is_read(whole, tmp_path):
    for name in ("visual", "target"):
        os.link(whole / f"testSet_{name}.p", tmp_path / f"testSet_{name}.p")
    assert list(load_mafnet_pickles(tmp_path, "test", modalities=["visual"]).inputs) == ["visual"]
    with pytest.raises(InputError, match="testSet_audio.p: there is no such file"):
        load_mafnet_pickles(tmp_path, "test")


def test_the_video_level_loader_takes_pickles_first(whole):
    split = load_ave_videos(whole, "test", modalities=["visual"])
    assert split.class_names == CLASS_NAMES and len(split) == VIDEOS


class _Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/mafnet_pickle_ran",)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("target", _Evil(), "refused"),
        ("target", [1, 2], "holds a list where one array is needed"),
        ("target", np.eye(29)[CLASSES], r"shape \(3, 29\) where \(videos, 28\) is needed"),
        ("target", np.full((VIDEOS, 28), 0.5), "labels are not one-hot"),
        ("target", np.zeros((VIDEOS, 28)), "labels are not one-hot"),
        ("target", np.zeros((0, 28)), "has no videos"),
        ("visual", np.zeros((VIDEOS, 10, 2048)), r"shape \(3, 10, 2048\) where \(videos, 10, 1920\)"),
        ("visual", np.zeros((VIDEOS + 1, 10, 1920)), "has 4 rows and testSet_target.p 3"),
        ("visual", np.full((VIDEOS, 10, 1920), "x"), "refused"),
    ],
)
def test_bad_pickles_are_one_sentence(folder, name, value, sentence):
    dump(folder / f"testSet_{name}.p", value)
    with pytest.raises(InputError, match=sentence) as error:
        load_mafnet_pickles(folder, "test", modalities=["visual"])
    assert f"testSet_{name}.p" in str(error.value) and "\n" not in str(error.value)
    assert not os.path.exists("/tmp/mafnet_pickle_ran")


def test_nan_is_found_when_it_is_read(folder):
    broken = np.zeros((VIDEOS, 10, 1920), np.float32)
    broken[1, 3, 5] = np.nan
    dump(folder / "testSet_visual.p", broken)
    source = load_mafnet_pickles(folder, "test", modalities=["visual"]).inputs["visual"]
    assert source.read(np.array([0])).shape == (1, 10, 1920)
    with pytest.raises(InputError, match="row 1: holds NaN"):
        source.read(np.array([0, 1]))


def test_unknown_modality_is_one_sentence(folder):
    with pytest.raises(InputError, match="hold no motion features, only audio and visual"):
        load_mafnet_pickles(folder, "test", modalities=["motion"])


# Annotations whose order of first appearance is not alphabetical: Violin, Bark, Bark, Cat.
LINES = ("Violin, fiddle&v0&good&0&10", "Bark&v1&good&2&5", "Bark&v2&good&0&4", "Cat&v3&good&1&3")


def write_annotations(folder, rows, lines=LINES):
    (folder / "Annotations.txt").write_text("\n".join(lines) + "\n")
    write_h5(folder / "test_order.h5", np.array(rows), "order")


def test_class_order_is_compared_with_the_annotations(folder):
    write_annotations(folder, [2, 0, 1])
    assert len(load_mafnet_pickles(folder, "test", modalities=["visual"])) == VIDEOS
    write_annotations(folder, [2, 0, 3])
    with pytest.raises(InputError, match="other numbers of videos than Annotations.txt"):
        load_mafnet_pickles(folder, "test", modalities=["visual"])


def test_labels_in_the_order_of_appearance_are_refused(folder):
    """The three classes of the test videos come first in the annotations, the others after them."""
    first = ["Violin, fiddle", "Bark", "Cat"]
    others = [name for name in CLASS_NAMES if name not in first]
    lines = [*LINES, *(f"{name}&w{number}&good&0&10" for number, name in enumerate(others))]
    write_annotations(folder, [2, 0, 1], lines)
    videos = ["Bark", "Violin, fiddle", "Bark"]
    dump(folder / "testSet_target.p", np.eye(28)[[CLASS_NAMES.index(name) for name in videos]])
    assert len(load_mafnet_pickles(folder, "test", modalities=["visual"])) == VIDEOS
    dump(folder / "testSet_target.p", np.eye(28)[[first.index(name) for name in videos]])
    with pytest.raises(InputError, match="numbers the classes in the order of Annotations.txt"):
        load_mafnet_pickles(folder, "test", modalities=["visual"])


def test_real_annotations_have_these_classes(reference_dir, tmp_path):
    """Labels made from the real lists are accepted in alphabetical order and refused in AVE's own."""
    data = reference_dir / "data" / "ave"
    for name in ("Annotations.txt", "test_order.h5"):
        os.symlink(data / name, tmp_path / name)
    annotations = read_annotations(tmp_path / "Annotations.txt")
    names = class_names(annotations)[:-1]
    assert tuple(sorted(names)) == CLASS_NAMES
    # What MAFnet's authors number AVE's classes, in AVE's own order.
    numbers = [8, 17, 4, 11, 20, 10, 15, 27, 12, 26, 13, 25, 22, 19, 1, 24, 9, 3, 14, 2, 5, 7, 6, 16, 23, 21, 0, 18]
    assert [CLASS_NAMES.index(name) for name in names] == numbers

    listed = [names.index(annotations[row].category) for row in read_order(tmp_path, "test", annotations)]
    dump(tmp_path / "testSet_target.p", np.eye(28)[np.array(numbers)[listed]])
    assert len(load_mafnet_pickles(tmp_path, "test", modalities=())) == 402
    dump(tmp_path / "testSet_target.p", np.eye(28)[listed])
    with pytest.raises(InputError, match="numbers the classes in the order of Annotations.txt"):
        load_mafnet_pickles(tmp_path, "test", modalities=())
