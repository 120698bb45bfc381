"""docs/datasets.md, "Your own clips": its table and its commands, line by line as they are written there."""

import contextlib
import importlib
import io
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from avpipeline import media
from tests.helpers.commands import run_command
from tests.helpers.graphs import without_graphs
from tests.helpers.imports import ROOT

TEXT = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
# What stands above a block -> the block: the table, and the commands by what they are for.
BLOCK = re.compile(r"^<!-- (FOLDER/clips\.csv|run \w+) -->\n```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = dict(BLOCK.findall(TEXT))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The clips that the table names: each class has its colour and its tone, where it is said to be seen."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "CLIPS").mkdir()
    (folder / "FOLDER").mkdir()
    table = BLOCKS["FOLDER/clips.csv"]
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


@pytest.fixture(scope="module")
def run_block(folder):
    """Function of a block's name that carries out its lines: module -> what that printed."""

    def run(name):
        said = {}
        for line in BLOCKS[f"run {name}"].splitlines():
            start, _, module, *words = shlex.split(line)
            command = importlib.import_module("ave.match.__main__" if module == "ave.match" else module)
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                assert start == "python" and run_command(command, *words) == 0, line
            said[module] = printed.getvalue()
        return said

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("AVPIPELINE_CACHE", str(folder / "cache"))
        yield run


@pytest.fixture(scope="module")
def validated(run_block):
    """What validate printed, once there are features."""
    with without_graphs():
        return run_block("features")["avpipeline.validate"]


def result_of(name):
    return json.loads((Path("RUNS") / name / "result.json").read_text())


def assert_alone(said, paper, model, label, tabled):
    """What a paper's four commands said and wrote: of our own clips, beside no result and no row of the paper."""
    assert list(said) == [f"{paper}.{name}" for name in ("train", "evaluate", "predict", "tables")]
    trained, evaluated, predicted, table = said.values()
    for text in (trained, table):
        assert "your own clips, 2 in the test split" in text and "the data are your own clips" in text
        assert "Data: your own clips; clips: " in text
    assert f"{model} (trained on your own clips) on your own clips, test" in evaluated
    assert predicted.startswith("dog_3.mp4: 10.0 s") and "trained on your own clips" in predicted
    (row,) = result_of(f"{label}-tables")["rows"]
    assert (row["model"], row["value"]) == (tabled, "") and row["unlike"]
    result = result_of(label)
    assert result["dataset"] == "your own clips" and result["reproduces"] == [] and not result["data"]["official"]
    return result


def test_what_validate_counts_before_anything_is_trained(validated):
    assert "train: 4 videos of 2 classes" in validated and "train: 2 videos a class" in validated
    assert "0 clips with several labels, 1 of background alone" in validated
    assert "9 events of 2 to 4 s" in validated and "clips of 10.0 s, features of 10 s" in validated
    assert "Complete and usable" in validated


@pytest.mark.slow
def test_mafnet_as_written(validated, run_block):
    with without_graphs():
        said = run_block("mafnet")
    result = assert_alone(said, "mafnet", "audio", "mafnet", "audio")
    assert "4 training clips do not fill a batch of 32: the batch is 4." in said["mafnet.train"]
    # A clip has one label: that of background alone is left out.
    assert result["data"]["class_names"] == ["cat", "dog"] and result["data"]["clips"]["train"] == 4


@pytest.mark.slow
def test_ave_as_written(validated, run_block):
    said = run_block("ave")
    result = assert_alone(said, "ave", "av_att", "ave", "a")
    assert "5 training clips do not fill a batch of 64: the batch is 5." in said["ave.train"]
    for name in ("ave.train", "ave.tables"):
        assert "72.7" not in said[name] and "| A " not in said[name]
    assert result["data"]["class_names"] == ["cat", "dog", "background"]
    assert result["data"]["clips"] == {"train": 5, "val": 2, "test": 2}
    assert result["data"]["extractors"] == {"audio": "small_audio:embedding", "visual": "small_visual:pool5"}
    assert result["differences"]["batch_size"] == {"ours": 5, "preset": 64}
    # dog_3: seconds 4 to 7 of ten.
    with np.load("RUNS/ave/seed-0/predictions.npz") as file:
        dog = list(file["ids"]).index("dog_3")
        np.testing.assert_array_equal(file["labels"][dog].argmax(-1), [2, 2, 2, 2, 1, 1, 1, 1, 2, 2])


@pytest.mark.slow
def test_jca_as_written(validated, run_block):
    """Without graphs, whose tracing costs most of the time."""
    with without_graphs():
        said = run_block("jca")
    result = assert_alone(said, "jca", "jca", "jca", "jca")
    # JCA keeps batches that are not full, so none has to shrink.
    assert "do not fill a batch" not in said["jca.train"] and result["data"]["clips"]["train"] == 5
    assert result["data"]["class_names"] == ["cat", "dog", "background"]


@pytest.mark.slow
def test_eventlayers_as_written(run_block):
    """They read clips, so nothing is extracted for them."""
    with without_graphs():
        said = run_block("eventlayers")
    result = assert_alone(said, "eventlayers", "event_layers", "events", "audio_only")
    # Both stages: two backbones and the layers on them.
    small = "4 training clips do not fill a batch of 16: the batch is 4.\n"
    assert said["eventlayers.train"].count(small) == 3
    assert result["data"]["class_names"] == ["cat", "dog"]
    assert result["differences"]["batch_size"] == {"ours": 4, "preset": 16}
    assert result["differences"]["backbones"] == {"ours": "small", "preset": "published"}
    (row,) = result_of("events-tables")["rows"]
    assert any("backbones small instead of published" in reason for reason in row["unlike"])


@pytest.mark.slow
def test_the_other_commands_as_written(validated, run_block):
    said = run_block("others")
    assert "your own clips, 2 " in said["ave.match"] and "the data are your own clips" in said["ave.match"]
    assert "records in YouTube-8M's form, 2 in the test split" in said["attendfusion.train"]
