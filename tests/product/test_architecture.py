"""docs/architecture.md: its worked examples are carried out on a copy of the packages, word for word, and work."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers.imports import PACKAGES, ROOT, levels, room_arrows
from tests.helpers.video_files import write_shards

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"<!-- (?P<file>\S+?)(?P<append> append)? -->\n```\w+\n(?P<code>.*?)```", re.S)
RUN = """
import json
import sys
import ave, mypaper.train
import ave.compare, ave.evaluate, ave.predict, ave.tables, ave.train, mafnet.train
from avpipeline import validate
from avpipeline.cli import run
from avpipeline.datasets import load_video_split
from avpipeline.datasets.rendered import rendered_clips
from tests.helpers.few_clips import rendered_defaults

clips, out = sys.argv[1:]
mine, data = ["--import", "mymodels.py", "--import=myfusion.py"], ["--import", "mydata.py"]
short = ["--epochs", "1", "--batch-size", "5"]

def check(command, *words, defaults=None):
    assert run(command.main, prog="it", argv=words, defaults=defaults) == 0, words

# The clips that other tests have rendered.
with rendered_defaults(train=10, val=4, test=4):
    check(mypaper.train, *short, "--out", f"{out}/mypaper", defaults=mypaper.train.PAPER.defaults)
    for name in ("pooled", "mean_late"):
        words = ["--model", name, *mine, *short, "--out", f"{out}/{name}"]
        check(ave.train, *words, defaults=ave.train.PAPER.defaults)
        weights = ["--weights", f"{out}/{name}/seed-0/best.keras", *mine]
        check(ave.evaluate, *weights, "--out", f"{out}/{name}-evaluated")
        clip = rendered_clips().paths("test")[0]
        check(ave.predict, str(clip), *weights, "--out", f"{out}/{name}-predicted")
        predicted = json.load(open(f"{out}/{name}-predicted/{clip.stem}.json"))
        assert (predicted["model"]["model"], len(predicted["segments"])) == (name, 10)
    check(ave.compare, f"{out}/pooled", f"{out}/mean_late", "--out", f"{out}/compared")
    assert "mean_late" in open(f"{out}/compared/comparison.md").read()
    words = ["--table", "Table 1", "--rows", "A", "mean_late", "--epochs", "1", "--out", f"{out}/tables"]
    check(ave.tables, *words, *mine)
    rows = json.load(open(f"{out}/tables/result.json"))["rows"]
    assert [(row["row"], row["value"]) for row in rows] == [("A", ""), ("mean_late", "")]
    assert rows[1]["unlike"][0] == "'mean_late' is a model of your own"
assert {"mean_early", "mean_late", "mean_decision", "av_small", "pooled"} <= {*ave.MODELS}
assert "motion" in ave.build_model("av_small", num_classes=3, num_segments=2).input
assert ave.build_model("pooled", num_classes=3, num_segments=2).output.shape == (None, 2, 3)
assert not ave.train.PAPER.rows_of("mean_late")

check(validate, "class_files", clips, *data)
split = load_video_split("class_files", "train", clips, modalities=["audio"])
assert split.class_names == ("cat", "dog") and split.labels.tolist() == [[1, 0], [0, 1], [0, 1]]
words = ["--dataset", "class_files", "--data", clips, "--model", "dmrn_vgg", "--epochs", "1", "--out", f"{out}/mafnet"]
check(mafnet.train, *words, *data, defaults=mafnet.train.PAPER.defaults)
"""


def test_what_the_page_counts_is_so():
    arrows = room_arrows()
    assert f"{len(arrows)} rooms" in PAGE and f"on {max(levels(arrows).values())} levels" in PAGE


def carried_out(folder):
    """A copy of the packages, beside it every example of the page."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    blocks = list(BLOCK.finditer(PAGE))
    assert len(blocks) == PAGE.count("\n```python") + PAGE.count("\n```csv") >= 7
    for block in blocks:
        path = folder / block["file"]
        assert path.exists() == bool(block["append"]), path
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(block["code"])
    return folder


@pytest.fixture
def clips(tmp_path):
    """A cat and two dogs in training, one of each in the other splits: lists, and features of their clips."""
    folder, ids = tmp_path / "clips", []
    for split, dogs in (("train", ["rex", "fido"]), ("val", ["laika"]), ("test", ["lassie"])):
        (folder / split).mkdir(parents=True)
        (folder / split / "dog.txt").write_text("".join(f"{name}\n" for name in dogs))
        (folder / split / "cat.txt").write_text(f"tom_{split}\n")
        ids += [f"tom_{split}", *dogs]
    return write_shards(folder, ids)


@pytest.mark.slow
def test_the_worked_examples_work(tmp_path, clips):
    folder = carried_out(tmp_path / "copy")
    # The copy comes before the checkout, which has the tests.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (folder, ROOT)))}
    words = [sys.executable, "-c", RUN, str(clips), str(tmp_path / "run")]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "segment accuracy" in done.stdout and "smoke: 1 of 2 epochs" in done.stdout
    # Only our result, of models in no row of the paper.
    assert "mean_late, preset code; ours selected on validation:\n\nsegment accuracy" in done.stdout
    assert "Nothing is wrong" in done.stdout or "Complete and usable" in done.stdout
    with np.load(tmp_path / "run" / "mypaper" / "seed-0" / "predictions.npz") as file:
        assert file["predictions"].shape[1:] == (10, 9)
