"""Ranges of settings: stated as the type of a field, checked at one place, refused in one sentence."""

import dataclasses
import math
from pathlib import Path
from typing import Literal

import pytest

from avpipeline.cli import Checked, Count, Dropout, Natural, Penalty, Positive, Rate, Seed, Share, Units, run
from avpipeline.errors import InputError


@dataclasses.dataclass(frozen=True)
class Training(Checked):
    epochs: Count = 3
    """How long."""
    learning_rate: Rate = 0.1
    """How fast."""
    rates: tuple[Dropout, ...] = ()
    """Several."""
    width: Units | None = None
    """None is the usual width."""
    form: Literal["round", "square"] = "round"
    """A choice."""
    margin: float = 2.0
    """Any finite number."""
    shape: tuple[Count, Count] = (1, 2)
    """Two of them."""
    shuffle: bool = False
    """A switch."""
    out: Path | None = None
    """Not a number at all."""


@dataclasses.dataclass(frozen=True)
class Settings:
    training: Training
    """The hyperparameters."""
    seed: Seed = 0
    """The first seed."""


def main(settings: Settings) -> None:
    """Prints the settings."""
    print(settings)


@pytest.mark.parametrize(
    ("name", "value", "must_be"),
    [
        ("epochs", 0, "a whole number from 1 to 1000000"),
        ("epochs", 1_000_001, "a whole number from 1 to 1000000"),
        ("epochs", 2.5, "a whole number from 1 to 1000000"),
        ("epochs", 10**400, "a whole number from 1 to 1000000"),
        ("epochs", True, "a whole number from 1 to 1000000"),
        ("epochs", "3", "a whole number from 1 to 1000000"),
        ("learning_rate", 0.0, "a finite number above 0 and at most 10"),
        ("learning_rate", math.nan, "a finite number above 0 and at most 10"),
        ("learning_rate", 10.5, "a finite number above 0 and at most 10"),
        ("rates", (0.5, 1.0), "a list of which each is a finite number from 0 to below 1"),
        ("rates", 0.5, "a list"),
        ("shape", (1,), "a list of 2"),
        ("shuffle", "no", "true or false"),
        ("width", 0, "a whole number from 1 to 65536"),
        ("form", "oval", "one of round, square"),
        ("margin", math.inf, "a finite number"),
    ],
)
def test_a_value_outside_is_refused(name, value, must_be):
    with pytest.raises(InputError) as refused:
        Training(**{name: value})
    assert str(refused.value) == f"--{name.replace('_', '-')} {value}: must be {must_be}."
    with pytest.raises(InputError):
        dataclasses.replace(Training(), **{name: value})


def test_the_ends_of_a_range_are_in_it():
    Training(epochs=1, learning_rate=10, rates=(0, 0.999), width=65_536, form="square", margin=-1.0)
    Training(epochs=1_000_000, learning_rate=1e-30, width=None, out=Path("a"))


@pytest.mark.parametrize(
    ("kind", "inside", "outside"),
    [
        (Natural, 0, -1),
        (Seed, 2**32 - 1, 2**32),
        (Positive, 1e-9, 0),
        (Share, 1, 1.001),
        (Dropout, 0.999, 1),
        (Penalty, 0, -1e-9),
    ],
)
def test_each_kind_has_its_ends(kind, inside, outside):
    one = dataclasses.make_dataclass("One", [("value", kind)], bases=(Checked,), frozen=True)
    assert one(inside).value == inside
    with pytest.raises(InputError, match="--value"):
        one(outside)


def test_a_command_refuses_in_one_sentence(capsys):
    assert run(main, prog="it", argv=["--learning-rate", "nan"]) == 2
    assert capsys.readouterr().err == (
        "it: error: --learning-rate nan: must be a finite number above 0 and at most 10.\n"
    )
    assert run(main, prog="it", argv=["--seed", str(2**32)]) == 2
    assert run(main, prog="it", argv=["--seed", "7", "--width", "4"]) == 0
    assert "seed=7" in capsys.readouterr().out
    # After a command, settings made from Python are checked again.
    with pytest.raises(InputError):
        Training(epochs=0)


def test_help_shows_the_range(capsys):
    assert run(main, prog="it", argv=["--help"]) == 0
    assert "--epochs INT from 1 to 1000000" in capsys.readouterr().out


def test_a_setting_that_there_is_not_is_named():
    assert Training().changed(epochs=5, margin=1.0) == Training(epochs=5, margin=1.0)
    with pytest.raises(InputError, match="--epoch: is no setting; choose from --epochs, --learning-rate, --rates"):
        Training().changed(epoch=5)
