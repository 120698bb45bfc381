"""The sliding window: against a plain loop over segments, by hand, its ties and its speed."""

import time

import numpy as np
import pytest

from ave.match import search
from ave.match.config import MatchModelConfig
from ave.match.networks import build_avdln
from ave.match.search import (
    evaluated,
    event_spans,
    exact_match,
    matches,
    mean_exact_match,
    validation_score,
    window_costs,
    without_looking,
)


def events_of(*spans, segments=10):
    """One row a video, 1 in `[start, end)`."""
    seconds = np.arange(segments)
    return np.array([(start <= seconds) & (seconds < end) for start, end in spans], "float32")


def random_events(rng, videos, segments=10):
    lengths = rng.integers(1, segments, videos)
    return events_of(*((start, start + n) for n in lengths for start in [rng.integers(0, segments - n + 1)]))


def one_by_one(model, audio, visual, event, direction):
    """(found start, correct): the model on single pairs of one second, summed window by window, the first smallest."""
    inside = np.flatnonzero(event)
    query, searched = (audio, visual) if direction == "a2v" else (visual, audio)
    costs = []
    for start in range(len(event) - len(inside) + 1):
        total = 0.0
        for step, second in enumerate(inside):
            pair = query[second], searched[start + step]
            heard, seen = pair if direction == "a2v" else pair[::-1]
            total += float(model({"audio": heard[None, None], "visual": seen[None, None]})[0, 0, 0])
        costs.append(total)
    found = min(range(len(costs)), key=costs.__getitem__)
    return found, found == inside[0]


@pytest.mark.parametrize("direction", search.DIRECTIONS)
def test_equals_a_plain_loop_over_segments(direction):
    rng = np.random.default_rng(3)
    model = build_avdln(MatchModelConfig(hidden_units=6, embedding_units=4))
    audio = rng.standard_normal((9, 10, 128)).astype("float32")
    visual = rng.standard_normal((9, 10, 512)).astype("float32")
    events = random_events(rng, 9)
    events[:2] = events_of((0, 9), (9, 10))
    distances = model({"audio": audio, "visual": visual})
    starts, lengths = event_spans(events)
    found = window_costs(distances, starts, lengths, direction).argmin(1)
    correct = matches(distances, events, direction)
    expected = [one_by_one(model, *row, direction) for row in zip(audio, visual, events, strict=True)]
    assert found.tolist() == [start for start, _ in expected]
    assert correct.tolist() == [bool(hit) for _, hit in expected]
    assert evaluated(events).all()
    assert exact_match(events, np.asarray(distances), direction) == np.mean([hit for _, hit in expected])


def test_costs_by_hand():
    # Rows are visual segments, columns audio segments.
    distances = np.array([[[1.0, 2, 3], [4, 5, 6], [7, 8, 10]]])
    # Audio query 1 to 2: the visual window from 0 costs 2 + 6, from 1 costs 5 + 10; there is none from 2.
    assert window_costs(distances, [1], [2], "a2v").tolist() == [[8, 15, np.inf]]
    # Visual query 1 to 2: the audio window from 0 costs 4 + 8, from 1 costs 5 + 10.
    assert window_costs(distances, [1], [2], "v2a").tolist() == [[12, 15, np.inf]]


def test_directions_are_each_others_transpose():
    rng = np.random.default_rng(4)
    distances, events = rng.random((30, 10, 10)), random_events(rng, 30)
    starts, lengths = event_spans(events)
    swapped = window_costs(distances.swapaxes(1, 2), starts, lengths, "v2a")
    np.testing.assert_array_equal(window_costs(distances, starts, lengths, "a2v"), swapped)


def test_only_events_shorter_than_the_video_are_evaluated_and_the_first_of_equals_wins():
    events = events_of((0, 10), (0, 3), (7, 10), (4, 4))
    equal = np.ones((4, 10, 10))
    assert evaluated(events).tolist() == [False, True, True, False]
    for direction in search.DIRECTIONS:
        assert matches(equal, events, direction).tolist() == [False, True, False, False]
        assert exact_match(events, equal, direction) == 0.5


def test_perfect_distances_find_everything():
    # The n-th audio segment belongs to the n-th visual one.
    rng = np.random.default_rng(5)
    events = random_events(rng, 20)
    distances = np.repeat(1 - np.eye(10)[None], 20, 0)
    assert mean_exact_match(events, distances) == 1
    # One second late: always wrong.
    late = np.roll(distances, 1, axis=1)
    shifted = events[:, :-1].sum(1) == events.sum(1)
    assert exact_match(events[shifted], late[shifted], "a2v") == 0


def test_chance_is_the_mean_of_one_over_the_windows():
    assert without_looking(events_of((0, 10), (0, 9), (2, 3)))["chance"] == pytest.approx((1 / 2 + 1 / 10) / 2)
    assert all(np.isnan(score) for score in without_looking(events_of((0, 10))).values())


def test_answers_that_look_at_nothing():
    events = events_of((0, 10), (0, 9), (2, 3), (8, 10), (0, 1))
    chance = (1 / 2 + 1 / 10 + 1 / 9 + 1 / 10) / 4
    assert without_looking(events) == pytest.approx({"chance": chance, "first": 2 / 4, "last": 1 / 4})
    # Costs that only fall, or only rise, with the place make just these answers.
    places = np.broadcast_to(np.arange(10.0)[None, :, None], (5, 10, 10))
    assert exact_match(events, places, "a2v") == 2 / 4 and exact_match(events, -places, "a2v") == 1 / 4


def test_chance_is_what_random_distances_reach():
    rng = np.random.default_rng(6)
    events = random_events(rng, 4000)
    reached = mean_exact_match(events, rng.random((4000, 10, 10)))
    assert abs(reached - without_looking(events)["chance"]) < 0.02


def test_validation_is_the_mean_of_both_directions_and_equal_for_equal_numbers_of_matches():
    rng = np.random.default_rng(7)
    events, distances = random_events(rng, 23), rng.random((23, 10, 10)).astype("float32")
    events[3] = 1
    right = sum(matches(distances, events, direction).sum() for direction in search.DIRECTIONS)
    assert validation_score(events, distances) == np.float32(right) / np.float32(44)
    assert validation_score(events, distances) == pytest.approx(mean_exact_match(events, distances), abs=1e-6)
    # Training pairs have one segment: nothing to search.
    assert np.isnan(validation_score(np.ones((5, 1)), np.ones((5, 1, 1))))


def test_without_an_evaluated_video_there_is_no_result():
    assert np.isnan(exact_match(events_of((0, 10)), np.ones((1, 10, 10)), "a2v"))


def test_as_many_videos_as_aves_test_split_take_a_moment():
    rng = np.random.default_rng(8)
    model = build_avdln()
    inputs = {
        "audio": rng.random((402, 10, 128), "float32"),
        "visual": rng.random((402, 10, 512), "float32"),
    }
    events = random_events(rng, 402)
    began = time.perf_counter()
    mean_exact_match(events, model.predict(inputs, verbose=0))
    assert time.perf_counter() - began < 5
