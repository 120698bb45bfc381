"""The benchmark measures what it says: one row through the command, the others' code for a moment each."""

import importlib
import json
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from avfusion_benchmarks import onednn, pipeline, rounded_probabilities, youtube8m
from avfusion_benchmarks.__main__ import main
from avfusion_benchmarks.extraction import write_example
from avfusion_benchmarks.long_files import write_repeated
from avfusion_benchmarks.measuring import operations, seconds_per_call, seconds_per_call_in_turn
from avfusion_benchmarks.page import tables
from avfusion_benchmarks.rows import EXTRACTION, NETWORKS, ONEDNN, ROWS, VIDEO_METRICS, Row, measure
from avpipeline import media
from avpipeline.cli import run

ROW = {row.name: row for row in ROWS}


def command(*words) -> int:
    return run(main, prog="python -m avfusion_benchmarks", argv=[str(word) for word in words])


@pytest.mark.slow
def test_one_row_through_the_command(tmp_path, capsys):
    path = tmp_path / "figures.json"
    assert command("--quick", "--rows", "predict/ave/a", "--out", path) == 0
    written = json.loads(path.read_text())
    assert list(written["rows"]) == ["predict/ave/a"]
    row = written["rows"]["predict/ave/a"]
    # The audio branch: ten steps of two LSTMs, 128 -> 4 * 128 and back, and two dense layers.
    multiplied = 10 * (2 * (128 * 512 + 128 * 512) + 256 * 64 + 64 * 29)
    assert row["GFLOP a batch"] == pytest.approx(2 * 64 * multiplied / 1e9, rel=0.05)
    assert row["videos/s"] == pytest.approx(64e3 / row["ms a batch"])
    assert 0 < row["share of matmul"] < 2
    assert 100 < row["peak MB"] < 100_000
    printed = capsys.readouterr().out
    assert "| predict/ave/a |" in printed and "share of matmul" in printed


def test_rows_are_named_and_chosen(capsys):
    assert len(ROW) == len(ROWS)
    assert command("--list", "--rows", "train/*", "*/av_att") == 0
    listed = capsys.readouterr().out.split()
    networks = [f"train/{paper}/{model}" for paper, models in NETWORKS.items() for model in models]
    assert listed == [*networks, "predict/ave/av_att", "onednn/train/ave/av_att"]
    assert command("--rows", "train/nobody/*") == 2
    assert command("--seconds", "0") == 2


def test_rows_are_models_of_their_paper():
    assert set(ONEDNN) <= set(ROW)
    for paper, models in NETWORKS.items():
        assert set(models) <= set(importlib.import_module(paper).MODELS)


@pytest.mark.slow
def test_a_row_without_and_with_onednn(monkeypatch):
    monkeypatch.setenv(onednn.VARIABLE, "0")
    columns = onednn.both_ways(0.01, name="predict/ave/a", column="ms a batch")
    ratio = columns["without, ms a batch"] / columns["with, ms a batch"]
    assert columns["with, times as fast"] == pytest.approx(ratio)
    assert columns["without, peak MB"] > 100 and columns["with, peak MB"] > 100


def test_a_mistyped_option_is_refused_without_tensorflow():
    measured = measure(ROW["start-up/mistyped-option"], 0.01)
    assert measured["with TensorFlow"] == 0 and 50 < measured["modules imported"] < 1000
    assert 20 < measured["peak MB"] < 300
    assert measured["times python -c pass"] == pytest.approx(measured["ms"] / measured["python -c pass, ms"])


@pytest.mark.parametrize("name", ["extract/small_audio", "extract/small_visual"])
def test_extraction_row(name):
    columns = measure(ROW[name], 0.01)
    parts = [columns[part] for part in ("decode", "log-mel or scaling", "network", "write")]
    assert columns["all"] == pytest.approx(1 / sum(1 / part for part in parts))
    assert columns["all"] > 0


@pytest.mark.slow
def test_row_of_a_whole_extraction():
    columns = measure(ROW["extract-run/small"], 0.01)
    assert all(columns[part] > 0 for part in ("decode", "audio", "visual", "write", "all"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["long-file/small", "long-file/event-small"])
def test_row_of_a_long_file(name):
    """A minute, to be quick."""
    columns = measure(ROW[name], 0.01)
    parts = columns["bare decoding"] + columns["networks alone"]
    assert columns["ratio to the sum"] == pytest.approx(columns["60 s"] / parts)
    assert 0 < columns["10 s"] < columns["60 s"]


def test_a_file_that_shows_another_one_several_times(tmp_path):
    write_example(tmp_path / "one.mp4")
    write_repeated(tmp_path / "one.mp4", tmp_path / "three.mp4", 3)
    assert media.probe(tmp_path / "three.mp4").seconds == pytest.approx(30, abs=0.1)
    once = media.read_frames(tmp_path / "one.mp4", frame_rate=2, size=(24, 32), seconds=10)
    again = media.read_frames(tmp_path / "three.mp4", frame_rate=2, size=(24, 32), seconds=10, start=20)
    assert (once == again).all()


def test_row_against_torchvision_is_left_out_without_torchvision(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert set(measure(ROW["against-torchvision/vgg19"], 0.01)) == {"peak MB"}
    assert "against-torchvision/vgg19: left out, torchvision cannot be imported" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name, stored", [("input/hdf5", 8), ("input/hdf5-float32", 4), ("input/shards", 4)])
def test_input_row(name, stored):
    """Features are float64 in the authors' files, and always handed on as float32."""
    columns = measure(ROW[name], 0.01)
    assert columns["MB/s"] == pytest.approx(columns["records/s"] * 4 * (10 * (128 + 49 * 512 + 29)) / 1e6)
    assert columns["MB on disk"] == pytest.approx(128 * 10 * (stored * (128 + 49 * 512) + 4 * 29) / 1e6)


@pytest.mark.slow
def test_row_of_plain_tf_data():
    columns = measure(ROW["input/hdf5-against-plain"], 0.01)
    assert columns["times as fast"] == pytest.approx(columns["plain tf.data, ms a batch"] / columns["ms a batch"])


def test_plain_tf_data_reads_every_row_of_the_files(tmp_path):
    rows = {modality: pipeline._RandomRows(2, (10, *info.shape)) for modality, info in pipeline.FEATURES.items()}
    pipeline._writing_hdf5("float64")(tmp_path, rows, ("a", "b"))
    ((inputs, labels),) = pipeline._plain_batches(tmp_path, np.arange(64 * 290.0).reshape(64, 10, 29), 2)
    wanted = rows["audio"].read(np.asarray(labels)[:, 0, 0].astype(int) // 290 % 2)
    np.testing.assert_array_equal(inputs["audio"], wanted)
    assert sorted(np.asarray(labels)[:, 0, 0] // 290) == list(range(64))


@pytest.mark.slow
def test_row_of_pictures():
    """Of one epoch; the curves, the timeline, the frames and the video take some of it."""
    columns = measure(ROW["pictures/ave-train"], 0.01)
    assert 0.2 < columns["seconds of pictures"] < columns["seconds"]
    assert columns["share of pictures"] == pytest.approx(columns["seconds of pictures"] / columns["seconds"])


@pytest.mark.slow
@pytest.mark.parametrize("level", ["video", "frame"])
def test_row_of_youtube8m_records(level, monkeypatch):
    monkeypatch.setitem(youtube8m.BATCH, level, 8)
    columns = measure(ROW[f"input/youtube8m-{level}"], 0.01)
    # A byte a number and second, or four for each mean and standard deviation.
    size = {"video": 2 * 4 * 1152, "frame": 230 * 1152}[level]
    assert columns["MB/s"] / columns["records/s"] * 1e6 == pytest.approx(size, rel=0.05)
    assert columns["records/s"] == pytest.approx(8 / columns["ms a batch"] * 1e3)


@pytest.mark.parametrize("name, held", [("gap", 4 * 20 * 1500), ("mean-ap-uncapped", 2946 * 4716 * 8)])
def test_row_of_a_metric(name, held):
    row = ROW[f"metrics/{name}"]
    columns = youtube8m.metric_memory(0.01, **row.arguments, videos=1500)
    assert columns["MB held"] == pytest.approx(held / 1e6, rel=1e-3)
    assert 0 < columns["result"] < 0.05


def test_rows_of_metrics_are_all():
    assert set(VIDEO_METRICS) == set(youtube8m.METRICS)


@pytest.mark.slow
def test_training_row():
    columns = measure(ROW["train/ave/a"], 0.01)
    assert columns["GFLOP a batch"] > measure(ROW["predict/ave/a"], 0.01)["GFLOP a batch"]
    assert columns["times as fast"] == pytest.approx(columns["plain, ms a batch"] / columns["ms a batch"])


@pytest.mark.slow
def test_backbone_rows():
    """A moment of the small sound network: 20x8 windows at 20 places by 32 filters, then a layer 640 -> 512."""
    forward, training = (measure(ROW[f"{kind}/small_event_audio"], 0.01) for kind in ("predict-clip", "train-clip"))
    assert forward["GFLOP a batch"] == pytest.approx(2 * 100 * (160 * 20 * 32 + 640 * 512) / 1e9, rel=0.05)
    assert training["GFLOP a batch"] > 1.5 * forward["GFLOP a batch"]
    assert training["videos/s"] == pytest.approx(1e3 / training["ms a batch"])


@pytest.mark.slow
def test_localization_row():
    columns = measure(ROW["localize/avdln"], 0.01)
    assert columns["videos/s"] * columns["seconds a split"] == pytest.approx(402)
    assert columns["seconds a split"] < 5


def test_comparison_of_eq_10_with_its_clipped_form(capsys):
    """The rounded share is of the positives, the labels follow Zipf's law, and both losses start from one network."""
    settings = rounded_probabilities.Settings(width=8, classes=40, videos=32, epochs=1, batch_size=16)
    train, others = rounded_probabilities.synthetic_videos(settings)
    counts = train[1].sum(0)
    assert (len(train[1]), len(others[1])) == (32, 8) and counts[:4].sum() > counts[4:].sum() / 2
    assert (train[1].sum(1) <= 3).all() and train[0]["visual"].shape == (32, 2, 1024)
    rounded_probabilities.main(settings)
    cells = [cell.strip() for cell in capsys.readouterr().out.strip().splitlines()[-1].split("|")[1:-1]]
    # Nothing is rounded after two steps, so that both forms are the same.
    assert cells[0] == "1" and cells[1:4] == cells[4:7] and cells[1] == "0.0 %"


def test_time_of_a_call():
    assert 0.01 <= seconds_per_call(lambda: time.sleep(0.01), 0.05) < 0.1
    short, long = seconds_per_call_in_turn([lambda: time.sleep(0.001), lambda: time.sleep(0.02)], 0.1)
    assert short < 0.02 <= long


def test_operations_of_a_product():
    left, right = tf.ones((3, 5)), tf.ones((5, 7))
    assert operations(tf.function(lambda: tf.matmul(left, right), jit_compile=False)) == 2 * 3 * 5 * 7


def test_tables():
    rows = [Row(EXTRACTION, "a", ""), Row(EXTRACTION, "b", ""), Row("Other", "c", "")]
    text = tables(rows, {"a": {"speed": 12.345, "rate": 1234.5}, "b": {"speed": 0.01234}, "c": {"speed": 100.0}})
    assert text.splitlines() == [
        f"## {EXTRACTION}",
        "",
        "|  | speed | rate |",
        "| --- | ---: | ---: |",
        "| a | 12.3 | 1,234 |",
        "| b | 0.0123 |  |",
        "",
        "## Other",
        "",
        "|  | speed |",
        "| --- | ---: |",
        "| c | 100 |",
    ]
