"""RESULTS.md is what its command writes from results/, and results/ is what its predictions say."""

import json
import statistics
from pathlib import Path

import numpy as np
import pytest

from ave.match import train as match
from ave.match.search import exact_match
from avpipeline.metrics import segment_accuracy
from avpipeline.results import order, page, papers, stored
from eventlayers.readings import computed as computed_event_layers
from tests.helpers.attendfusion_records import recomputed

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "results"
RESULTS = stored.read_results(FOLDER)


def computed(figure: papers.Published, path: Path) -> float:
    """The figure of one file of predictions."""
    if figure.paper == "attendfusion":
        return 100 * recomputed(path)[{"GAP %": "gap", "F1 %": "f1"}[figure.metric]]
    with np.load(path, allow_pickle=False) as file:
        labels, predictions = file["labels"], file["predictions"]
    if figure.paper == "eventlayers":
        return computed_event_layers(figure, labels, predictions)
    place = (figure.table, figure.row)
    if figure.paper == "ave" and place in match.ROWS:
        return 100 * exact_match(labels, predictions, match.ROWS[place][1])
    return 100 * segment_accuracy(labels, predictions)


def figure_of(result: stored.Result) -> papers.Published:
    names = ("paper", "table", "row", "dataset")
    whole = papers.lookup(*(result.content[name] for name in names))
    return next(part for part in whole.parts if part.metric == result.content["metric"])


def name(result: stored.Result) -> str:
    return " ".join(result.content[name] for name in ("paper", "table", "row", "dataset", "metric"))


@pytest.mark.parametrize("result", RESULTS, ids=name)
def test_each_figure_is_recomputed_from_its_predictions(result):
    content = result.content
    files = len(result.predictions) // len(content["seeds"])  # several a seed where a dataset has several splits
    assert files >= 1 and len(result.predictions) == files * len(content["seeds"])
    values = [computed(figure_of(result), path) for path in result.predictions]
    of_seeds = [statistics.fmean(values[start : start + files]) for start in range(0, len(values), files)]
    np.testing.assert_allclose(content["ours"], of_seeds, rtol=0, atol=1e-6)


def test_there_are_three_seeds_of_what_each_paper_is_about():
    """Its main row, its modalities alone, its central ablation."""
    seeds = {(result.content["paper"], result.content["row"]): result.content["seeds"] for result in RESULTS}
    wanted = {
        "ave": ("A+V-att", "A", "V", "A+V", "W-A+V-att", "AVDLN A2V", "AVDLN V2A"),
        "mafnet": ("MAFnet", "audio", "visual", "without attention", "residual block without FiLM in both paths"),
        "jca": ("JCA", "Audio_Only", "Visual_Only", "w/ Co-Attention"),
        "attendfusion": tuple(f"Attend-Fusion{part}" for part in ("", " audio only", " visual only", " no attention")),
        "eventlayers": ("Event-specific layers", "Audio Only", "Vision Only", "Naive AV"),
    }
    for paper, rows in wanted.items():
        for row in rows:
            assert len(seeds[paper, row]) == 3, (paper, row)


def test_no_smoke_run_and_no_uncommitted_code():
    for result in RESULTS:
        assert not result.content["smoke"], name(result)
        assert result.content["commit"] and not result.content["commit"].endswith("+"), name(result)


def test_the_pages_are_written_from_the_folder_byte_by_byte():
    texts = page.texts(FOLDER, RESULTS, order.orders(RESULTS))
    for path, text in zip((ROOT / "RESULTS.md", FOLDER / "README.md"), texts, strict=True):
        assert path.read_bytes() == text.encode(), "run: python -m avpipeline.published"


def test_the_rows_of_the_main_table_rank_as_the_papers():
    """On synthetic clips, which have other difficulties: most of AVE's Table 1, where rows are far apart."""
    (table_1,) = [found for found in order.orders(RESULTS) if (found.paper, found.table) == ("ave", "Table 1")]
    assert table_1.correlation > 0.8


def test_all_files_there_are_small_and_used():
    there = {path for path in FOLDER.rglob("*") if path.is_file()}
    used = {path for result in RESULTS for path in (result.folder / "result.json", *result.predictions)}
    real = {FOLDER / "real_clips" / name for name in ("result.json", "predictions.npz")}
    assert there == {*used, *real, *(FOLDER / name for name in ("parity.json", "README.md", "order.png"))}
    assert sum(path.stat().st_size for path in there) < 5_000_000


def test_parity_is_that_of_every_golden_array():
    """Each difference is within what is allowed, and no system with public code is left out."""
    parity = json.loads((FOLDER / "parity.json").read_text(encoding="utf-8"))
    assert all(measured["difference"] <= measured["allowed"] for measured in parity.values())
    systems = {key.partition(".npz ")[0] for key in parity}
    assert {"av_att", "av_att_weak", "dmrn", "avdln", "mafnet", "jca"} <= systems
