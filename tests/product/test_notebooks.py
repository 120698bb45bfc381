"""The notebooks: each runs from clean, within its time, and is stored as it ran."""

import ast
import json
import time
from pathlib import Path

import pytest

PAPERS = ("ave", "mafnet", "jca", "attendfusion", "eventlayers")
FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SECONDS = 180


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def code(notebook) -> list[dict]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_there_is_one_for_each_paper_and_one_for_a_video():
    papers = [name for name in PAPERS if (FOLDER.parent / name).is_dir()]
    assert [path.stem for path in NOTEBOOKS] == sorted(["0_your_own_video", *papers])


@by_name
def test_it_is_stored_as_it_ran(path):
    """Every cell was run once, in order, without an error, and pictures are there to be read without running it."""
    notebook = read(path)
    assert [cell["execution_count"] for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))
    outputs = [output for cell in code(notebook) for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    pictures = [output for output in outputs if {"image/png", "image/jpeg"} & output.get("data", {}).keys()]
    assert len(pictures) >= 2 and path.stat().st_size < 1_500_000


@by_name
def test_it_calls_the_package_and_defines_no_layer(path):
    sources = "\n".join("".join(cell["source"]) for cell in code(read(path)))
    assert not [node for node in ast.walk(ast.parse(sources)) if isinstance(node, ast.ClassDef)]
    assert ".fit(" in sources


@by_name
def test_it_says_how_to_take_the_real_data(path):
    notebook = read(path)
    last = "".join(notebook["cells"][-1]["source"])
    assert notebook["cells"][-1]["cell_type"] == "markdown" and "two lines" in last and "```python" in last


@by_name
def test_it_names_no_place_of_the_machine_that_ran_it(path):
    text = path.read_text(encoding="utf-8")
    assert "/root/" not in text and "/home/" not in text and "/work/" not in text and "/tmp/" not in text


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory):
    """One cache for all, as a user has: the clips are rendered once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVPIPELINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        # They run one after the other and may have every core; stored commands name both variables.
        patch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
        patch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
        from avpipeline.datasets import load_split

        for name in ("train", "val", "test"):
            load_split("rendered", name)
        yield


@pytest.mark.notebooks
@by_name
def test_it_runs_from_clean(path, shared_cache, tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    start = time.monotonic()
    client = nbclient.NotebookClient(
        notebook, timeout=2 * SECONDS, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    assert time.monotonic() - start < SECONDS
