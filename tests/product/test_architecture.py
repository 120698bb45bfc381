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
WHERE = r'<!-- (?P<file>\S+?)(?: (?P<how>before|after|append)(?: "(?P<mark>.+?)")?)? -->'
BLOCK = re.compile(WHERE + r"\n```\w+\n(?P<code>.*?)```", re.S)
RUN = """
import sys
import ave, mypaper.train
from avpipeline.cli import run
from avpipeline.datasets import load_video_split
from ave.train import PAPER as AVE

assert {"mean_early", "mean_late", "mean_decision", "av_small"} <= {*ave.MODELS}
for name in ("mean_late", "av_small"):
    model = ave.build_model(name, num_classes=3, num_segments=2)
    assert model.output.shape == (None, 2, 3), name
assert "motion" in ave.build_model("av_small").input and not AVE.rows_of("mean_late")
split = load_video_split("class_files", "train", sys.argv[1], modalities=["audio"])
assert split.class_names == ("cat", "dog") and split.labels.tolist() == [[1, 0], [0, 1], [0, 1]]
from tests.helpers.few_clips import rendered_defaults

# The clips that other tests have rendered.
with rendered_defaults(train=10, val=4, test=4):
    words = ["--epochs", "1", "--batch-size", "5", "--out", sys.argv[2]]
    assert run(mypaper.train.main, prog="mypaper", argv=words, defaults=mypaper.train.PAPER.defaults) == 0
"""


def test_what_the_page_counts_is_so():
    arrows = room_arrows()
    assert f"{len(arrows)} rooms" in PAGE and f"on {max(levels(arrows).values())} levels" in PAGE


def carried_out(folder):
    """A copy of the packages in which every example of the page was carried out."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    blocks = list(BLOCK.finditer(PAGE))
    assert len(blocks) == PAGE.count("\n```python") + PAGE.count("\n```csv") >= 10
    for block in blocks:
        path, how, mark, code = folder / block["file"], block["how"], block["mark"], block["code"]
        if how is None:
            assert not path.exists(), path
            path.parent.mkdir(exist_ok=True)
            path.write_text(code, encoding="utf-8")
            continue
        text = path.read_text(encoding="utf-8")
        if how == "append":
            path.write_text(text + code, encoding="utf-8")
            continue
        assert text.count(f"\n{mark}") == 1, (path, mark)
        line = f"\n{mark}"
        changed = f"\n{code}{mark}" if how == "before" else f"{line}\n{code.rstrip()}"
        path.write_text(text.replace(line, changed), encoding="utf-8")
    return folder


@pytest.fixture
def clips(tmp_path):
    """Two dogs and a cat: lists, and features of their sound."""
    folder = tmp_path / "clips"
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "dog.txt").write_text("rex\nfido\n")
    (folder / "train" / "cat.txt").write_text("tom\n")
    return write_shards(folder, ["tom", "rex", "fido"])


def test_the_worked_examples_work(tmp_path, clips):
    folder = carried_out(tmp_path / "copy")
    # The copy comes before the checkout, which has the tests.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (folder, ROOT)))}
    words = [sys.executable, "-c", RUN, str(clips), str(tmp_path / "run")]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "segment accuracy" in done.stdout and "smoke: 1 of 2 epochs" in done.stdout
    with np.load(tmp_path / "run" / "seed-0" / "predictions.npz") as file:
        assert file["predictions"].shape[1:] == (10, 9)
