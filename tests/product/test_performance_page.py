"""docs/performance.md: of the form that the benchmark writes, with rows that there are; and the plain form's parts."""

import json
import re
from pathlib import Path

import keras

import jca
from avfusion_benchmarks.page import page
from avfusion_benchmarks.plainly import KerasRerepresentation, plain_form
from avfusion_benchmarks.rows import ROWS, Row

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
MACHINE = {
    "processor": "P",
    "cores": 2,
    "system": "S",
    "python": "3",
    "tensorflow": "2",
    "keras": "3",
}
_CELL = re.compile(r"[\d,.e+-]*( \([\d,.e+-]+-[\d,.e+-]+\))?")


def test_a_page_of_medians_ranges_and_goals():
    names = ["train/jca/jca", "train/ave/v", "train/ave/a", "start-up/help", "long-file/small"]
    names += ["x/a", "x/b", "y/a", "y/b"]
    rows = [Row("Steps", name, "") for name in names]
    fast, slow = "times as fast", "ratio to the sum"
    results = {"train/jca/jca": {"ms": 10.0, fast: 1.5}, "train/ave/v": {"ms": 3.0, fast: 1.0}, "x/a": {"ms": 1.0}}
    results |= {"train/ave/a": {fast: 0.98}, "start-up/help": {"ms": 1029.0}, "long-file/small": {slow: 1.3}}
    ranges = {"train/jca/jca": {"ms": [9.0, 12.5], fast: [1.4, 1.7]}, "train/ave/a": {fast: [0.9, 0.99]}}
    loads = {"x/a": 2.0, "train/ave/v": 0.5}
    text = page(MACHINE, "python -m avfusion_benchmarks --repeats 3", rows, results, ranges, loads)
    assert text.startswith("# Speed and memory\n") and "```\npython -m avfusion_benchmarks --repeats 3\n```" in text
    beginning, table, goals = text.split("## ")
    assert "was 0.5 to 2.0 when the rows began" in beginning
    assert beginning.endswith(" rows that were not measured for this page are `x/*` (1 of 2), `y/*` (all 2).\n\n")
    assert table.startswith(
        "Steps\n\n|  | ms | times as fast | ratio to the sum |\n| --- | ---: | ---: | ---: |\n"
        "| train/jca/jca | 10 (9-12.5) | 1.5 (1.4-1.7) |  |\n| train/ave/v | 3 | 1 |  |\n"
    )
    head, *lines = [line for line in goals.splitlines() if line.startswith("| ")]
    assert head == "| row | number | goal | measured | |"
    assert lines[1:-1] == [
        "| train/jca/jca | times as fast | at least 1.6 | 1.50 | missed |",
        "| train/ave/v | times as fast | at least 1.0 | 1.00 | reached |",
        "| train/ave/a | times as fast | at least 1.0 | 0.98 | level (range 0.9-0.99) |",
        "| start-up/help | ms | at most 1,000 | 1,029 | level (range 1,029-1,029) |",
    ]
    assert lines[-1] == "| long-file/small | ratio to the sum | at most 1.2 | 1.30 | missed |"


def test_the_page_in_the_documents_is_that_of_its_record():
    record, text = json.loads(PAGE.with_suffix(".json").read_text(encoding="utf-8")), PAGE.read_text(encoding="utf-8")
    command = re.search("^python -m avfusion_benchmarks .*", text, re.M).group()
    assert page(record["machine"], command, ROWS, record["rows"], record["ranges"], record["loads"]) == text


def test_the_page_in_the_documents_has_rows_and_numbers_of_the_benchmark():
    text = PAGE.read_text(encoding="utf-8")
    names = {row.name: row.table for row in ROWS}
    assert "python -m avfusion_benchmarks --repeats" in text and "--page docs/performance.md" in text
    sections = {part.partition("\n")[0]: part for part in text.split("\n## ")[1:]}
    found = []
    for title, part in sections.items():
        lines = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")]
        for name, *cells in lines[2:] if title != "Goals" else []:
            assert names[name] == title
            assert all(map(_CELL.fullmatch, cells)), cells
            found.append(name)
    assert {"train/jca/jca", "train/ave/av_att", "input/hdf5"} <= set(found) and len(set(found)) == len(found)
    goals = [line.strip("| ").split(" | ") for line in sections["Goals"].splitlines() if "| at " in line]
    assert {"train/jca/jca", "start-up/help", "long-file/small", "pictures/ave-train"} <= {name for name, *_ in goals}
    for _, _, goal, measured, outcome in goals:
        way, wanted = (-1 if "most" in goal else 1), float(goal.split()[-1].replace(",", ""))
        # Shown with two digits, so that a goal may look reached by rounding.
        exceeds = way * (float(measured.replace(",", "")) - wanted)
        assert (exceeds > -0.005) >= (outcome == "reached") and (exceeds > -0.031 * wanted) >= ("level" in outcome)
        assert outcome.partition(" ")[0].partition(":")[0] in ("reached", "level", "missed")


def test_the_plain_form_has_keras_layers_and_no_second_bias():
    sizes = {"num_classes": 5, "num_segments": 2, "audio_channels": 8, "visual_shape": (2, 2, 8), "audio_size": 8}
    ours = jca.compile_model(jca.build_model("jca", **sizes, video_size=8, recursions=1, num_layers=1))
    plain = plain_form(ours)
    assert type(plain.optimizer) is keras.optimizers.Adam and plain.optimizer.epsilon == ours.optimizer.epsilon
    layers = [layer for layer in plain.layers if isinstance(layer, KerasRerepresentation)]
    assert [type(layer.rnn.ways[0]) for layer in layers] == [keras.layers.Bidirectional] * 3
    # In each of three layers two directions of four gates of 4 units.
    assert ours.count_params() - plain.count_params() == 3 * 2 * 4 * 4
