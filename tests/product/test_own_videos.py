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


SECTION = (ROOT / "docs/own_videos.md").read_text(encoding="utf-8").split("\n## ")[2]
PROGRAM = re.search(r"```python\n(.*?)```", SECTION, re.S)[1]
# Paper -> its lines.
COMMANDS = dict(re.findall(r"<!-- run (\w+) -->\n```\n(.*?)```", SECTION, re.S))

pytestmark = pytest.mark.trained


@pytest.fixture(scope="module")
def run_lines(reference_dir, tmp_path_factory):
    """Function of a paper that runs its lines in the folder of the example; what each of them said."""
    folder = tmp_path_factory.mktemp("own_videos")
    for name, real in VIDEOS.items():
        (folder / name).symlink_to(reference_dir / "media" / real)
    (folder / "weights").mkdir()
    for name in ("yamnet.tflite", "yamnet_class_map.csv"):
        (folder / "weights" / name).symlink_to(reference_dir / "real" / name)
    (folder / "cut.py").write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(paper):
        said = []
        for line in COMMANDS[paper].splitlines():
            python, *words = shlex.split(line)
            assert python == "python"
            started = {"cwd": folder, "env": environment, "timeout": 600}
            done = subprocess.run([sys.executable, *words], capture_output=True, text=True, **started)
            assert done.returncode == 0, (line, done.stderr[-1000:])
            said.append(done.stdout)
        return said

    return run


@pytest.fixture(scope="module")
def ave(run_lines):
    """What the lines said that cut the clips, extract their features, train A+V-att and apply it."""
    return run_lines("ave")


def score(said, unit):
    return float(re.search(rf"{unit} accuracy ([\d.]+) % \(1 seed\)", said)[1])


def dog_seconds(said):
    labels = dict(re.findall(r"^(\d+)-\d+\s+[\d.]+\s+(\w+)", said, re.M))
    return {int(second) for second, label in labels.items() if label == "dog"}


def test_a_model_of_ones_own_clips(ave):
    # Background alone would be right in 80 % of the seconds.
    assert score(ave[-2], "segment") > 80
    assert dog_seconds(ave[-1]) == {7, 8}


def test_jca_on_the_same_features(ave, run_lines):
    trained, predicted = run_lines("jca")
    assert score(trained, "segment") > 80
    assert "jca, preset code" in predicted and len(re.findall(r"^\d+-\d+ ", predicted, re.M)) == 10


def test_mafnet_on_an_audio_map_and_averaged_frames(ave, run_lines):
    _, trained, predicted = run_lines("mafnet")
    # One of three classes.
    assert score(trained, "video") > 34
    assert re.search(r"^[\d.]+ +dog$", predicted, re.M)
