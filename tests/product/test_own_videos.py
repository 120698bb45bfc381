"""docs/own_videos.md, run as it is written, on four real videos."""

import os
import re
import shlex
import subprocess
import sys

import pytest

from tests.helpers.imports import ROOT

# What the example calls its videos -> real ones: a dog that barks, a guitar, a woman who speaks, a kitchen.
VIDEOS = {
    "dog.mp4": "BjCEufrlXm4.mp4",
    "guitar.mp4": "16eUxQwxxbs.mp4",
    "speech.mp4": "0lFf-HP86Q0.mp4",
    "kitchen.mkv": "decord_flipping_a_pancake.mkv",
}


def example() -> tuple[str, list[str]]:
    """The program of section 2, and the lines to run."""
    section = (ROOT / "docs/own_videos.md").read_text(encoding="utf-8").split("\n## ")[2]
    program = re.search(r"```python\n(.*?)```", section, re.S)[1]
    commands = re.search(r"```\n(python cut\.py\n.*?)```", section, re.S)[1]
    return program, commands.splitlines()


@pytest.mark.trained
def test_a_model_of_ones_own_clips(reference_dir, tmp_path):
    for name, real in VIDEOS.items():
        (tmp_path / name).symlink_to(reference_dir / "media" / real)
    (tmp_path / "weights").mkdir()
    for name in ("yamnet.tflite", "yamnet_class_map.csv"):
        (tmp_path / "weights" / name).symlink_to(reference_dir / "real" / name)
    program, commands = example()
    (tmp_path / "cut.py").write_text(program)
    said = []
    for command in commands:
        python, *words = shlex.split(command)
        assert python == "python"
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, (command, done.stderr[-1000:])
        said.append(done.stdout)
    accuracy = float(re.search(r"segment accuracy ([\d.]+)", said[-2])[1])
    labels = dict(re.findall(r"^(\d+)-\d+\s+[\d.]+\s+(\w+)", said[-1], re.M))
    # Background alone would be right in 80 % of the seconds.
    assert accuracy > 80
    assert {second for second, label in labels.items() if label == "dog"} == {"7", "8"}
