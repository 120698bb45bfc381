"""RESULTS.md: made of result files and nothing else, and only of figures that their predictions give."""

import json

import numpy as np
import pytest

from avpipeline import cli, results
from avpipeline.errors import InputError
from avpipeline.metrics import segment_accuracy

CONTENT = {
    "paper": "ave",
    "model": "av_att",
    "preset": "code",
    "dataset": "rendered",
    "metric": "segment_accuracy",
    "reproduces": [["Table 1", "A+V-att"], ["Table 2", "Concat late"]],
    "smoke": False,
    "configuration": "0123456789ab",
    "clips": {"test": 3},
    "command": "python -m ave.train --seeds 2",
    "date": "2026-01-02T03:04:05+00:00",
    "commit": "fedcba9876543210",
}


def write_run(folder, **changes):
    """A finished run with the figures of random predictions."""
    entries = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        labels = np.eye(4, dtype="float32")[rng.integers(0, 4, (3, 10))]
        predictions = rng.random((3, 10, 4)).astype("float32")
        (folder / f"seed-{seed}").mkdir(parents=True)
        np.savez(folder / f"seed-{seed}" / "predictions.npz", labels=labels, predictions=predictions)
        (folder / f"seed-{seed}" / "best.keras").write_bytes(b"large")
        entries.append({"seed": seed, "test": segment_accuracy(labels, predictions)})
    (folder / "result.json").write_text(json.dumps({**CONTENT, "seeds": entries, **changes}))
    return folder


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run")


def command(*words):
    return cli.run(results.main, prog="python -m avpipeline.published", argv=list(map(str, words)))


def test_only_the_small_files_are_taken_over(run, tmp_path):
    place = results.add(run, tmp_path / "results")
    found = sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())
    assert found == ["result.json", "seed-0/predictions.npz", "seed-1/predictions.npz"]
    again = results.add(run, tmp_path / "results")
    assert again == place and place.name == "av_att-code-rendered" and place.parent.name == "ave"


def test_figures_are_those_of_the_predictions(run):
    result = results.read_result(run)
    assert result.recomputed() == result.scores


def test_the_same_results_give_the_same_bytes_and_a_changed_figure_another(run, tmp_path):
    out, folder = tmp_path / "RESULTS.md", tmp_path / "results"
    assert command("--add", run, "--results", folder, "--out", out) == 0
    first = out.read_bytes()
    assert command("--results", folder, "--out", out) == 0
    assert out.read_bytes() == first
    path = folder / "ave" / "av_att-code-rendered" / "result.json"
    content = json.loads(path.read_text())
    content["seeds"][0]["test"] += 0.1
    path.write_text(json.dumps(content))
    assert command("--results", folder, "--out", out) == 0
    assert out.read_bytes() != first


def test_every_row_of_every_paper_is_there(run):
    text = results.as_markdown([results.read_result(run)])
    scores = results.read_result(run).scores
    mean, deviation = 100 * np.mean(scores), 100 * np.std(scores, ddof=1)
    rows = [line for line in text.splitlines() if f"{mean:.1f} +- {deviation:.1f} (2 seeds)" in line]
    assert [line.split("|")[1].strip() for line in rows] == ["A+V-att", "Concat late"]
    assert all("rendered test bed, 3 clips" in line and line.rstrip(" |").endswith("[1]") for line in rows)
    # A figure on made-up clips does not take the place of one on the paper's data.
    assert text.count("not run: needs") == 189
    (made,) = [line for line in text.splitlines() if "`python -m ave.train --seeds 2`" in line]
    assert "2026-01-02" in made and "fedcba987654" in made and "0123456789ab" in made


def test_parity_section_has_what_was_measured(run, tmp_path):
    folder = tmp_path / "results"
    results.add(run, folder)
    (folder / "parity.json").write_text('{"av_att.npz attention": {"difference": 6.0e-8, "allowed": 1e-5}}')
    assert command("--results", folder, "--out", tmp_path / "RESULTS.md") == 0
    text = (tmp_path / "RESULTS.md").read_text()
    assert "6.0e-08" in text and "1e-05" in text and "av_att.npz" in text


def test_smoke_runs_never_enter(tmp_path):
    with pytest.raises(InputError, match="smoke run.*train it to the end"):
        results.add(write_run(tmp_path / "run", smoke=True), tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_figures_that_the_predictions_do_not_give_never_enter(tmp_path):
    run = write_run(tmp_path / "run", seeds=[{"seed": 0, "test": 0.99}, {"seed": 1, "test": 0.5}])
    with pytest.raises(InputError, match="figures are not those of its predictions"):
        results.add(run, tmp_path / "results")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "is no result of a finished run"),
        ("not JSON", "is no result of a finished run"),
        ('{"paper": "ave"}', "lacks dataset, metric"),
        (json.dumps({**CONTENT, "seeds": [], "metric": "luck"}), "measures 'luck'; known are"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path, text, says):
    if text is not None:
        (tmp_path / "result.json").write_text(text)
    with pytest.raises(InputError, match=says):
        results.read_result(tmp_path)


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path, capsys):
    assert command("--results", tmp_path / "none", "--out", tmp_path / "RESULTS.md") == 2
    assert "is no folder of results" in capsys.readouterr().err and not (tmp_path / "RESULTS.md").exists()
