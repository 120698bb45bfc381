"""Every command starts, as `python -m ave.train` and as `python ave/train.py`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import avpipeline

ROOT = Path(__file__).resolve().parents[2]
PAPERS = ("ave", "mafnet", "jca", "attendfusion", "eventlayers")
# A paper's files that are commands end alike; `avpipeline` has some that are started by `-m` only.
COMMANDS = sorted(
    path.relative_to(ROOT)
    for package in PAPERS
    for path in (ROOT / package).glob("*.py")
    if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
)
# One process starts all of them as Python itself would, because each start of TensorFlow takes seconds.
STARTER = """
import contextlib, io, json, runpy, sys
from pathlib import Path
said = {}
for name in json.loads(sys.argv[1]):
    module = name.removesuffix(".py").replace("/", ".")
    ways = {
        "module": lambda: runpy.run_module(module, run_name="__main__", alter_sys=True),
        "script": lambda: runpy.run_path(name, run_name="__main__"),
    }
    for way, start in ways.items():
        sys.argv = [name, "--version"]
        sys.path[0] = "" if way == "module" else str(Path(name).parent.resolve())
        text = io.StringIO()
        try:
            with contextlib.redirect_stdout(text):
                start()
            status = "no exit"
        except SystemExit as error:
            status = error.code
        said[f"{name} {way}"] = [status, text.getvalue().strip()]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said():
    words = [sys.executable, "-c", STARTER, json.dumps(list(map(str, COMMANDS)))]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("way", ["module", "script"])
@pytest.mark.parametrize("path", COMMANDS, ids=str)
def test_every_command_starts(said, path, way):
    module = ".".join(path.with_suffix("").parts)
    assert said[f"{path} {way}"] == [0, f"python -m {module} {avpipeline.__version__}"]


def test_every_paper_has_its_commands():
    for paper in PAPERS:
        names = {path.stem for path in COMMANDS if path.parts[0] == paper}
        assert {"train", "evaluate", "predict", "tables"} <= names, paper


def test_script_alone():
    done = subprocess.run([sys.executable, "ave/train.py", "--version"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"python -m ave.train {avpipeline.__version__}"
