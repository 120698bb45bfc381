"""A model published as a folder and on a Hub of this process, and loaded from both."""

import inspect
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import jca.publish
from avpipeline.errors import InputError
from avpipeline.results.publish import PublishSettings, publish
from avpipeline.training import hub
from avpipeline.training.saved import load_model
from jca.train import PAPER
from tests.helpers.commands import refused, run_command
from tests.helpers.finished_runs import write_run
from tests.helpers.small_networks import saved_small


class Answer(Exception):
    """An error status of the Hub."""

    def __init__(self, status):
        super().__init__(f"{status} of the Hub")
        self.response = SimpleNamespace(status_code=status)


class Hub:
    """The part of huggingface_hub.HfApi that is used: repositories are folders, the cache another one."""

    def __init__(self, root: Path, failure: Exception | None = None, size: int | None = None):
        self.root, self.failure, self.size, self.made = root, failure, size, []

    def create_repo(self, repo_id, *, private=None, exist_ok=False):
        if self.failure:
            raise self.failure
        self.made.append((repo_id, private, exist_ok))

    def upload_folder(self, *, repo_id, folder_path, commit_message=None, ignore_patterns=None):
        shutil.copytree(folder_path, self.root / repo_id, ignore=shutil.ignore_patterns(*ignore_patterns))
        return SimpleNamespace(commit_url=f"https://hub/{repo_id}/commit/1")

    def get_paths_info(self, repo_id, paths, *, revision=None):
        if self.failure:
            raise self.failure
        found = [self.root / repo_id / path for path in paths]
        return [SimpleNamespace(size=self.size or path.stat().st_size) for path in found if path.is_file()]

    def hf_hub_download(self, repo_id, filename, *, revision=None, local_files_only=False):
        cached = self.root / "cache" / repo_id / str(revision) / filename
        if local_files_only and not cached.is_file():
            raise FileNotFoundError("nothing cached")
        if not local_files_only:
            cached.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.root / repo_id / filename, cached)
        return str(cached)


@pytest.fixture
def run(tmp_path):
    folder = write_run(tmp_path / "run", {3: 0.5, 4: 0.7}, paper="jca", model="jca", smoke=True, unlike=["its data"])
    for seed in (3, 4):
        saved_small(folder / f"seed-{seed}" / "best.keras", "jca")
    return folder


def test_a_folder_holds_all_that_is_needed(run, tmp_path, capsys):
    out = tmp_path / "out"
    assert run_command(jca.publish, run, "--to", out, "--seed", 4, "--licence", "mit") == 0
    assert f"are in {out}" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "model.keras", "result.json"]
    model, info = load_model(out, paper="jca")
    direct, _ = load_model(run / "seed-4" / "best.keras")
    for mine, theirs in zip(model.get_weights(), direct.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert json.loads((out / "result.json").read_text()) == json.loads((run / "result.json").read_text())
    card = (out / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: keras\nlicense: mit\ntags:\n- audio-visual-fusion\n- jca\n")
    for part in (
        'model, info = load_model("out")',
        'preset "code", of *Recursive fusion by joint co-attention*',
        "| segment accuracy % | rendered, test split (4 clips) | 70.00 (seed 4) | 60.00 +- 14.14 (2 seeds) |",
        "python -m jca.train --seeds 2\n",
        "commit cccccccccccc",
        "Trained on synthetic clips",
        "A smoke run",
        "No row of the paper: its data.",
        "vggish:embedding | audioset",
        "Network behind the audio features: vggish, Apache-2.0 (Google).",
        "Weights: mit.",
        "5 classes: a, b, c, d, e.",
    ):
        assert part in card, part
    # The same command again replaces its own files.
    assert run_command(jca.publish, run, "--to", out) == 0
    card = (out / "README.md").read_text()
    assert "license:" not in card and "states no licence" in card and "50.00 (seed 3)" in card


def test_to_the_hub_and_back(run, tmp_path, capsys, monkeypatch):
    api, out = Hub(tmp_path / "hub"), tmp_path / "out"
    publish(PAPER, PublishSettings(run, "hf://me/jca", private=True, out=out), api)
    assert api.made == [("me/jca", True, True)]
    assert "Uploaded: https://hub/me/jca/commit/1" in capsys.readouterr().out
    assert 'load_model("hf://me/jca")' in (tmp_path / "hub" / "me" / "jca" / "README.md").read_text()
    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(HfApi=lambda: api))
    # A path of a command line loses a slash.
    for name in ("hf://me/jca", Path("hf://me/jca"), "hf://me/jca@v1.0"):
        model, info = load_model(name, paper="jca")
        assert info.model == "jca"
    # Out of reach, the cache serves; what is not in it, cannot.
    api.failure = ConnectionError("no route")
    assert load_model("hf://me/jca")[1] == info
    with pytest.raises(InputError, match=r"hf://me/other: the Hugging Face Hub is not reached \(no route\)"):
        load_model("hf://me/other")
    # A stranger's file goes through the same reader as any other.
    api.failure = None
    (tmp_path / "hub" / "me" / "jca" / "model.keras").write_bytes(b"no zip")
    with pytest.raises(InputError, match="model.keras: is not a .keras model"):
        load_model("hf://me/jca")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"failure": Answer(404)}, r"has no such model, or not for you \(404 of the Hub\)"),
        ({"size": 1 << 40}, "its model.keras has 1,099,511,627,776 bytes"),
        ({}, "has no model.keras"),
    ],
)
def test_what_the_hub_does_not_have(tmp_path, changes, sentence):
    api = Hub(tmp_path, **changes)
    if "size" in changes:
        (tmp_path / "me" / "big").mkdir(parents=True)
        (tmp_path / "me" / "big" / "model.keras").write_bytes(b"")
    with pytest.raises(InputError, match=sentence):
        hub.download(hub.Repository("me/big"), api)
    assert not (tmp_path / "cache").exists()


def test_without_a_network_the_folder_is_complete(run, tmp_path):
    api, out = Hub(tmp_path / "hub", ConnectionError("no route")), tmp_path / "out"
    with pytest.raises(InputError, match=r"hf://me/jca: nothing was uploaded \(no route\), but .*out is complete"):
        publish(PAPER, PublishSettings(run, "hf://me/jca", out=out), api)
    assert load_model(out)[1].paper == "jca"


def test_what_cannot_be_published_is_one_sentence(run, tmp_path, capsys):
    out = tmp_path / "out"
    refused(jca.publish, [run, "--to", out, "--seed", 5], "--seed 5: was not trained; ", capsys, out)
    refused(jca.publish, [run, "--to", out, "--licence", "My own"], "--licence My own: is no name", capsys, out)
    refused(jca.publish, [tmp_path, "--to", out], "holds no run", capsys, out)
    refused(jca.publish, [run, "--to", "hf://me", "--out", out], "hf://me: names no model", capsys, out)
    refused(jca.publish, [run, "--to", "hf://me/a@../b", "--out", out], "names no model", capsys, out)
    refused(jca.publish, [run, "--to", "hf://me/a@v1", "--out", out], "leave out @v1", capsys, out)
    (run / "seed-3" / "best.keras").unlink()
    refused(jca.publish, [run, "--to", out], "best.keras: no such file", capsys, out)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("kept")
    assert run_command(jca.publish, run, "--to", tmp_path / "full") == 2
    assert "full: holds other files (mine.txt)" in capsys.readouterr().err


def test_the_hub_of_the_tests_takes_what_huggingface_hub_takes():
    api = pytest.importorskip("huggingface_hub", reason='needs pip install "audio-visual-fusion[hub]"').HfApi
    for name in ("create_repo", "upload_folder", "get_paths_info", "hf_hub_download"):
        real = inspect.signature(getattr(api, name)).parameters
        assert set(inspect.signature(getattr(Hub, name)).parameters) <= set(real), name
