"""What the training commands share: defaults that follow preset and data, folders, words on the test bed."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from avpipeline.training.settings import TrainSettings, preset_defaults, tell_test_bed


@dataclasses.dataclass(frozen=True)
class Settings(TrainSettings):
    paper: ClassVar[str] = "thing"

    model: str = "plain"
    preset: str = "code"
    dataset: str = "rendered"


def settings_for(model, preset, dataset):
    if model not in ("plain", "deep"):
        raise ValueError(f"unknown model {model!r}")
    return Settings(model, preset, dataset=dataset)


@pytest.mark.parametrize(
    ("words", "model", "preset", "dataset"),
    [
        ((), "plain", "code", "rendered"),
        (("--data", "x"), "plain", "code", "real"),
        (("--model", "deep", "--preset=paper", "--seeds", "3"), "deep", "paper", "rendered"),
        (("--data", "x", "--dataset", "other"), "plain", "code", "other"),
        (("--model", "none", "--data", "x"), "plain", "code", "rendered"),
    ],
)
def test_defaults_follow_model_preset_and_data(words, model, preset, dataset):
    found = preset_defaults(words, settings_for, unchanged=Settings(), with_data="real")
    assert found == Settings(model, preset, dataset=dataset)


def test_a_run_has_its_folder_and_its_seeds():
    assert Settings("deep", "paper").folder == Path("runs/thing/deep-paper")
    assert Settings(out=Path("here")).folder == Path("here")
    assert list(Settings(seed=3, seeds=2).all_seeds) == [3, 4]


def test_the_test_bed_is_told_with_the_sizes_that_the_run_has(capsys):
    settings = SimpleNamespace(network=SimpleNamespace(units=4, depth=2), training=SimpleNamespace(epochs=1))
    tell_test_bed(settings, ("units", "epochs"))
    assert capsys.readouterr().out.endswith("published sizes: units 4, epochs 1\n")
