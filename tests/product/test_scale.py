"""The simulation of a cluster against runs that can be computed by hand, and docs/scale.md against it."""

import dataclasses
from pathlib import Path

import pytest

from avfusion_benchmarks.scale import Costs, Dataset, main, predict, table
from avpipeline.cli import run

CLIPS = Dataset("clips", 1000, 100, 2.0, 3.0, "clip")
FAST = Costs(decode=1.0, network=2.0, write=0.001, start=10.0, storage=1e5, link=1e5)


def test_workers_share_the_work():
    for workers, rounds in ((1, 100), (10, 10), (30, 4), (100, 1)):
        found = predict(CLIPS, workers, FAST)
        # Tasks of ten clips of 3 s; the last is written after they end, or all that ended together are.
        assert 3600 * found.hours == pytest.approx(10 + 30 * rounds, abs=0.01 * 100)
        assert (found.read_gb, found.written_gb, found.bottleneck) == (2, 3, "the workers" if workers < 300 else "")


def test_each_bottleneck_is_named():
    for changes, workers, words, seconds in (
        ({"write": 1.0}, 100, "the one process that writes", 10 + 30 + 1000),
        ({"write": 1.0, "parts": True}, 100, "the workers", 10 + 30 + 10),
        ({"storage": 10.0}, 100, "the storage", 10 + 5000 / 10),
        ({"link": 1.0}, 10, "a worker's link to the storage", 10 + 5000 / 10),
        ({"start": 5000.0}, 10, "the start", 5000 + 300),
        ({"start": 1.0}, 500, "too few tasks", 1 + 30),
    ):
        found = predict(CLIPS, workers, dataclasses.replace(FAST, **changes))
        assert found.bottleneck == words and 3600 * found.hours == pytest.approx(seconds, abs=1.1), words


def test_a_record_is_written_where_it_is_read():
    records = dataclasses.replace(CLIPS, kind="record")
    found = predict(records, 10, dataclasses.replace(FAST, record=0.5, write=0.001))
    assert 3600 * found.hours == pytest.approx(10 + 10 * 5) and found.bottleneck == "the workers"


def test_the_document_has_the_table_of_the_costs_that_it_states(capsys):
    document = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
    assert table(Costs()) in document and table(Costs(network=0.5)) in document
    assert run(main, prog="scale", argv=["--parts"]) == 0
    assert "VGGSound, extract" in capsys.readouterr().out
    for name, value in dataclasses.asdict(Costs()).items():
        assert name == "parts" or f"`--{name} {value:g}`" in document, name
    assert run(main, prog="scale", argv=["--storage", "0"]) == 2
