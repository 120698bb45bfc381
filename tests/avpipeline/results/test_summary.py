"""RESULTS.md: made of result files and nothing else."""

import functools
import json
from types import SimpleNamespace

import numpy as np
import pytest

from avpipeline import published
from avpipeline.errors import InputError
from avpipeline.results import order, page, papers, record, stored, tables
from avpipeline.training.paper import Trained
from avpipeline.training.saved import known_papers
from tests.helpers.commands import refused, run_command

RUN = {
    "model": "av_att",
    "preset": "code",
    "dataset": "rendered",
    "selected_on": "val",
    "configuration": "0123456789ab",
    "command": "python -m ave.tables --seeds 2",
    "date": "2026-01-02T03:04:05+00:00",
    "commit": "fedcba9876543210",
    "seeds": [{"seed": 0, "test": 0.5, "parameters": 1234567}, {"seed": 1, "test": 0.75, "parameters": 1234567}],
}
ROWS = (("Table 1", "A+V-att"), ("Table 2", "Concat late"))


def write_runs(folder, *, smoke=False, figures=None, **changes):
    """What a tables command leaves in its folder: predictions, weights, result.json."""
    figures = figures or [papers.lookup("ave", *row) for row in ROWS]
    result = {**RUN, **changes}
    for seed in result["seeds"]:
        place = folder / "av_att" / f"seed-{seed['seed']}"
        place.mkdir(parents=True)
        np.savez(place / "predictions.npz", labels=np.zeros(3), predictions=np.zeros(3))
        (place / "best.keras").write_bytes(b"large")
    tables.write_results(folder, [line(figure, folder / "av_att", result, smoke=smoke) for figure in figures])
    return folder


def line(figure, folder, result, *, smoke=False, unlike=()):
    """The line of one published result, from finished runs in `folder`."""
    experiment = SimpleNamespace(schedule=SimpleNamespace(is_smoke=smoke), unlike=unlike)
    return tables.line_of(figure, Trained(None, experiment, result, "synthetic clips, 3 in the test split", (folder,)))


@pytest.fixture
def run(tmp_path):
    return write_runs(tmp_path / "run")


command = functools.partial(run_command, published)


def test_only_the_small_files_are_taken_over(run, tmp_path):
    place = stored.add(run, tmp_path / "results")
    found = sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())
    assert found == ["av_att/seed-0/predictions.npz", "av_att/seed-1/predictions.npz", "result.json"]
    assert place == tmp_path / "results" / "ave" / "rendered-code"
    again = stored.add(run, tmp_path / "results")
    assert again == place and [result.content for result in stored.read_result(place)] == [
        result.content for result in stored.read_result(run)
    ]


def test_rows_measured_later_join_those_measured_before(run, tmp_path):
    other = write_runs(tmp_path / "other", figures=[papers.lookup("ave", "Table 1", "A")])
    lines = [line(papers.lookup("ave", *ROWS[0]), run, {**RUN, "commit": "new"})]
    tables.write_results(run, lines)
    commits = {result.content["row"]: result.content["commit"] for result in stored.read_result(run)}
    assert commits == {"A+V-att": "new", "Concat late": RUN["commit"]}
    assert [result.content["row"] for result in stored.read_result(other)] == ["A"]


@pytest.mark.parametrize("text", ["", "[1]", '{"a": {}}', '{"a": 3}'])
def test_a_damaged_file_of_differences_is_refused(tmp_path, text, capsys):
    (tmp_path / "parity.json").write_text(text)
    out = tmp_path / "R.md"
    refused(published, ["--results", tmp_path, "--out", out], "parity.json: is ", capsys, out)


@pytest.mark.parametrize("text", ["not JSON", '{"paper": "ave", "seeds": []}', "[]", '{"rows": 3}', '{"rows": [{}]}'])
def test_a_folder_of_another_command_is_refused_before_anything_is_trained(tmp_path, text):
    (tmp_path / "result.json").write_text(text)

    def train(figure):
        raise AssertionError("trained")

    with pytest.raises(InputError, match="result.json: was not written by a tables command.*; choose another --out"):
        tables.measure_rows([papers.lookup("ave", *ROWS[0])], train, tmp_path, "Table 1")
    assert (tmp_path / "result.json").read_text() == text


def test_the_same_results_give_the_same_bytes_and_a_changed_figure_others(run, tmp_path):
    out, folder = tmp_path / "RESULTS.md", tmp_path / "results"
    assert command("--add", run, "--results", folder, "--out", out) == 0
    first = out.read_bytes()
    assert command("--results", folder, "--out", out) == 0
    assert out.read_bytes() == first
    path = folder / "ave" / "rendered-code" / "result.json"
    content = json.loads(path.read_text())
    content["rows"][0]["ours"][0] += 10
    path.write_text(json.dumps(content))
    assert command("--results", folder, "--out", out) == 0
    assert out.read_bytes() != first


def test_every_row_of_every_paper_is_one_line(run):
    text = page.as_markdown(stored.read_result(run))
    assert len(text.splitlines()) < 250
    rows = [line for line in text.splitlines() if "62.5 +- 17.7" in line]
    assert [line.split("|")[1].strip() for line in rows] == ["A+V-att", "Concat late"]
    # Two rows are readings of one run; 72.7 is the paper's. A score on synthetic clips is in a column of its own.
    assert all(line.split("|")[2].strip() == "72.7" for line in rows)
    assert all(line.split("|")[3].strip() == "" and "17.7" in line.split("|")[4] for line in rows)
    assert all("[1](results/README.md#runs)" in line for line in rows) and "[2]" not in text
    for paper in known_papers():
        section = text.partition(f"## {paper}: ")[2].partition("\n## ")[0]
        for table in {row.table for row in papers.rows(paper)}:
            names = [row.row for row in papers.rows(paper, table)]
            assert f"**{table.partition(' (external')[0]}**" in section
            assert all(f"\n| {name} " in section.replace("\\|", "|") for name in names), table
    (line,) = [line for line in text.splitlines() if line.startswith("| MAFnet ")]
    assert line.split("|")[2].strip() == "90.86 / 86.72 / 83.94"
    assert "| FC Audio " in text and "50.32 / 49.09 / 103" in text


def test_one_run_for_all_datasets_stands_once_whatever_the_digits_of_the_paper(tmp_path):
    """82.93 for one dataset and 77.5 for another."""
    figures = [row for row in papers.rows("mafnet", "Table 1") if row.row == "DMRN (our feat.)"]
    text = page.as_markdown(stored.read_result(write_runs(tmp_path / "run", figures=figures, model="dmrn")))
    (found,) = (line for line in text.splitlines() if line.startswith("| DMRN (our feat.)"))
    assert [cell.strip() for cell in found.split("|")][2:5] == ["80.96 / 82.93 / 77.5", "", "62.50 +- 17.68"]


def test_the_record_has_how_everything_was_made(run):
    text = record.as_markdown(stored.read_result(run))
    rows = [line for line in text.splitlines() if "62.5 +- 17.7 (2 seeds)" in line]
    assert len(rows) == 2
    assert all("synthetic clips, 3 in the test split" in line and line.endswith(" 1   |") for line in rows)
    (bus,) = [line for line in text.splitlines() if line.startswith("| Bus ")]
    assert bus.replace(" ", "") == "|Bus|8.3|60.0|43.3|56.7|41.7|40.0|5.0|"
    (made,) = [line for line in text.splitlines() if "`python -m ave.tables --seeds 2`" in line]
    assert all(part in made for part in ("2026-01-02", "fedcba987654", "0123456789ab", "1,234,567", "| 0, 1 "))


def test_a_run_on_the_papers_data_stands_in_its_place(tmp_path):
    """MAFnet's row has a result on each of three datasets; a UCF51 run is one of one of them."""
    ucf51 = papers.lookup("mafnet", "Table 1", "MAFnet", "UCF51")
    run = write_runs(tmp_path / "run", figures=[ucf51], dataset="ucf51", model="mafnet")
    text = page.as_markdown(stored.read_result(run))
    (line,) = [line for line in text.splitlines() if "17.68" in line]
    assert line.startswith("| MAFnet ") and line.split("|")[3].strip() == "- / 62.50 +- 17.68 / -"
    assert line.split("|")[4].strip() == ""


@pytest.mark.parametrize(("ours", "correlation"), [((1, 2, 3, 4), 1.0), ((4, 3, 2, 1), -1.0), ((2, 1, 4, 3), 0.6)])
def test_rank_correlation(tmp_path, ours, correlation):
    """Of four rows: 1 - 6 * (sum of squared rank differences) / (4 * 15)."""
    rows = sorted(papers.rows("mafnet", "Table 4"), key=lambda row: float(row.value))
    for row, score in zip(rows, ours, strict=True):
        place = tmp_path / row.row.replace(" ", "_")
        seeds = [{"seed": 0, "test": score / 10, "parameters": 1}]
        (place / "av_att" / "seed-0").mkdir(parents=True)
        result = {**RUN, "seeds": seeds}
        tables.write_results(tmp_path, [line(row, place / "av_att", result)])
    (found,) = order.orders(stored.read_result(tmp_path))
    assert (found.paper, found.table) == ("mafnet", "Table 4")
    assert found.rows == tuple(row.row for row in reversed(rows))
    assert found.correlation == pytest.approx(correlation)
    order.draw(tmp_path / "order.png", [found])
    assert (tmp_path / "order.png").stat().st_size > 5000


def test_parity_section_has_what_was_measured(run, tmp_path):
    folder = tmp_path / "results"
    stored.add(run, folder)
    measured = {"difference": 6.0e-8, "allowed": 1e-5, "system": "ave: A+V-att"}
    (folder / "parity.json").write_text(json.dumps({"av_att.npz attention": measured}))
    assert command("--results", folder, "--out", tmp_path / "RESULTS.md") == 0
    text = (folder / "README.md").read_text()
    assert "6.0e-08" in text and "1e-05" in text and "av_att.npz" in text


def test_smoke_runs_never_enter(run, tmp_path):
    with pytest.raises(InputError, match="has smoke runs only.*leave out --epochs"):
        stored.add(write_runs(tmp_path / "smoke", smoke=True), tmp_path / "results")
    assert not (tmp_path / "results").exists()
    path = run / "result.json"
    content = json.loads(path.read_text())
    content["rows"][0]["smoke"] = True
    path.write_text(json.dumps(content))
    place = stored.add(run, tmp_path / "results")
    assert [result.content["row"] for result in stored.read_result(place)] == ["Concat late"]


def test_figures_without_their_predictions_never_enter(run, tmp_path):
    (run / "av_att" / "seed-1" / "predictions.npz").unlink()
    with pytest.raises(InputError, match="seed-1/predictions.npz: is missing"):
        stored.add(run, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_one_papers_rows_a_folder(run, tmp_path):
    path = run / "result.json"
    content = json.loads(path.read_text())
    content["rows"][0]["paper"] = "jca"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="holds rows of ave, jca; give each"):
        stored.add(run, tmp_path / "results")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "result.json: there is no such file"),
        ("not JSON", "is no result of a tables command"),
        ('{"paper": "ave"}', "is no result of a tables command"),
        ('{"rows": [{"paper": "ave"}]}', "lacks command, commit"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path, text, says):
    if text is not None:
        (tmp_path / "result.json").write_text(text)
    with pytest.raises(InputError, match=says):
        stored.read_result(tmp_path)


def test_predictions_outside_of_the_folder_are_refused(run):
    path = run / "result.json"
    content = json.loads(path.read_text())
    content["rows"][0]["predictions"] = ["../../etc/passwd"]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="predictions outside of its folder"):
        stored.read_result(run)


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path, capsys):
    assert command("--results", tmp_path / "none", "--out", tmp_path / "RESULTS.md") == 2
    assert "is not a folder of results" in capsys.readouterr().err and not (tmp_path / "RESULTS.md").exists()
