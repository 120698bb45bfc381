"""What a result says of how it was obtained: command, commit, and the hash of the code."""

import subprocess
import sys

import ave  # noqa: F401  in use
import jca  # noqa: F401
from avpipeline.training import record


def test_code_is_known_by_the_names_and_contents_of_its_files(tmp_path, monkeypatch):
    folder = tmp_path / "somepaper"
    folder.mkdir()
    hashes = []
    for name, text in (("__init__.py", ""), ("layers.py", "a"), ("layers.py", "b"), ("notes.txt", "no code")):
        (folder / name).write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        record._hash_of.cache_clear()
        hashes.append(record._hash_of("somepaper"))
    record._hash_of.cache_clear()
    assert len(set(hashes)) == 3 and hashes[2] == hashes[3] and all(len(each) == 12 for each in hashes)
    assert "avpipeline" in record.code() and "tests" not in record.code()


def test_what_differs_is_named():
    now = record.code()
    assert list(now)[0] == "avpipeline" and {"ave", "jca"} <= now.keys()
    assert record.different_code({**now, "a paper that is not in use": "d"}) == []
    assert record.different_code({"avpipeline": "x", "ave": now["ave"]}) == ["avpipeline"]
    # Earlier versions did not say.
    assert record.different_code(None) == record.different_code({}) == list(now)


def test_commit_is_that_of_this_codes_checkout_only(tmp_path):
    """Installed into a virtual environment inside of somebody else's checkout, the code has none."""

    def git(*words):
        name = ("-c", "user.name=n", "-c", "user.email=e")
        done = subprocess.run(["git", *name, *words], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    here = tmp_path / "record.py"
    here.write_text("")
    git("init")
    git("commit", "--allow-empty", "-m", "theirs")
    assert record._commit(here) is None
    git("add", "record.py")
    git("commit", "-m", "ours")
    assert record._commit(here) == git("rev-parse", "HEAD")
    here.write_text("changed")
    assert record._commit(here) == git("rev-parse", "HEAD") + "+"


def test_command_says_what_changes_rounding_where_it_was_set(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/train.py", "--out", "my runs"])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    assert record._command() == "python train.py --out 'my runs'"
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    assert record._command() == "TF_NUM_INTRAOP_THREADS=1 python train.py --out 'my runs'"
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    assert record._command().startswith("TF_NUM_INTRAOP_THREADS=1 TF_ENABLE_ONEDNN_OPTS=1 python train.py")
