"""docs/performance.md: of the form that the benchmark writes, with rows that there are; and the plain form's parts."""

import re
from pathlib import Path

import keras

import jca
from avfusion_benchmarks.page import page
from avfusion_benchmarks.plainly import KerasRerepresentation, plain_form
from avfusion_benchmarks.rows import ROWS, Row

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
MACHINE = {"processor": "P", "cores": 2, "load": 0.5, "system": "S", "python": "3", "tensorflow": "2", "keras": "3"}
_CELL = re.compile(r"[\d,.e+-]*( \([\d,.e+-]+-[\d,.e+-]+\))?")


def test_a_page_of_medians_ranges_and_goals():
    rows = [Row("Steps", "train/jca/jca", ""), Row("Steps", "train/ave/v", ""), Row("Steps", "not measured", "")]
    results = {"train/jca/jca": {"ms": 10.0, "times as fast": 1.5}, "train/ave/v": {"ms": 3.0, "times as fast": 1.0}}
    ranges = {"train/jca/jca": {"ms": [9.0, 12.5], "times as fast": [1.4, 1.7]}}
    text = page(MACHINE, "python -m avfusion_benchmarks --repeats 3", rows, results, ranges)
    assert text.startswith("# Speed and memory\n") and "```\npython -m avfusion_benchmarks --repeats 3\n```" in text
    assert text.split("## ")[1:] == [
        "Steps\n\n|  | ms | times as fast |\n| --- | ---: | ---: |\n"
        "| train/jca/jca | 10 (9-12.5) | 1.5 (1.4-1.7) |\n| train/ave/v | 3 | 1 |\n\n",
        "Goals\n\n| row | goal, times the plain form | measured | |\n| --- | ---: | ---: | --- |\n"
        "| train/jca/jca | 1.6 | 1.50 | missed |\n| train/ave/v | 1.0 | 1.00 | reached |\n",
    ]


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
    goals = [line.strip("| ").split(" | ") for line in sections["Goals"].splitlines() if line.startswith("| train")]
    assert all(met.startswith("missed") != (met == "reached") for *_, met in goals)
    # Shown with two digits, so that a goal may look reached by rounding.
    assert all((float(found) > float(goal) - 0.005) >= (met == "reached") for _, goal, found, met in goals)


def test_the_plain_form_has_keras_layers_and_no_second_bias():
    sizes = {"num_classes": 5, "num_segments": 2, "audio_channels": 8, "visual_shape": (2, 2, 8), "audio_size": 8}
    ours = jca.compile_model(jca.build_model("jca", **sizes, video_size=8, recursions=1, num_layers=1))
    plain = plain_form(ours)
    assert type(plain.optimizer) is keras.optimizers.Adam and plain.optimizer.epsilon == ours.optimizer.epsilon
    layers = [layer for layer in plain.layers if isinstance(layer, KerasRerepresentation)]
    assert [type(layer.rnn.ways[0]) for layer in layers] == [keras.layers.Bidirectional] * 3
    # In each of three layers two directions of four gates of 4 units.
    assert ours.count_params() - plain.count_params() == 3 * 2 * 4 * 4
