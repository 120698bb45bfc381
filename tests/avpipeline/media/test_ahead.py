"""Work ahead: in order, bounded, in threads that end however the loop ends."""

import threading
import time

import pytest

from avpipeline.errors import InputError
from avpipeline.media.ahead import ahead, in_order


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + 30
    while set(threading.enumerate()) - before and time.monotonic() < end:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before


class Made:
    """Counts how many of it exist."""

    alive = most = 0

    def __init__(self):
        Made.alive += 1
        Made.most = max(Made.most, Made.alive)

    @classmethod
    def of(cls, item):
        return cls()

    def __del__(self):
        Made.alive -= 1


def test_in_order_and_by_another_thread():
    found = list(ahead((number, threading.get_ident()) for number in range(20)))
    assert [number for number, _ in found] == list(range(20))
    assert {thread for _, thread in found} != {threading.get_ident()}


def test_several_threads_compute_at_once_and_results_come_in_order():
    both = threading.Barrier(2, timeout=30)

    def number(item):
        both.wait()
        time.sleep(0.002 * (20 - item))
        return item

    assert list(in_order(number, range(20), threads=2, ready=3)) == list(range(20))


@pytest.mark.parametrize("ready", [1, 3])
def test_only_so_many_exist_at_once(ready):
    Made.alive = Made.most = 0
    made = {1: lambda: ahead(Made() for _ in range(20)), 3: lambda: in_order(Made.of, range(20), threads=2, ready=3)}
    for item in made[ready]():
        time.sleep(0.002)
        del item
    assert ready < Made.most <= ready + 1 and Made.alive == 0


@pytest.mark.parametrize("error", [InputError("a.mp4: is empty."), KeyboardInterrupt()])
def test_a_failure_reaches_the_caller_after_what_was_made_before(error):
    def failing():
        yield 1
        raise error

    found = ahead(failing())
    assert next(found) == 1
    with pytest.raises(type(error), match=str(error) or None):
        next(found)


def test_an_interrupted_caller_ends_the_generator():
    ended = threading.Event()

    def endless():
        try:
            while True:
                yield 1
        finally:
            ended.set()

    with pytest.raises(KeyboardInterrupt):
        for _ in ahead(endless()):
            raise KeyboardInterrupt
    assert ended.wait(30)


def test_what_is_not_taken_is_not_computed():
    seen = []
    for item in in_order(lambda item: seen.append(item) or item, range(1000), threads=2, ready=2):
        if item == 3:
            break
    assert max(seen) <= 5


def test_a_failure_in_a_thread_reaches_the_caller_in_its_turn():
    def failing(item):
        if item == 2:
            raise InputError("a.mp4: is empty.")
        return item

    found = in_order(failing, range(5), threads=2, ready=3)
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(InputError, match="is empty"):
        next(found)
