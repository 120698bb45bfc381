"""A command killed at any point and started again ends with what an uninterrupted one writes, and nothing besides.

`pytest -m kills` takes some twenty minutes. A kill is SIGKILL just before a file that was written is put in its place,
where the most is at stake: the file lies there under its temporary name, and whatever comes after it does not exist.
"""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
# Command -> its words, and after which shares of its files it is killed.
COMMANDS = {
    "avpipeline.extract": (
        ["clips", "out", "--features", "small_visual,small_audio", "--format", "h5", "--shard-size", "2"],
        (0.2, 0.4, 0.6, 0.9),
    ),
    "ave.train": (["--epochs", "3", "--validate-every", "1", "--out", "out"], (0.2, 0.5, 0.9)),
    "mafnet.train": (["--epochs", "3", "--out", "out"], (0.3, 0.6, 0.9)),
    "jca.train": (["--epochs", "3", "--validate-every", "1", "--out", "out"], (0.3, 0.7)),
    "attendfusion.train": (["--epochs", "3", "--out", "out"], (0.4, 0.8)),
    "eventlayers.train": (["--epochs", "2", "--out", "out"], (0.2, 0.5, 0.8)),
    "ave.tables": (
        ["--table", "Table 2", "--rows", "Additive early", "Concat early", "--epochs", "2", "--out", "out"],
        (0.3, 0.6, 0.95),
    ),
}
POINTS = [(command, share) for command, (_, shares) in COMMANDS.items() for share in shares]
# A command on few synthetic clips, which kills itself before the file number KILL_AT; argv is recorded by runs.
DRIVER = """
import importlib, json, os, signal, sys
sys.path.insert(0, {root!r})
module, words, kill_at = sys.argv[1], json.loads(sys.argv[2]), int(os.environ["KILL_AT"])
from tests.helpers.commands import run_command
from tests.helpers.few_clips import rendered_defaults
put, done = os.replace, 0
def count(source, target, **more):
    global done
    if os.path.abspath(target).startswith(os.path.abspath("out")):
        done += 1
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
    put(source, target, **more)
os.replace = count
with rendered_defaults(train=36, val=4, test=4):
    status = run_command(importlib.import_module(module), *words)
print("put in place:", done)
raise SystemExit(status)
"""


def start(folder: Path, command: str, kill_at: int = 0) -> subprocess.CompletedProcess:
    folder.mkdir(exist_ok=True)
    words = json.dumps(COMMANDS[command][0])
    program = [sys.executable, "-c", DRIVER.format(root=str(ROOT)), command, words]
    surroundings = {**os.environ, "KILL_AT": str(kill_at)}
    return subprocess.run(program, cwd=folder, env=surroundings, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Folder of a command's uninterrupted run and how many files it put in place; each command runs once."""
    done = {}

    def of(command: str) -> tuple[Path, int]:
        if command not in done:
            folder = tmp_path_factory.mktemp(command.replace(".", "_"))
            provide(command, folder)
            ended = start(folder, command)
            assert ended.returncode == 0, ended.stderr
            done[command] = folder, int(ended.stdout.rsplit("put in place:", 1)[1])
        return done[command]

    return of


def provide(command: str, folder: Path) -> None:
    """The clips that extraction reads."""
    if command == "avpipeline.extract":
        from avpipeline.datasets.rendering.clips import render_folder
        from avpipeline.datasets.rendering.storyboards import RenderedSettings

        render_folder(folder / "rendered", RenderedSettings(train=6, val=0, test=0))
        (folder / "rendered" / "clips").rename(folder / "clips")


@pytest.mark.kills
@pytest.mark.parametrize(("command", "share"), POINTS)
def test_killed_and_started_again(command, share, uninterrupted, tmp_path):
    whole, files = uninterrupted(command)
    provide(command, tmp_path)
    killed = start(tmp_path, command, kill_at=max(1, round(share * files)))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = start(tmp_path, command)
    assert again.returncode == 0, again.stderr
    assert_equal_folders(whole / "out", tmp_path / "out")


def assert_equal_folders(expected: Path, given: Path) -> None:
    """Every file of one folder is in the other and says the same.

    TensorBoard's event files are left out: they hold wall-clock times, and each start of a command opens its own.
    """
    names = [
        {str(path.relative_to(folder)) for path in folder.rglob("*") if is_compared(path)}
        for folder in (expected, given)
    ]
    assert names[0] == names[1]
    for name in sorted(names[0]):
        assert said(given / name) == said(expected / name), name


def is_compared(path: Path) -> bool:
    return path.is_file() and not path.name.startswith("events.out")


def said(path: Path):
    """What a file says, without the time at which it was written."""
    if path.suffix == ".json":
        return undated(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".csv":
        rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
        return [{name: value for name, value in row.items() if name != "date"} for row in rows]
    if path.suffix in (".npz", ".npy"):
        arrays = np.load(path, allow_pickle=False)
        arrays = dict(arrays) if path.suffix == ".npz" else {"": arrays}
        return {name: (array.shape, str(array.dtype), array.tobytes()) for name, array in arrays.items()}
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return contents(file)
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
            return {**contents(file), "config": undated(json.loads(archive.read("config.json")))}
    if path.suffix == ".txt":
        return re.sub(r"\.keras, sha256 [0-9a-f]{12}", ".keras", path.read_text(encoding="utf-8"))
    return path.read_bytes()


def undated(value):
    """JSON values without dates, without the memory addresses by which Keras knows shared objects in a .keras file, and
    without that file's hash, which depends on them.
    """
    if isinstance(value, dict):
        own = {"date", "shared_object_id"} | ({"sha256"} if "weights" in value and "paper" in value else set())
        return {name: undated(item) for name, item in value.items() if name not in own}
    return [undated(item) for item in value] if isinstance(value, list) else value


def contents(file: h5py.File) -> dict:
    """Every array of an HDF5 file by name."""
    arrays = {}
    file.visititems(lambda name, item: arrays.update({name: item[()].tobytes()}) if hasattr(item, "shape") else None)
    return arrays
