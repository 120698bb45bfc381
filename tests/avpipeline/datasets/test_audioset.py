"""AVE's categories in AudioSet's names: each of the 28 checked by hand."""

import csv

import numpy as np
import pytest

from avpipeline.datasets.audioset import AVE_SOUNDS, ave_scores
from avpipeline.errors import InputError

# As in AVE's Annotations.txt. YAMNet has the same name for all but two, which it does not tell apart from "Speech".
SAME_NAME = {
    "Accordion",
    "Acoustic guitar",
    "Baby cry, infant cry",
    "Banjo",
    "Bark",
    "Bus",
    "Cat",
    "Chainsaw",
    "Church bell",
    "Clock",
    "Fixed-wing aircraft, airplane",
    "Flute",
    "Frying (food)",
    "Goat",
    "Helicopter",
    "Horse",
    "Mandolin",
    "Motorcycle",
    "Race car, auto racing",
    "Rodents, rats, mice",
    "Shofar",
    "Toilet flush",
    "Train horn",
    "Truck",
    "Ukulele",
    "Violin, fiddle",
}
NONE = {"Female speech, woman speaking", "Male speech, man speaking"}
BELOW = {"Bow-wow", "Purr", "Meow", "Caterwaul", "Tick-tock", "Neigh, whinny", "Mouse", "Pizzicato"}


def test_every_category_is_checked():
    assert len(AVE_SOUNDS) == 28
    assert {name for name, sounds in AVE_SOUNDS.items() if not sounds} == NONE
    assert {name for name, sounds in AVE_SOUNDS.items() if sounds[:1] == (name,)} == SAME_NAME
    assert {sound for sounds in AVE_SOUNDS.values() for sound in sounds} == SAME_NAME | BELOW


def test_the_names_are_those_of_yamnet_and_of_ave(reference_dir):
    with (reference_dir / "real/yamnet_class_map.csv").open(newline="") as file:
        names = {row["display_name"] for row in csv.DictReader(file)}
    assert names >= SAME_NAME | BELOW
    assert not names & NONE
    lines = (reference_dir / "data/ave/Annotations.txt").read_text().splitlines()
    assert {line.partition("&")[0] for line in lines if line.count("&") == 4} - {"Category"} == set(AVE_SOUNDS)


def test_names_of_another_list_are_refused():
    with pytest.raises(InputError, match="class names .cat, dog, .* none is AudioSet's"):
        ave_scores(np.zeros((1, 2)), ("cat", "dog"))


def test_the_highest_of_a_category_counts():
    scores, names = ave_scores(np.array([[0.1, 0.7, 0.4], [0.5, 0.2, 0.9]]), ("Bark", "Bow-wow", "Flute"))
    assert names == ("Bark", "Flute")
    assert scores.tolist() == pytest.approx(np.array([[0.7, 0.4], [0.5, 0.9]]))
