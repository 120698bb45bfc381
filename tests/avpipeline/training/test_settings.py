"""What the training commands share: defaults that follow preset and data, folders, seeds, words on synthetic clips."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from avpipeline.errors import InputError
from avpipeline.training.paper import Paper
from avpipeline.training.settings import SeedSettings, TrainSettings


@dataclasses.dataclass(frozen=True)
class Settings(TrainSettings):
    paper: ClassVar[str] = "thing"

    model: str = "plain"
    preset: str = "code"
    dataset: str = "rendered"
    network: SimpleNamespace | None = None
    training: SimpleNamespace | None = None


def model_config(name, preset, **changes):
    if name not in ("plain", "deep"):
        raise ValueError(f"unknown model {name!r}")
    return SimpleNamespace(units=8, depth=2, **changes)


class Thing(Paper):
    name = "thing"
    settings = Settings
    data_default = "real"
    config = SimpleNamespace(
        PRESETS=("code", "paper"),
        ROWS={("Table 1", "Plain"): "plain", ("Table 2", "Plain too"): "plain"},
        RENDERED_MODEL={"width": 4},
        RENDERED_TRAINING={"epochs": 1},
        model_config=model_config,
        train_config=lambda preset, name, epochs=9: SimpleNamespace(epochs=epochs),
    )

    def experiment(self, settings, splits=None):
        raise NotImplementedError


THING = Thing()


@pytest.mark.parametrize(
    ("words", "model", "preset", "dataset"),
    [
        ((), "plain", "code", "rendered"),
        (("--data", "x"), "plain", "code", "real"),
        (("--model", "deep", "--preset=paper", "--seeds", "3"), "deep", "paper", "rendered"),
        (("--data", "x", "--dataset", "other"), "plain", "code", "other"),
    ],
)
def test_defaults_follow_model_preset_and_data(words, model, preset, dataset):
    found = THING.defaults(words)
    assert (found.model, found.preset, found.dataset) == (model, preset, dataset)
    assert found.training.epochs == THING.default_settings(found).training.epochs == (1 if dataset == "rendered" else 9)
    assert hasattr(found.network, "width") == (dataset == "rendered")


def test_a_name_that_does_not_exist_is_left_to_the_parser():
    assert THING.defaults(["--model", "none", "--data", "x"]) == Settings()


def test_a_model_names_its_rows():
    assert THING.rows_of("plain") == [("Table 1", "Plain"), ("Table 2", "Plain too")]
    assert THING.rows_of("deep") == []


def test_a_run_has_its_folder_and_its_seeds():
    assert Settings(model="deep", preset="paper").folder == Path("runs/thing/deep-paper")
    assert Settings(out=Path("here")).folder == Path("here")
    assert list(Settings(seed=3, seeds=2).all_seeds) == [3, 4]


def test_synthetic_clips_are_announced_with_the_sizes_that_the_run_has(capsys):
    settings = THING.settings_for("plain")
    settings.training.epochs = 5
    THING.announce(settings)
    assert capsys.readouterr().out.endswith("instead of the published sizes: width 4, epochs 5\n")
    THING.announce(THING.settings_for("plain", dataset="real"))
    assert not capsys.readouterr().out


def test_the_last_seed_is_a_seed_too():
    assert list(SeedSettings(seed=2**32 - 2, seeds=2).all_seeds) == [2**32 - 2, 2**32 - 1]
    with pytest.raises(InputError, match="--seed 4294967295 --seeds 2: the last seed would be 4294967296"):
        SeedSettings(seed=2**32 - 1, seeds=2)
