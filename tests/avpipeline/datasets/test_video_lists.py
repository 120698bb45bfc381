"""Lists of videos joined with features and files, and what is held out for validation."""

import subprocess
import sys
import warnings

import numpy as np
import pytest

from avpipeline import clip_list
from avpipeline.cli import run
from avpipeline.datasets import DATASETS, VIDEO_DATASETS, load_split, load_video_split, read_video_list
from avpipeline.datasets.batches import batches
from avpipeline.datasets.video_lists import VideoList, find_clips, hold_out, join_features, one_hot, unshared
from avpipeline.errors import InputError
from tests.helpers.ave_files import write_ave_folder
from tests.helpers.video_files import FEATURES, SECONDS, write_shards, write_ucf51

VIDEOS = VideoList(
    dataset="synthetic",
    name="train",
    ids=("a", "b", "c", "d"),
    class_names=("dog", "cat"),
    labels=np.array([[1, 0], [1, 1], [0, 1], [0, 1]], np.float32),
    files=("x/a.mp4", "x/b.mp4", "y/C.mp4", "y/d.mp4"),
    aliases=((), ("youtube-b",), (), ()),
)


def test_features_are_found_by_any_name_of_a_clip(tmp_path):
    write_shards(tmp_path, ("d", "youtube-b", "other", "C", "a"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split = join_features(VIDEOS, tmp_path)
    assert (split.dataset, split.name, split.ids, split.class_names) == (
        "synthetic",
        "train",
        VIDEOS.ids,
        ("dog", "cat"),
    )
    assert split.features == FEATURES and list(split.inputs) == ["audio", "visual"]
    assert split.inputs["audio"].read(np.array([0, 1, 2, 3]))[:, 0, 0].tolist() == [5, 2, 4, 1]
    ((inputs, labels),) = batches(split, 4)
    assert inputs["visual"].shape == (4, SECONDS, 2, 2, 2)
    np.testing.assert_array_equal(labels, VIDEOS.labels)


def test_videos_without_features_are_named_and_left_out(tmp_path):
    write_shards(tmp_path, ("c", "a"))
    words = r"has no features of 2 of the 4 videos of synthetic, split train \(b, d\); they are left out, extract"
    with pytest.warns(UserWarning, match=words):
        split = join_features(VIDEOS, tmp_path, modalities=["visual"])
    assert split.ids == ("a", "c") and list(split.inputs) == ["visual"] and list(split.features) == ["visual"]
    np.testing.assert_array_equal(split.labels, VIDEOS.labels[[0, 2]])


def test_padding_and_its_mask(tmp_path):
    write_shards(tmp_path, VIDEOS.ids, lengths={"b": (2.6, 1.2), "c": (0, 1.4), "d": (9.0, 0.0)})
    split = join_features(VIDEOS, tmp_path, modalities=("audio", "mask"))
    expected = [[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]]
    ((inputs, _),) = batches(split, 4)
    np.testing.assert_array_equal(inputs["mask"], expected)
    np.testing.assert_array_equal(inputs["audio"].numpy()[:, :, 0], np.array(expected) * [[1], [2], [3], [4]])
    assert list(split.features) == ["audio"]


def test_what_cannot_be_joined_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="features.json: there is no such file"):
        join_features(VIDEOS, tmp_path)
    write_shards(tmp_path, ("x", "y"))
    with pytest.raises(
        InputError, match=r"has features of none of the 4 videos of .*, split train \(the first was looked for as 'a'"
    ):
        join_features(VIDEOS, tmp_path)
    with pytest.raises(InputError, match="hold no motion features, only audio, visual"):
        join_features(VIDEOS, tmp_path, modalities=["motion"])


def test_clips_are_found_below_a_folder(tmp_path):
    for name in ("one/a.mp4", "two/C.avi", "two/youtube-b.mkv", "unrelated.mp4", "d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.warns(UserWarning, match=r"has no clips of 1 of the 4 videos of synthetic, split train \(d\)"):
        videos, paths = find_clips(VIDEOS, tmp_path)
    assert videos.ids == ("a", "b", "c")
    assert [path.name for path in paths] == ["a.mp4", "youtube-b.mkv", "C.avi"]
    (tmp_path / "a.webm").touch()
    with pytest.raises(InputError, match="would have the same id 'a' as"):
        find_clips(VIDEOS, tmp_path)
    (tmp_path / "none").mkdir()
    (tmp_path / "unrelated.mp4").rename(tmp_path / "none" / "unrelated.mp4")
    with pytest.raises(InputError, match="has clips of none of the 4 videos"):
        find_clips(VIDEOS, tmp_path / "none")


def test_select_takes_rows_of_every_column():
    chosen = VIDEOS.select([3, 1])
    assert (chosen.name, chosen.ids, chosen.files, chosen.aliases) == (
        "train",
        ("d", "b"),
        ("y/d.mp4", "x/b.mp4"),
        ((), ("youtube-b",)),
    )
    assert chosen.labels.tolist() == [[0, 1], [1, 1]]
    assert len(VIDEOS.select([])) == 0


def test_an_alias_of_two_videos_is_none():
    assert unshared(("a1", "a2", "b1"), (("a",), ("a", "second"), ("b", "b1"))) == ((), ("second",), ("b", "b1"))
    assert unshared(("a", "b"), (("b",), ())) == ((), ())


def test_held_out_groups():
    classes = [0] * 40 + [1] * 6 + [2] * 3
    groups = [f"g{row // 2}" for row in range(40)] + ["h1", "h1", "h2", "h2", "h3", "h3"] + ["alone"] * 3
    train, val = hold_out(classes, groups)
    assert sorted([*train, *val]) == list(range(49)) and train.dtype == np.int64
    taken = {groups[row] for row in val}
    assert taken.isdisjoint(groups[row] for row in train)
    # 2 of 20 groups, 1 of 3, and of a single one none.
    assert sum(name.startswith("g") for name in taken) == 2 and sum(name.startswith("h") for name in taken) == 1
    assert "alone" not in taken
    backwards = hold_out(classes[::-1], groups[::-1])[1]
    assert {groups[::-1][row] for row in backwards} == taken


def test_one_hot():
    np.testing.assert_array_equal(one_hot([2, 0], 3), [[0, 0, 1], [1, 0, 0]])
    assert one_hot([], 3).shape == (0, 3)


def test_datasets_by_name(tmp_path):
    folder = write_ucf51(tmp_path / "ucf51")
    assert read_video_list("ucf51-1", "test", folder).ids == (
        "v_Archery_g01_c01",
        "v_Archery_g01_c02",
        "v_HandStandPushups_g02_c01",
    )
    write_shards(folder, ("v_HandstandPushups_g02_c01", "v_Archery_g01_c01", "v_Archery_g01_c02"))
    split = load_video_split("ucf51-1", "test", folder, modalities=["audio", "mask"])
    assert split.labels.shape == (3, 51) and split.inputs["audio"].read(np.arange(3))[:, 0, 0].tolist() == [
        2,
        3,
        1,
    ]

    with pytest.raises(
        InputError,
        match="dataset 'ucf51': has no labels of whole videos here; those that have are rendered, ave, ucf51-1",
    ):
        load_video_split("ucf51", "test", folder)
    with pytest.raises(InputError, match=r"dataset 'ucf51-2': needs the folder of its files \(--data\)"):
        load_video_split("ucf51-2", "test")
    with pytest.raises(InputError, match="labels whole videos only; segments are labelled in ave, rendered"):
        load_split("ucf51-1", "test", folder)
    with pytest.raises(InputError, match="'rendered': has no lists"):
        read_video_list("rendered", "test", None)
    assert set(DATASETS) <= set(VIDEO_DATASETS)


def test_every_dataset_has_a_reader(tmp_path):
    for dataset in VIDEO_DATASETS:
        if dataset != "rendered":
            with pytest.raises(InputError, match=f"{tmp_path}.*no such file"):
                read_video_list(dataset, "test", tmp_path)


def test_videos_of_ave(tmp_path):
    folder = write_ave_folder(tmp_path / "ave")
    test = read_video_list("ave", "test", folder)
    assert (test.ids, test.class_names) == (("v4", "v1"), ("Bark", "Cat", "Violin, fiddle"))
    assert test.labels.tolist() == [[0, 1, 0], [1, 0, 0]]
    split = load_video_split("ave", "test", folder)
    np.testing.assert_array_equal(split.labels, test.labels)


def test_the_list_of_a_datasets_clips(tmp_path, capsys):
    folder, clips = write_ucf51(tmp_path / "ucf51"), tmp_path / "clips"
    clips.mkdir()
    videos = [read_video_list("ucf51-1", split, folder) for split in ("train", "val", "test")]
    for listed in videos:
        for clip in listed.ids:
            (clips / f"{clip}.avi").touch()
    (clips / "v_SilentAA_g08_c01.avi").touch()
    command = {"prog": "python -m avpipeline.clip_list"}
    arguments = ["ucf51-1", str(folder), str(clips)]
    assert run(clip_list.main, argv=[*arguments, str(tmp_path / "all.txt")], **command) == 0
    assert "ucf51-1, val: 4 of 4 clips" in capsys.readouterr().out
    paths = (tmp_path / "all.txt").read_text().splitlines()
    assert sorted(paths) == sorted(str(clips / f"{clip}.avi") for listed in videos for clip in listed.ids)
    assert run(clip_list.main, argv=[*arguments, str(tmp_path / "test.txt"), "--splits", "test"], **command) == 0
    assert len((tmp_path / "test.txt").read_text().splitlines()) == 3
    assert run(clip_list.main, argv=[*arguments, str(tmp_path / "all.csv")], **command) == 2
    assert "must end in .txt" in capsys.readouterr().err


def test_lists_are_read_without_tensorflow():
    code = "import sys, avpipeline.clip_list; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
