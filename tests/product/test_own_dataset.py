"""docs/datasets.md, "Your own clips": its table and its commands, line by line as they are written there."""

import importlib
import json
import re
import shlex

import numpy as np
import pytest

from avpipeline import media
from tests.helpers.commands import run_command
from tests.helpers.imports import ROOT

TEXT = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^<!-- (.+?) -->\n```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(mark, text) for mark, text in BLOCK.findall(TEXT) if mark == "run" or mark.endswith("clips.csv")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The clips that the table names: each class has its colour and its tone, where it is said to be seen."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "CLIPS").mkdir()
    (folder / "FOLDER").mkdir()
    ((_, table),) = [(mark, text) for mark, text in BLOCKS if mark != "run"]
    (folder / "FOLDER" / "clips.csv").write_text(table, encoding="utf-8")
    events = {}
    for line in table.splitlines()[1:]:
        clip, start, end, label, _ = line.split(",")
        events.setdefault(clip, []).extend([(float(start), float(end), label)] if start else [])
    time = np.arange(10 * media.SAMPLE_RATE) / media.SAMPLE_RATE
    for clip, own in events.items():
        frames, sound = np.full((20, 32, 48, 3), 90, np.uint8), 0.001 * np.sin(time)
        for start, end, label in own:
            there = (start <= time) & (time < end)
            sound[there] = 0.3 * np.sin(2 * np.pi * {"dog": 300, "cat": 2000}[label] * time[there])
            frames[int(2 * start) : int(2 * end), :, :, {"dog": 0, "cat": 2}[label]] = 250
        media.write_clip(folder / "CLIPS" / clip, frames, sound.astype(np.float32), frame_rate=2)
    return folder


@pytest.mark.trained
def test_the_commands_work_as_written(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    said = {}
    for line in (line for mark, text in BLOCKS if mark == "run" for line in text.splitlines()):
        start, _, module, *words = shlex.split(line)
        command = importlib.import_module("ave.match.__main__" if module == "ave.match" else module)
        assert start == "python" and run_command(command, *words) == 0, line
        said[module] = capsys.readouterr().out
    # What validate counts before anything is trained.
    assert "train: 4 videos of 2 classes" in said["avpipeline.validate"]
    assert "train: 2 videos a class" in said["avpipeline.validate"]
    assert "0 clips with several labels, 1 of background alone" in said["avpipeline.validate"]
    assert "9 events of 2 to 4 s" in said["avpipeline.validate"]
    assert "clips of 10.0 s, features of 10 s" in said["avpipeline.validate"]
    assert "Complete and usable" in said["avpipeline.validate"]
    # Five training clips where the batch is 64; no row and no result of any paper.
    assert "5 training clips do not fill a batch of 64: the batch is 5." in said["ave.train"]
    for name in ("ave.train", "jca.train", "mafnet.train", "ave.match", "ave.tables"):
        assert "your own clips, 2 " in said[name] and "Data: your own clips; clips: " in said[name]
        assert "the data are your own clips" in said[name] and "72.7" not in said[name] and "| A " not in said[name]
    assert "records in YouTube-8M's form, 2 in the test split" in said["attendfusion.train"]
    assert "av_att (trained on your own clips) on your own clips, test" in said["ave.evaluate"]
    assert "trained on your own clips" in said["ave.predict"]
    result = json.loads((folder / "RUNS" / "ave" / "result.json").read_text())
    assert result["dataset"] == "your own clips" and result["reproduces"] == [] and not result["data"]["official"]
    assert result["data"]["class_names"] == ["cat", "dog", "background"]
    assert result["data"]["clips"] == {"train": 5, "val": 2, "test": 2}
    assert result["data"]["extractors"] == {"audio": "small_audio:embedding", "visual": "small_visual:pool5"}
    assert result["differences"]["batch_size"] == {"ours": 5, "preset": 64}
    rows = json.loads((folder / "RUNS" / "tables" / "result.json").read_text())["rows"]
    assert [(row["model"], row["value"]) for row in rows] == [("a", "")]
    assert all(row["unlike"] for row in rows)
    # dog_3: seconds 4 to 7 of ten.
    with np.load(folder / "RUNS" / "ave" / "seed-0" / "predictions.npz") as file:
        dog = list(file["ids"]).index("dog_3")
        np.testing.assert_array_equal(file["labels"][dog].argmax(-1), [2, 2, 2, 2, 1, 1, 1, 1, 2, 2])
