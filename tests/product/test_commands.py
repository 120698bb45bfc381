"""Every command starts, as `python -m ave.train` and as `python ave/train.py`, and without TensorFlow."""

import importlib
import json
import os
import shlex
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import avpipeline
from avpipeline.cli import run

ROOT = Path(__file__).resolve().parents[2]
PAPERS = ("ave", "mafnet", "jca", "attendfusion", "eventlayers")
COMMANDS = sorted(
    path.relative_to(ROOT)
    for package in ("avpipeline", *PAPERS)
    for path in (ROOT / package).rglob("*.py")
    if "    raise SystemExit(run(" in path.read_text(encoding="utf-8")
)
# What takes seconds to import, and no help, version or refused option needs.
HEAVY = ("tensorflow", "keras", "sklearn", "matplotlib", "librosa", "pandas", "scipy", "torch", "jax")
# One process starts all of them as Python itself would.
STARTER = """
import contextlib, io, json, runpy, sys, warnings
from pathlib import Path
# Of commands that another one has imported before.
warnings.simplefilter("ignore", RuntimeWarning)
names, heavy = map(json.loads, sys.argv[1:])
said = {}
for name in names:
    module = name.removesuffix(".py").replace("/", ".").removesuffix(".__main__")
    ways = {
        "module": lambda: runpy.run_module(module, run_name="__main__", alter_sys=True),
        "script": lambda: runpy.run_path(name, run_name="__main__"),
    }
    for way, words in [*((way, "--version") for way in ways), ("module", "--help"), ("module", "--no-such-option")]:
        sys.argv = [name, words]
        sys.path[0] = "" if way == "module" else str(Path(name).parent.resolve())
        out, err = io.StringIO(), io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                ways[way]()
            status = "no exit"
        except SystemExit as error:
            status = error.code
        imported = [each for each in heavy if each in sys.modules]
        said[f"{name} {way} {words}"] = [status, out.getvalue().strip(), err.getvalue().strip(), imported]
print(json.dumps(said))
"""
NAMES = list(map(str, COMMANDS))


def module_of(name: str) -> str:
    return name.removesuffix(".py").replace("/", ".").removesuffix(".__main__")


@pytest.fixture(scope="module")
def said():
    words = [sys.executable, "-c", STARTER, json.dumps(NAMES), json.dumps(HEAVY)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("way", ["module", "script"])
@pytest.mark.parametrize("name", NAMES)
def test_every_command_starts(said, name, way):
    assert said[f"{name} {way} --version"] == [0, f"python -m {module_of(name)} {avpipeline.__version__}", "", []]


@pytest.mark.parametrize("name", NAMES)
def test_help_needs_no_tensorflow_and_ends_with_examples(said, name):
    status, text, error, imported = said[f"{name} module --help"]
    assert (status, error, imported) == (0, "", [])
    assert text.startswith(f"usage: python -m {module_of(name)} ")
    assert text.rpartition("examples:\n")[2].strip().startswith(f"python -m {module_of(name)}")
    assert "(default: None)" not in text


@pytest.mark.parametrize("name", NAMES)
def test_a_mistyped_option_needs_no_tensorflow_and_is_one_sentence(said, name):
    status, text, error, imported = said[f"{name} module --no-such-option"]
    assert (status, text, imported) == (2, "", [])
    assert error.startswith(f"python -m {module_of(name)}: error: ") and "\n" not in error


@pytest.mark.parametrize("paper", PAPERS)
def test_the_help_of_training_shows_what_matters_first(paper, capsys):
    module, lengths = importlib.import_module(f"{paper}.train"), []
    for flag in ("--help", "--help-all"):
        assert run(module.main, prog="it", argv=[flag], defaults=module.PAPER.defaults) == 0
        text = capsys.readouterr().out
        assert all(option in text for option in ("--model", "--epochs", "--batch-size", "--learning-rate"))
        lengths.append(text.count("\n│ --") or text.count("\n  --"))
    assert lengths[0] <= 16 and lengths[0] + 8 <= lengths[1], lengths


@pytest.mark.parametrize("name", NAMES)
def test_every_example_of_the_help_is_understood(name, capsys):
    module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
    examples = module.main.__doc__.partition("Examples:\n")[2].strip().splitlines()
    follow = {"defaults": module.PAPER.defaults} if name.endswith(("train.py", "__main__.py")) else {}

    def main(settings) -> int:
        """Takes the settings and does nothing."""
        return 0

    main.__annotations__ = typing.get_type_hints(module.main, include_extras=True)
    for example in examples:
        python, minus_m, command, *words = shlex.split(example)
        assert (python, minus_m, command) == ("python", "-m", module_of(name))
        assert run(main, prog="it", argv=words, **follow) == 0, capsys.readouterr().err


def test_every_paper_has_its_commands():
    for paper in PAPERS:
        names = {path.stem for path in COMMANDS if path.parts[0] == paper}
        assert {"train", "evaluate", "predict", "tables"} <= names, paper


def test_script_alone():
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "ave/train.py", "--version"]
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"python -m ave.train {avpipeline.__version__}"


def test_an_interrupt_of_the_heavy_imports_is_one_line(tmp_path):
    """Ctrl-C during TensorFlow's import, whatever its compiled code makes of it."""
    (tmp_path / "tensorflow.py").write_text(
        "import signal\n"
        "try:\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "except KeyboardInterrupt as interrupt:\n"
        "    raise ImportError('initialization failed') from interrupt\n"
    )
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    words = [sys.executable, "-m", "ave.train", "--out=out"]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 130 and not (tmp_path / "out").exists()
    assert done.stderr.endswith("error: interrupted; finished work is kept, and the same command resumes from there.\n")
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1


def test_packages_export_their_names_on_first_use():
    code = (
        "import sys, importlib\n"
        f"papers = [importlib.import_module(name) for name in {PAPERS}]\n"
        "assert all(set(paper.__all__) <= set(dir(paper)) and paper.MODELS for paper in papers)\n"
        f"assert not set({HEAVY}) & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    taken: dict = {}
    exec("from ave import *", taken)
    ave = importlib.import_module("ave")
    assert all(taken[name] is getattr(ave, name) for name in ave.__all__) and "build_model" in taken
