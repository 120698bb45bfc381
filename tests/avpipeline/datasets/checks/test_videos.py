"""`python -m avpipeline.validate` for the datasets of whole videos."""

import json
import re

import pytest

from avpipeline import validate
from avpipeline.cli import run
from avpipeline.datasets import read_video_list
from avpipeline.datasets.checks.videos import check_csv, check_kinetics_sounds, check_llp, check_ucf51, check_vggsound
from avpipeline.datasets.kinetics import NUMBERED_FILES
from avpipeline.datasets.ucf51 import NOT_ANNOTATED, read_ucf51_list
from tests.helpers.video_files import clip_of, remove, spoil_line, write_lines, write_shards, write_ucf51

PROG = "python -m avpipeline.validate"


def report(findings) -> set[str]:
    return {f"{item.kind} {item.about}: {item.text}" for item in findings}


def wrong(findings) -> list[str]:
    return [f"{item.about}: {item.text}" for item in findings if item.kind == "wrong"]


@pytest.fixture
def ucf51(tmp_path, monkeypatch):
    """A complete small UCF51 of one split."""
    folder = write_ucf51(tmp_path / "ucf51")
    listed = [*read_ucf51_list(folder, "train", 1), *read_ucf51_list(folder, "test", 1)]
    database = {row["id"]: {"label": row["class"]} for row in listed if row["id"] not in NOT_ANNOTATED}
    (folder / "ucf51_annotation.json").write_text(json.dumps({"database": database}))
    write_shards(folder, database)
    monkeypatch.setattr("avpipeline.datasets.ucf51.OFFICIAL_SPLITS", (1,))
    monkeypatch.setattr("avpipeline.datasets.checks.videos.UCF51_LISTED", {1: (40, 4)})
    return folder


def test_a_complete_folder(ucf51, capsys):
    assert run(validate.main, prog=PROG, argv=["ucf51", str(ucf51)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"ucf51: {ucf51}" and lines[-1] == "Complete and usable (1 notes)."
    assert {
        "  ok      classInd.txt: 101 classes of UCF101",
        "  ok      trainlist01.txt: 40 videos of the 51 classes",
        "  ok      trainlist01.txt: ucf51-1, train: 34 videos that are annotated",
        "  ok      testlist01.txt: 4 videos of the 51 classes",
        "  ok      trainlist01.txt and testlist01.txt: no groups of clips in both",
        "  ok      lists: 44 videos in all",
        "  ok      ucf51_annotation.json: 41 annotated videos",
        "  ok      features.json: ucf51-1, val: 4 videos, all of them with features",
        "  ok      features.json (audio): numbers from 1 to 41, 0.0% of them zero",
    } <= set(lines)
    note = next(line for line in lines if line.startswith("  note"))
    assert "3 of them have no annotation and are left out: v_HandStandPushups_g14_c01" in note


def write_annotation(folder, database):
    (folder / "ucf51_annotation.json").write_text(json.dumps({"database": database}))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_line("trainlist01.txt", 1, ""), "trainlist01.txt: line 1 is not of the form"),
        (spoil_line("classInd.txt", 1, "2 x"), "classInd.txt: line 1 is not '1 ClassName'"),
        (
            lambda folder: write_lines(folder, "testlist01.txt", [clip_of("Archery", 1)]),
            "testlist01.txt: 1 videos of the 51 classes, 4 videos expected",
        ),
        (
            spoil_line("testlist01.txt", 1, clip_of("Archery", 9, 3)),
            r"trainlist01.txt and testlist01.txt: 1 groups of clips are in both \(Archery_g09\)",
        ),
        (
            lambda folder: write_annotation(folder, {}),
            r"the 41 of the lists \(v_Archery_g01_c01, .* differ\) expected",
        ),
        (lambda folder: write_annotation(folder, []), "ucf51_annotation.json: cannot be parsed"),
        (spoil_line("features.json", 1, "["), "features.json: .* damaged"),
    ],
)
def test_what_is_wrong_is_said_and_the_status_is_2(ucf51, capsys, spoil, words):
    spoil(ucf51)
    assert run(validate.main, prog=PROG, argv=["ucf51", str(ucf51)]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("Not usable as it is; wrong: ")
    assert any(re.search(f"  wrong   .*{words}", line) for line in lines), lines


def test_another_class_in_the_annotation(ucf51):
    path = ucf51 / "ucf51_annotation.json"
    database = json.loads(path.read_text())["database"]
    database["v_Archery_g01_c01"]["label"] = "Typing"
    write_annotation(ucf51, database)
    assert wrong(check_ucf51(ucf51)) == [
        "ucf51_annotation.json: 1 videos have another class than in the lists (v_Archery_g01_c01)"
    ]


def test_what_is_missing_is_said(ucf51, capsys):
    remove(ucf51, "ucf51_annotation.json", "testlist01.txt", "features.json")
    assert run(validate.main, prog=PROG, argv=["ucf51", str(ucf51)]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == "Nothing is wrong (1 notes); missing: testlist01.txt, ucf51_annotation.json, features.json."
    (ucf51 / "classInd.txt").unlink()
    assert {item.about for item in check_ucf51(ucf51)} == {"classInd.txt"}


def test_features_of_some_videos_and_of_none(ucf51):
    names = read_video_list("ucf51-1", "test", ucf51).ids
    write_shards(ucf51, names[:2])
    found = report(check_ucf51(ucf51))
    assert f"note features.json: ucf51-1, test: 3 videos, 1 of them without features ({names[2]})" in found
    write_shards(ucf51, ("something", "else"))
    assert wrong(check_ucf51(ucf51)) == [
        "features.json: has none of the listed videos (but something, else); extract the dataset's clips"
    ]


@pytest.mark.parametrize("dataset", [name for name in validate.CHECKS if name != "ave"])
def test_a_folder_of_something_else_is_refused(tmp_path, capsys, dataset):
    assert run(validate.main, prog=PROG, argv=[dataset, str(tmp_path / "none")]) == 2
    assert "no such folder; give the folder that holds" in capsys.readouterr().err
    assert run(validate.main, prog=PROG, argv=[dataset, str(tmp_path)]) == 2
    assert re.search(r"holds none of .* files \(", capsys.readouterr().err)


def test_own_clips(tmp_path):
    folder = write_lines(tmp_path / "own", "clips.csv", ["id,labels,split", "a,x,train", "b,x;y,val", "c,y,test"])
    found = report(check_csv(write_shards(folder, "abc")))
    assert {
        "ok clips.csv: csv, train: 1 videos of 2 classes",
        "note clips.csv: train: 1 classes have no video (y)",
        "ok class:  1 y: 2 videos",
        "ok features.json: csv, test: 1 videos, all of them with features",
    } <= found
    spoil_line("clips.csv", 2, "a,,train")(folder)
    # One sentence, though three splits are read from the file.
    assert wrong(check_csv(folder)) == ["clips.csv: line 2 has no labels; correct it or download the file again."]


def test_vggsounds_lists_are_compared(tmp_path):
    """As many classes and test videos as it has, and twenty training videos of each class."""
    folder, test = tmp_path / "vggsound", 15446
    names = [f"class {number:03d}" for number in range(309)]
    rows = [f"v-_{row:08d},{row},{names[row % 309]},test" for row in range(test)]
    rows += [f"v-_{row:08d},{row},{names[row % 309]},train" for row in range(test, test + 20 * 309)]
    write_lines(folder, "vggsound.csv", rows)
    write_lines(folder, "test.csv", [f"v-_{row:08d}_{row:06d}.mp4,{names[row % 309]}" for row in range(test)])
    write_lines(folder, "stat.csv", [f"{name},20,x" for name in names])
    findings = list(check_vggsound(folder))
    assert wrong(findings) == []
    assert {
        "ok vggsound.csv: vggsound, train: 5562 videos of 309 classes",
        "ok vggsound.csv: vggsound, val: 618 videos of 309 classes",
        "ok test.csv: 15446 videos, those of vggsound.csv",
        "note stat.csv: vggsound.csv lists 21626 videos",
    } <= report(findings)
    spoil_line("test.csv", 1, "v-_00000000_000000.mp4,class 001")(folder)
    assert any(
        "v-_00000000_000000 differ; the same videos expected" in text for text in wrong(check_vggsound(folder))
    )


# Folder of the official files -> what is said of them, one finding a line.
OFFICIAL = {
    "ucf51": f"""\
ok trainlist01.txt: 4901 videos of the 51 classes
ok testlist02.txt: 1915 videos of the 51 classes
ok testlist03.txt: 1900 videos of the 51 classes
ok trainlist03.txt and testlist03.txt: no groups of clips in both
ok lists: 6845 videos in all
note lists: 9 of them have no annotation and are left out: {", ".join(NOT_ANNOTATED)}
ok ucf51_annotation.json: 6836 annotated videos""",
    "kinetics": """\
ok ks_my_train.txt: 14799 videos
ok ks_my_test.txt: 2597 videos
ok train and test: no YouTube videos in both
ok label_map_k400.txt: has the 32 classes of Kinetics-Sounds
missing kinetics_sounds_31_names.txt: names of the 31 classes; without it they are called by their numbers""",
    "llp": """\
ok AVVP_train.csv: llp, train: 10000 videos of 25 classes
ok val and test: 1.81 labels a video
note AVVP_test_pd.csv: line 894 gives LcFWKgFphXI_20_30 a label twice (Clapping,Clapping)
note AVVP_eval_audio.csv: 5 events have no length, 1 end before they begin; left as published""",
    "vggsound": """\
missing vggsound.csv: the training split
ok test.csv: vggsound, test: 15446 videos of 309 classes
ok stat.csv: 309 classes, 199176 videos""",
}
CHECKS = {"ucf51": check_ucf51, "kinetics": check_kinetics_sounds, "llp": check_llp, "vggsound": check_vggsound}


@pytest.mark.parametrize("folder", OFFICIAL)
def test_the_official_files(reference_dir, folder):
    findings = list(CHECKS[folder](reference_dir / "data" / folder))
    assert set(OFFICIAL[folder].split("\n")) <= report(findings) and not wrong(findings)


def test_a_short_numbered_list_is_wrong(tmp_path):
    folder = tmp_path / "kinetics"
    for name in NUMBERED_FILES.values():
        write_lines(folder, name, [f"vid-o_{row:05d}_{row},10,{row % 31}" for row in range(62)])
    texts = wrong(check_kinetics_sounds(folder))
    assert "ks_my_train.txt: 62 videos, 14799 videos expected" in texts
    assert any(text.startswith("train and test: ") and "YouTube videos are in both" in text for text in texts)
