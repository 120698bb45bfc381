"""Clips as people have named them, found by the lists of VGGSound, LLP and AVE."""

import numpy as np
import pytest

from avpipeline.datasets.ave import RELEASED_FEATURES, Features, feature_rows, read_annotations
from avpipeline.datasets.ave_videos import read_ave_videos
from avpipeline.datasets.llp import read_llp
from avpipeline.datasets.vggsound import read_vggsound
from avpipeline.datasets.video_lists import find_clips
from avpipeline.errors import InputError
from tests.helpers.ave_files import LINES

VIDEO = "abcdefghij-"
NAMES = ("60.000_70.000", "60000_70000", "000060", "60_70", "60.0_70.0", "000060_000070", "60")


def vggsound(folder):
    (folder / "vggsound.csv").write_text(f"{VIDEO},60,dog,test\n{VIDEO},90,cat,test\nkbcdefghij-,1,cat,test\n")
    return read_vggsound(folder, "test")


def llp(folder):
    lines = f"filename\tevent_labels\n{VIDEO}_60_70\tDog\n{VIDEO}_90_100\tCat\n"
    (folder / "AVVP_test_pd.csv").write_text(lines)
    return read_llp(folder, "test")


def ave(folder):
    lines = [line.replace("v4", VIDEO) for line in LINES]
    (folder / "Annotations.txt").write_text("\n".join(lines) + "\n")
    (folder / "testSet.txt").write_text(lines[-1] + "\n")
    return read_ave_videos(folder, "test")


@pytest.mark.parametrize("read", [vggsound, llp, ave])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:.*has no clips of")
def test_a_clip_is_found_under_every_name(tmp_path, read, name):
    videos = read(tmp_path)
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / f"{VIDEO}_{name}.mp4").write_bytes(b"x")
    found, paths = find_clips(videos, clips)
    assert [path.stem for path in paths] == [f"{VIDEO}_{name}"]
    assert found.ids == videos.ids[:1]


@pytest.mark.parametrize("read", [vggsound, llp, ave])
def test_the_names_that_were_looked_for_are_told(tmp_path, read):
    videos = read(tmp_path)
    (tmp_path / "other.mp4").write_bytes(b"x")
    with pytest.raises(InputError, match=f"looked for as '{VIDEO}"):
        find_clips(videos, tmp_path)


def test_extracted_features_of_ave_are_found_by_timed_names(tmp_path):
    ave(tmp_path)
    annotations = read_annotations(tmp_path / "Annotations.txt")
    ids = ("v0", "v1", "v2", f"{VIDEO}_60.000_70.000", "v3")
    features = Features(tmp_path, np.zeros((5, 10, 128)), RELEASED_FEATURES["audio"], ids)
    assert feature_rows(features, annotations).tolist() == [0, 1, 2, 2, 4, 3]


def test_two_clips_of_one_video_are_not_mistaken(tmp_path):
    videos = ave(tmp_path)
    for start in (60, 80):
        (tmp_path / f"{VIDEO}_{start}_{start + 10}.mp4").write_bytes(b"x")
    with pytest.raises(InputError, match="has clips of none"):
        find_clips(videos, tmp_path)
