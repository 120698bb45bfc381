"""The tables: 22 rows, each trained, each with its configuration, size and predictions; what they cost."""

import csv
import functools
import json

import numpy as np
import pytest
import tensorflow as tf

import attendfusion
from attendfusion import efficiency, tables
from attendfusion.config import ROWS
from avpipeline.results import papers
from avpipeline.training.experiment import configuration_hash
from tests.helpers.attendfusion_records import recomputed, write_folder
from tests.helpers.commands import run_command

WIDTH = 4
# The exact counts of the design; the printed figures are the paper's.
COUNTS = {
    "fc_audio": 102_772_716,
    "fc_visual": 109_940_716,
    "fc_early": 110_964_716,
    "fc_late": 340_724_716,
    "fcrn_early": 174_972_716,
    "fcrn_late": 340_724_716,
    "fcrgn_early": 174_972_716,
    "fcrgn_late": 416_185_432,
    "fc_attention": 83_393_132,
    "residual_attention_early": 79_196_780,
    "residual_attention_late": 83_393_132,
    "attend_fusion": 72_071_788,
    "av_attention": 112_773_740,
    "self_cross": 171_553_388,
    "self_cross_fcrn": 171_553_388,
    "attend_fusion_audio": 35_120_748,
    "attend_fusion_visual": 36_955_756,
    "attend_fusion_no_attention": 21_684_844,
}


command = functools.partial(run_command, tables)


@pytest.mark.slow
def test_parameters_of_all_rows_are_printed_beside_the_papers(capsys):
    assert command("--params") == 0
    lines = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("| Table")]
    printed = {(table, row): cells for table, row, *cells in ([cell.strip() for cell in line] for line in lines)}
    assert printed.keys() == ROWS.keys()
    for place, (model, exact, paper, equal) in printed.items():
        assert model == ROWS[place]
        assert papers.lookup("attendfusion", *place).value.endswith(f" / {paper}")
        assert int(exact.replace(",", "")) == COUNTS[model]
        assert round(COUNTS[model] / 1e6) == int(paper) and equal == "yes"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """All rows, one epoch of one step each; eagerly, since tracing the graphs takes most of the time."""
    folder = write_folder(tmp_path_factory.mktemp("records"), sizes=(6, 4, 5))
    out = tmp_path_factory.mktemp("tables")
    words = ("--data", folder, "--width", WIDTH, "--epochs", 1, "--batch-size", 6, "--out", out)
    tf.config.run_functions_eagerly(True)
    assert command(*words) == 0
    yield out, words
    tf.config.run_functions_eagerly(False)


def records(out, name="all"):
    with open(out / f"{name}.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.trained
def test_every_row_says_what_it_is(trained):
    out, _ = trained
    found = records(out)
    assert {(record["table"], record["row"]) for record in found} == set(ROWS) and len(found) == 44
    text = (out / "all.md").read_text()
    for record in found:
        model = ROWS[record["table"], record["row"]]
        folder = out / f"{model}-width-{WIDTH}-1-epochs"
        settings = json.loads((folder / "settings.json").read_text())
        assert record["model"] == model and settings["network"]["width"] == WIDTH
        assert record["configuration"] == configuration_hash(settings)
        sizes = {"num_classes": 5, "audio_channels": 4, "visual_channels": 6}
        assert int(record["parameters"]) == attendfusion.count_parameters(model, width=WIDTH, **sizes)
        assert record["smoke"] == "True" and "smoke: 1 of 20 epochs" in record["our_data"]
        assert f"width {WIDTH} of" in record["our_data"] and f"width {WIDTH}, 1 epoch" in record["note"]
        assert out / record["predictions"] == folder / "seed-0" / "predictions.npz"
        assert record["value"] == "" and "epochs 1 instead of 20" in record["unlike"]
        assert f"| {model} " in text and record["configuration"] in text


@pytest.mark.trained
def test_figures_are_those_of_the_saved_predictions(trained):
    out, _ = trained
    for record in records(out):
        result = json.loads((out / f"{record['model']}-width-{WIDTH}-1-epochs" / "result.json").read_text())
        figures = result["seeds"][0]["figures"]
        if record["metric"] == "GAP %":
            np.testing.assert_allclose(float(record["ours_mean"]), 100 * recomputed(out / record["predictions"])["gap"])
            continue
        assert record["metric"] == "F1 %"
        # Five labels: all are among the twenty best that are kept.
        with np.load(out / record["predictions"]) as file:
            chosen = file["top_scores"] >= np.float32(figures["threshold"])
            videos = np.repeat(np.arange(len(file["ids"])), file["label_counts"])
            truth = np.zeros((len(file["ids"]), 5), bool)
            truth[videos, file["labels"]] = True
            right = (np.take_along_axis(truth, file["top_labels"], 1) & chosen).sum()
        expected = 100 * 2 * right / (chosen.sum() + truth.sum())
        np.testing.assert_allclose(float(record["ours_mean"]), expected, rtol=1e-5)


@pytest.mark.trained
def test_finished_rows_are_kept(trained, capsys):
    out, words = trained
    before = (out / "all.csv").read_text()
    assert command(*words, "--table", "Table 3", "--rows", "Attend-Fusion audio only") == 0
    assert "already finished" in capsys.readouterr().out
    assert (out / "all.csv").read_text() == before
    assert [record["ours_mean"] for record in records(out, "table_3")] == [
        record["ours_mean"] for record in records(out) if record["row"] == "Attend-Fusion audio only"
    ]


def efficiency_command(*words):
    argv = list(map(str, words))
    return run_command(efficiency, *argv)


@pytest.mark.trained
def test_efficiency_of_a_trained_row(trained, tmp_path, capsys):
    out, _ = trained
    row = "Attend-Fusion no attention"
    words = ("--runs", out, "--rows", row, "--seconds", 0.1, "--out", tmp_path)
    assert efficiency_command(*words) == 0
    with open(tmp_path / "efficiency.csv", newline="") as file:
        (line,) = csv.DictReader(file)
    (gap, f1) = (record for record in records(out) if record["row"] == row)
    assert line["parameters"] == gap["parameters"] and line["configuration"] == gap["configuration"]
    for name, record in (("gap", gap), ("f1", f1)):
        np.testing.assert_allclose(float(line[name]), float(record["ours_mean"]))
    assert (line["paper_gap"], line["paper_f1"]) == ("79.06", "73.31") and float(line["milliseconds"]) > 0
    assert line["size"] == "youtube8m, width 4, 1 epochs"
    assert row in (tmp_path / "efficiency.md").read_text() and row in capsys.readouterr().out
    assert (tmp_path / "efficiency.png").stat().st_size > 20_000


@pytest.mark.trained
def test_operations_are_those_of_the_layers(trained):
    """Two tokens through each input layer, then the classifier once; biases, ReLU, mean and sigmoid beside them."""
    out, _ = trained
    weights = out / f"attend_fusion_no_attention-width-{WIDTH}-1-epochs" / "seed-0" / "best.keras"
    found = efficiency.measure(str(weights), 0.01)
    products = 2 * (2 * 4 * WIDTH + 2 * 6 * WIDTH + 2 * WIDTH * 5)
    assert products <= found["operations"] <= 1.6 * products


def test_points_of_the_picture_keep_the_papers_figures_apart():
    lines = [
        {"table": "Table 1", "row": "FC Audio", "paper_gap": 50.32, "gap": None, "parameters": 5, "size": "x"},
        {"table": "Table 1", "row": "FC Visual", "paper_gap": 76.25, "gap": 60.0, "parameters": 7, "size": "rendered"},
    ]
    assert efficiency.panels(lines) == {
        "the paper: YouTube-8M": {"FC Audio": (103e6, 50.32), "FC Visual": (110e6, 76.25)},
        "ours: rendered": {"FC Visual": (7, 60.0)},
    }


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(("--rows", "FC"), "row 'FC': is in no table"), (("--runs", "nowhere"), "nowhere: has no finished run")],
)
def test_efficiency_of_nothing_is_one_sentence(capsys, words, sentence):
    assert efficiency_command(*words) == 2
    assert sentence in capsys.readouterr().err
