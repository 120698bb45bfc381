import re
import shutil

import h5py
import numpy as np
import pytest

from avpipeline import validate
from avpipeline.cli import run
from avpipeline.datasets.ave import event_segments, read_annotations, segment_labels, video_labels
from avpipeline.datasets.checks import ave
from avpipeline.datasets.checks.ave import check_ave
from avpipeline.errors import InputError
from tests.helpers.ave_files import LINES, replace_h5, write_ave_folder, write_h5
from tests.helpers.video_files import remove, write_lines, write_shards

PROG = "python -m avpipeline.validate"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of which nothing is wrong, once its sizes are taken as the published ones."""
    monkeypatch.setattr(ave, "VIDEOS", len(LINES))
    monkeypatch.setattr(ave, "CLASSES", 3)
    monkeypatch.setattr(ave, "SPLIT_SIZES", {"train": 3, "val": 1, "test": 2})
    monkeypatch.setattr(ave, "NOISY_VIDEOS", 2)
    folder = write_ave_folder(tmp_path / "ave")
    annotations = read_annotations(folder / "Annotations.txt")
    write_h5(folder / "labels.h5", segment_labels(annotations))
    write_h5(folder / "mil_labels.h5", video_labels(annotations))
    write_h5(folder / "labels_closs.h5", event_segments(annotations))
    write_h5(folder / "visual_feature_vec.h5", np.ones((len(LINES), 10, 512)))
    write_h5(folder / "audio_feature_noisy.h5", np.ones((2, 10, 128)))
    write_h5(folder / "visual_feature_noisy.h5", np.ones((2, 10, 7, 7, 512), np.float32))
    write_h5(folder / "labels_noisy.h5", np.eye(4)[[3, 3]])
    for split, rows in {"train": (0, 2, 4), "val": (5,), "test": (1, 3)}.items():
        write_h5(folder / f"{split}_order_match.h5", np.array(rows), "order")
    return folder


def of_kind(folder, kind, **options):
    return {(item.about, item.text) for item in check_ave(folder, **options) if item.kind == kind}


def test_a_whole_folder_is_usable(folder, capsys):
    assert run(validate.main, prog=PROG, argv=["ave", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"ave: {folder}"
    assert lines[-1] == "Complete and usable (3 notes)."
    report = {" ".join(line.split()) for line in lines}
    assert {
        "ok Annotations.txt: 6 rows, without a header row",
        "ok Annotations.txt: 5 unique ids, 1 of them annotated more than once",
        "ok Annotations.txt: 1 rows (16.67%) have an event that fills the 10 s",
        "note Annotations.txt: row 4 (Bark, v3) is 0&0: no foreground",
        "ok Annotations.txt: 3 classes",
        "ok class: 1 Bark: 2 videos",
        "ok class: 3 background",
        "ok train_order.h5: 3 videos",
        "ok trainSet.txt: equals the order file line by line",
        "note splits train and val: 1 video ids are in both (v2); left as published",
        "ok splits val and test: no video id is in both",
        "ok splits: 0 rows of Annotations.txt are in none",
        "ok test_order_match.h5: 2 videos, 2 of them with an event shorter than 10 s",
        "ok audio_feature.h5: audio features, 6 rows of shape (10, 128), key 'avadataset', float64",
        "ok visual_feature.h5: vgg19:pool5, weights 'imagenet', taken as the released ones",
        "ok audio_feature_noisy.h5: numbers from 1 to 1, 0.0% of them zero",
        "ok labels.h5: 0 mismatches against labels rebuilt from Annotations.txt",
        "ok mil_labels.h5: 0 mismatches against labels rebuilt from Annotations.txt",
        "ok labels_closs.h5: 0 mismatches against labels rebuilt from Annotations.txt",
        "ok labels_noisy.h5: 0 mismatches against background only",
    } <= report


def test_a_partial_folder_is_fine_and_says_what_is_missing(folder, capsys):
    remove(folder, "visual_feature.h5", "labels.h5", "train_order.h5")
    assert run(validate.main, prog=PROG, argv=["ave", str(folder)]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == "Nothing is wrong (3 notes); missing: train_order.h5, visual_feature.h5, labels.h5."
    assert of_kind(folder, "missing") == {
        ("train_order.h5", "the train split; trainSet.txt is used instead"),
        ("visual_feature.h5", "visual features; every model that sees"),
        ("labels.h5", "segment labels; rebuilt from Annotations.txt"),
    }


def test_without_annotations_the_rest_is_still_looked_at(folder):
    (folder / "Annotations.txt").unlink()
    write_h5(folder / "audio_feature.h5", np.full((6, 10, 128), np.nan))
    assert of_kind(folder, "wrong") == {
        ("audio_feature.h5", "6 rows hold NaN or infinite numbers or cannot be read: 0, 1, 2, 3, 4, ...")
    }


def spoil_value(name, row, value):
    def spoil(folder):
        with h5py.File(folder / name, "a") as file:
            file["avadataset"][row, 0] = value

    return spoil


def spoil_line(name, number, line):
    def spoil(folder):
        lines = (folder / name).read_text().splitlines()
        lines[number] = line
        (folder / name).write_text("\n".join(lines))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "about", "words"),
    [
        (spoil_line("Annotations.txt", 2, "Cat&v2"), "Annotations.txt", "line 3 is not of the form"),
        (spoil_line("Annotations.txt", 2, LINES[1]), "Annotations.txt", "1 rows repeat another one"),
        (spoil_line("Annotations.txt", 2, "Dog&v2&good&0&4"), "Annotations.txt", "4 classes, 3 classes expected"),
        (lambda folder: (folder / "Annotations.txt").write_text(LINES[0]), "Annotations.txt", "6 rows expected"),
        (spoil_line("trainSet.txt", 1, LINES[3]), "trainSet.txt", "1 lines differ from what the order file lists"),
        (replace_h5("val_order.h5", np.array([9]), "order"), "val_order.h5", "entry 0 is row 9"),
        (replace_h5("val_order.h5", np.array([3, 0]), "order"), "splits train and val", "1 rows are in both"),
        (replace_h5("test_order.h5", np.array([5, 5]), "order"), "split test", "lists 1 rows twice"),
        (
            replace_h5("test_order.h5", np.array([5]), "order"),
            "splits",
            "1 rows of Annotations.txt are in none, 0 expected",
        ),
        (
            replace_h5("test_order_match.h5", np.array([0, 3]), "order"),
            "test_order_match.h5",
            "2 videos, 1 of them with an event shorter than 10 s, 2 videos, all short expected",
        ),
        (spoil_value("audio_feature.h5", 5, np.nan), "audio_feature.h5", "1 rows hold NaN .* cannot be read: 5"),
        (spoil_value("visual_feature.h5", 2, np.inf), "visual_feature.h5", "1 rows hold NaN .* cannot be read: 2"),
        (spoil_value("audio_feature.h5", 5, -0.1), "audio_feature.h5", "holds negative numbers"),
        (spoil_value("labels.h5", 3, np.eye(4)[0]), "labels.h5", "differs from .* in 1 rows: 3"),
        (spoil_value("mil_labels.h5", 3, 1), "mil_labels.h5", "differs from .* in 1 rows: 3"),
        (spoil_value("labels_closs.h5", 1, 1), "labels_closs.h5", "differs from .* in 1 rows: 1"),
        (spoil_value("labels_noisy.h5", 1, 1), "labels_noisy.h5", "differs from background only in 1 rows: 1"),
        (replace_h5("labels_noisy.h5", np.eye(4)[[3] * 3]), "labels_noisy.h5", "3 rows, 2 expected"),
        (
            replace_h5("audio_feature.h5", np.ones((5, 10, 128))),
            "audio_feature.h5",
            "has 5 rows and Annotations.txt 6",
        ),
        (
            replace_h5("visual_feature_vec.h5", np.ones((6, 512))),
            "visual_feature_vec.h5",
            r"have the shape \(512,\) where",
        ),
        (
            lambda folder: (folder / "labels_closs.h5").write_text(""),
            "labels_closs.h5",
            "not a complete HDF5 file",
        ),
    ],
)
def test_what_is_wrong_is_said_and_the_status_is_2(folder, capsys, spoil, about, words):
    spoil(folder)
    assert run(validate.main, prog=PROG, argv=["ave", str(folder)]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("Not usable as it is; wrong: ")
    assert about in lines[-1]
    wrong = [line for line in lines if line.startswith(f"  wrong   {about}: ")]
    assert any(re.search(words, line) for line in wrong), wrong


def test_values_need_not_be_read(folder, capsys):
    spoil_value("audio_feature.h5", 5, np.nan)(folder)
    assert of_kind(folder, "wrong", values=False) == set()
    assert run(validate.main, prog=PROG, argv=["ave", str(folder), "--no-values"]) == 0


@pytest.mark.parametrize(("name", "words"), [("none", "no such folder"), ("empty", "holds none of AVE's files")])
def test_a_folder_of_something_else_is_refused(tmp_path, capsys, name, words):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=words):
        list(check_ave(tmp_path / name))
    assert run(validate.main, prog=PROG, argv=["ave", str(tmp_path / name)]) == 2
    assert words in capsys.readouterr().err


# What is said of the official files, one finding a line.
OFFICIAL = """\
ok Annotations.txt: 4097 unique ids, 45 of them annotated more than once
ok Annotations.txt: 2750 rows (66.38%) have an event that fills the 10 s
note Annotations.txt: row 26 (Church bell, VWi2ENBuTbw) is 0&0: no foreground
ok Annotations.txt: 28 classes
ok train_order.h5: 3339 videos
ok val_order.h5: 402 videos
ok test_order.h5: 402 videos
ok testSet.txt: equals the order file line by line
ok splits val and test: no video id is in both
ok test_order_match.h5: 402 videos, 402 of them with an event shorter than 10 s
ok labels_closs.h5: 0 mismatches against labels rebuilt from Annotations.txt
ok mil_labels.h5: 0 mismatches against labels rebuilt from Annotations.txt"""


@pytest.mark.parametrize("heading", [False, True])
def test_the_official_annotation_files(reference_dir, tmp_path, heading):
    official = reference_dir / "data" / "ave"
    if heading:
        text = (official / "Annotations.txt").read_text()
        official = shutil.copytree(official, tmp_path / "ave", copy_function=shutil.copyfile)
        (official / "Annotations.txt").write_text(f"Category&VideoID&Quality&StartTime&EndTime\n{text}\n\n")
    findings = list(check_ave(official))
    found = {f"{item.kind} {item.about}: {item.text}" for item in findings}
    assert f"ok Annotations.txt: 4143 rows, {'with' if heading else 'without'} a header row" in found
    assert found >= set(OFFICIAL.split("\n"))
    shared = {item.about: item.text.split(" (")[0] for item in findings if item.kind == "note"}
    assert shared["splits train and val"] == "10 video ids are in both"
    assert shared["splits train and test"] == "8 video ids are in both"
    assert not [item for item in findings if item.kind == "wrong"]


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "noise": lambda path: path.write_bytes(np.random.default_rng(0).bytes(2000)),
    "text": lambda path: path.write_text("Not what it should be.\n"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["clips.csv", "features.json", "shard-00000.h5"])
def test_broken_files_end_in_status_2(tmp_path, capsys, name, damage):
    folder = write_lines(tmp_path / "own", "clips.csv", ["clip,label,split", "a,x,train", "b,y,val", "c,x,test"])
    write_shards(folder, "abc")
    DAMAGE[damage](folder / name)
    assert run(validate.main, prog="validate", argv=["csv", str(folder)]) == 2
    said = capsys.readouterr()
    assert "Complete and usable" not in said.out and "Traceback" not in said.err


def test_own_clips_are_told_before_anything_is_trained(tmp_path, capsys):
    """Balance, lengths, missing streams: dog has four training clips, cat one; b has no frames, c is short."""
    rows = [f"{clip},{start},{end},{label},{split}" for clip, start, end, label, split in (
        ("a", 0, 2, "dog", "train"), ("b", 1, 2.5, "dog", "train"), ("c", 0, 1, "dog", "train"),
        ("d", 0, 1, "dog", "train"), ("e", 0, 4, "cat", "train"), ("f", "", "", "background", "train"),
        ("g", 0, 1, "cat", "val"), ("h", 0, 1, "dog", "test"),
    )]  # fmt: skip
    folder = write_lines(tmp_path / "own", "clips.csv", ["clip,start,end,label,split", *rows])
    write_shards(folder, "abcdefgh", lengths={"b": (4, 0), "c": (2, 2)})
    assert run(validate.main, prog="validate", argv=["csv", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "note    clips.csv: 'dog' has 4 training clips and 'cat' 1: a model may always answer 'dog'" in said
    assert "ok      clips.csv: 0 clips with several labels, 1 of background alone" in said
    assert "ok      clips.csv: 7 events of 1 to 4 s" in said
    assert "ok      features.json: clips of 2.0 to 4.0 s, features of 4 s" in said
    assert "note    features.json: 1 clips are shorter (c); their rest is silent and black" in said
    assert "note    features.json: 1 clips have no frames (b); those features are zeros" in said
