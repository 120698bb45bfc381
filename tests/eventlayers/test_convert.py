"""torchvision's checkpoints through the command."""

import functools

import keras
import numpy as np
import pytest

from avpipeline.features.mc3 import build_video_classifier
from eventlayers import convert
from tests.helpers.commands import run_command
from tests.helpers.video_checkpoints import randomized, torch_state, write

SIZES = {"frames": 3, "size": 8}


@pytest.fixture(scope="module")
def classifier():
    return randomized(build_video_classifier("mc3_18", **SIZES))


@pytest.fixture(scope="module")
def checkpoint(classifier, tmp_path_factory):
    return write(tmp_path_factory.mktemp("weights") / "mc3_18.pth", torch_state(classifier))


command = functools.partial(run_command, convert)


def test_it_writes_a_model_that_keras_loads(checkpoint, classifier, tmp_path, capsys):
    out = tmp_path / "out" / "mc3.keras"
    assert command(checkpoint, out, "--frames", 3, "--size", 8) == 0
    assert "mc3_18, 11,695,440 trainable parameters" in capsys.readouterr().out
    clip = np.random.default_rng(1).standard_normal((2, 3, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(keras.models.load_model(out)(clip), classifier(clip), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["out.txt"], "must end in .keras"),
        (["out.keras", "--frames", "0"], "--frames 0: must be a whole number from 1 to 1000000"),
        (["out.keras", "--network", "r2plus1d_18", "--frames", "3", "--size", "8"], "is no checkpoint of r2plus1d_18"),
    ],
)
def test_it_refuses_in_one_sentence_and_writes_nothing(arguments, sentence, checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command(checkpoint, *arguments) == 2
    error = capsys.readouterr().err.strip()
    assert sentence in error and len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())
