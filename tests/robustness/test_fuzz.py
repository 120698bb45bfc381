"""Damaged input at every door: an answer or a sentence, nothing else. `pytest -m robustness -s` prints the table."""

import pytest

from tests.robustness.attempts import GOOD, attempts, table
from tests.robustness.doors import DOORS

SEED = 15


def _all_good(count: int) -> None:
    found = attempts(SEED, count)
    print("\n" + table(found))
    bad = [attempt for attempt in found if attempt.outcome not in GOOD]
    assert len(found) == count
    assert not bad, "\n".join(f"{each.door}, {each.damage}: {each.outcome}: {each.told}" for each in bad[:5])


def test_each_door_once():
    """Attempts go from door to door."""
    _all_good(len(DOORS))


@pytest.mark.slow
def test_two_hundred_attempts():
    _all_good(200)


@pytest.mark.robustness
def test_a_thousand_attempts():
    _all_good(1000)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_doors_have_names_of_their_own(door):
    assert [each.name for each in DOORS].count(door.name) == 1
